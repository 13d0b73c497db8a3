"""What is kept over a restart. STEP says which part of the play this is."""

import json
import os
import urllib.request

from common import client, create, equal, package, refused, view

lam, cf = client("lambda"), client("cloudfront")
origin_host, origin_port = os.environ["ORIGIN"].split(":")
CODE = "export const handler = async () => ({ status: '200', body: 'kept' });"


def distribution(arn, domain="kept.test"):
    association = dict(LambdaFunctionARN=arn, EventType="viewer-request")
    origin = dict(HTTPPort=int(origin_port), HTTPSPort=443, OriginProtocolPolicy="http-only")
    return dict(
        CallerReference="kept",
        Comment="",
        Enabled=True,
        Aliases=dict(Quantity=1, Items=[domain]),
        Origins=dict(Quantity=1, Items=[dict(Id="o", DomainName=origin_host, CustomOriginConfig=origin)]),
        DefaultCacheBehavior=dict(
            TargetOriginId="o",
            ViewerProtocolPolicy="allow-all",
            CachePolicyId="4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
            LambdaFunctionAssociations=dict(Quantity=1, Items=[association]),
        ),
    )


def upload():
    return create(lam, "kept", CODE, Publish=True)["FunctionArn"]


def make():
    """The function reads a layer, the version of which is deleted; a newer one is there."""
    layer = lam.publish_layer_version(LayerName="kept", Content={"ZipFile": package("kept", "word")})
    reads = "import { readFileSync } from 'node:fs'; " + CODE.replace("'kept'", "readFileSync('/opt/word', 'utf8')")
    arn = create(lam, "kept", reads, Publish=True, Layers=[layer["LayerVersionArn"]])["FunctionArn"]
    lam.publish_layer_version(LayerName="kept", Content={"ZipFile": package("newer", "word")})
    lam.delete_layer_version(LayerName="kept", VersionNumber=1)
    cf.create_distribution(DistributionConfig=distribution(arn))
    equal(view("kept.test", "/")[2], "kept")


def associate():
    cf.create_distribution(DistributionConfig=distribution(lam.get_function(FunctionName="kept", Qualifier="1")["Configuration"]["FunctionArn"]))


def look():
    equal(view("kept.test", "/")[2], "kept")
    equal(json.load(lam.invoke(FunctionName="kept", Qualifier="1")["Payload"])["body"], "kept")
    equal([version["Version"] for version in lam.list_layer_versions(LayerName="kept")["LayerVersions"]], [2])
    link = lam.get_layer_version(LayerName="kept", VersionNumber=2)["Content"]["Location"]
    equal(urllib.request.urlopen(link).read(), package("newer", "word"))
    equal([d["Aliases"]["Items"] for d in cf.list_distributions()["DistributionList"]["Items"]], [["kept.test"]])


def damaged():
    assert "damaged" in refused("InvalidZipFileException", 502, lam.invoke, FunctionName="kept")
    refused("InvalidZipFileException", 502, lam.invoke, FunctionName="kept", Qualifier="1")
    equal(lam.get_function_configuration(FunctionName="kept")["State"], "Active")


def spoil():
    """What a copy that was made before must not know of."""
    lam.update_function_code(FunctionName="kept", ZipFile=package(CODE.replace("kept", "spoilt")))
    arn = lam.publish_version(FunctionName="kept")["FunctionArn"]
    lam.delete_layer_version(LayerName="kept", VersionNumber=2)
    found = cf.list_distributions()["DistributionList"]["Items"][0]
    cf.update_distribution(Id=found["Id"], IfMatch=cf.get_distribution(Id=found["Id"])["ETag"], DistributionConfig=distribution(arn))
    equal(view("kept.test", "/")[2], "spoilt")


if __name__ == "__main__":
    {"make": make, "look": look, "upload": upload, "damaged": damaged, "spoil": spoil, "associate": associate}[os.environ["STEP"]]()
