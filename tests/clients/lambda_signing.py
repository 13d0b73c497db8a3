"""Code signing: configurations, and which packages a function takes. STEP says which part of the play this is."""

import io
import json
import os
import zipfile

from common import ROLE, client, create, equal, package, refused

lam = client("lambda")
CODE = "export const handler = async () => 'signed';"
TRUSTED, OTHER = os.environ["TRUSTED"], os.environ["OTHER"]


def file(name):
    with open(os.path.join(os.environ["PLACE"], name), "rb") as found:
        return found.read()


def make(name, archive, **settings):
    return lam.create_function(FunctionName=name, Runtime="nodejs22.x", Role=ROLE, Handler="index.handler", Code={"ZipFile": archive}, **settings)


def changed_layer():
    """A package whose signature is another's: the archive is whole, its comment that of the signed one."""
    comment = zipfile.ZipFile(io.BytesIO(file("trusted.zip"))).comment
    out = io.BytesIO(package(CODE.replace("signed", "changed")))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = comment
    return out.getvalue()


def play():
    made = lam.create_code_signing_config(
        Description="releases",
        AllowedPublishers=dict(SigningProfileVersionArns=[TRUSTED]),
        CodeSigningPolicies=dict(UntrustedArtifactOnDeployment="Enforce"),
        Tags={"team": "edge"},
    )["CodeSigningConfig"]
    arn = made["CodeSigningConfigArn"]
    lam.tag_resource(Resource=arn, Tags={"a": "1"})
    equal(lam.list_tags(Resource=arn)["Tags"], {"a": "1", "team": "edge"})
    lam.untag_resource(Resource=arn, TagKeys=["team"])
    equal(lam.list_tags(Resource=arn)["Tags"], {"a": "1"})
    refused("ResourceNotFoundException", 404, lam.list_tags, Resource=arn[:-1] + "x")
    equal((made["Description"], made["CodeSigningPolicies"]), ("releases", {"UntrustedArtifactOnDeployment": "Enforce"}))
    equal(lam.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"], made)
    equal([c["CodeSigningConfigId"] for c in lam.list_code_signing_configs()["CodeSigningConfigs"]], [made["CodeSigningConfigId"]])
    refused("ResourceNotFoundException", 404, lam.get_code_signing_config, CodeSigningConfigArn=arn[:-1])
    refused("InvalidParameterValueException", 400, lam.create_code_signing_config, AllowedPublishers=dict(SigningProfileVersionArns=["nobody"]))

    # Only what the publisher signed, whole, and in time.
    signed = dict(CodeSigningConfigArn=arn)
    refused("CodeVerificationFailedException", 400, make, "f", package(CODE), **signed)
    refused("CodeVerificationFailedException", 400, make, "f", file("other.zip"), **signed)
    refused("CodeVerificationFailedException", 400, make, "f", file("expired.zip"), **signed)
    archive = file("trusted.zip")
    changed = archive[:45] + bytes([archive[45] ^ 1]) + archive[46:]
    assert "changed" in refused("InvalidCodeSignatureException", 400, make, "f", changed, **signed)
    refused("CodeSigningConfigNotFoundException", 404, make, "f", archive, CodeSigningConfigArn=arn[:-1])
    equal(make("f", archive, Publish=True, **signed)["SigningProfileVersionArn"], TRUSTED)
    equal(json.load(lam.invoke(FunctionName="f", Qualifier="1")["Payload"]), "signed")
    refused("CodeVerificationFailedException", 400, lam.update_function_code, FunctionName="f", ZipFile=package(CODE))
    equal(lam.get_function_configuration(FunctionName="f")["CodeSha256"], lam.get_function_configuration(FunctionName="f", Qualifier="1")["CodeSha256"])

    # So are layers, when a function is given them.
    layer = lambda name, archive: lam.publish_layer_version(LayerName=name, Content={"ZipFile": archive})
    trusted, unsigned, other_s = layer("trusted", archive), layer("unsigned", package("x")), layer("other", file("other.zip"))
    equal((trusted["Content"]["SigningProfileVersionArn"], "SigningProfileVersionArn" in unsigned["Content"]), (TRUSTED, False))
    arn_of = lambda layer: layer["LayerVersionArn"]
    update = lambda *layers: lam.update_function_configuration(FunctionName="f", Layers=[arn_of(one) for one in layers])
    for one in (unsigned, other_s):
        assert arn_of(one) in refused("CodeVerificationFailedException", 400, update, trusted, one)
    assert "changed" in refused("InvalidCodeSignatureException", 400, update, layer("odd", changed_layer()))
    refused("CodeVerificationFailedException", 400, make, "h", archive, Layers=[arn_of(unsigned)], **signed)
    equal([one["SigningProfileVersionArn"] for one in update(trusted)["Layers"]], [TRUSTED])
    equal(json.load(lam.invoke(FunctionName="f")["Payload"]), "signed")
    lam.update_function_configuration(FunctionName="f", Layers=[])

    # Who has it.
    equal(lam.get_function_code_signing_config(FunctionName="f")["CodeSigningConfigArn"], arn)
    equal(lam.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"], ["arn:aws:lambda:us-east-1:000000000000:function:f"])
    refused("ResourceConflictException", 409, lam.delete_code_signing_config, CodeSigningConfigArn=arn)
    create(lam, "g", CODE)
    equal(lam.put_function_code_signing_config(FunctionName="g", CodeSigningConfigArn=arn)["CodeSigningConfigArn"], arn)
    refused("CodeVerificationFailedException", 400, lam.update_function_code, FunctionName="g", ZipFile=package(CODE))
    refused("CodeSigningConfigNotFoundException", 404, lam.put_function_code_signing_config, FunctionName="g", CodeSigningConfigArn=arn[:-1])

    # A warning lets it through, unless it was changed; another publisher comes in.
    lam.update_code_signing_config(CodeSigningConfigArn=arn, CodeSigningPolicies=dict(UntrustedArtifactOnDeployment="Warn"))
    lam.update_function_code(FunctionName="g", ZipFile=package(CODE))
    refused("InvalidCodeSignatureException", 400, lam.update_function_code, FunctionName="g", ZipFile=changed)
    both = dict(SigningProfileVersionArns=[TRUSTED, OTHER])
    lam.update_code_signing_config(CodeSigningConfigArn=arn, AllowedPublishers=both, CodeSigningPolicies=dict(UntrustedArtifactOnDeployment="Enforce"))
    equal(lam.update_function_code(FunctionName="g", ZipFile=file("other.zip"))["SigningProfileVersionArn"], OTHER)

    # Without one everything is taken again.
    lam.delete_function_code_signing_config(FunctionName="g")
    equal(lam.get_function_code_signing_config(FunctionName="g")["CodeSigningConfigArn"], "")
    equal("SigningProfileVersionArn" in lam.update_function_code(FunctionName="g", ZipFile=package(CODE)), False)
    lam.delete_function(FunctionName="f")
    lam.delete_code_signing_config(CodeSigningConfigArn=arn)
    equal(lam.list_code_signing_configs()["CodeSigningConfigs"], [])


def keep():
    equal(make("kept", file("trusted.zip"))["SigningProfileVersionArn"], TRUSTED)


def spoilt():
    """The package that the edge had opened lost its signature."""
    refused("InvalidCodeSignatureException", 400, lam.invoke, FunctionName="kept")


if __name__ == "__main__":
    {"play": play, "keep": keep, "spoilt": spoilt}[os.environ["STEP"]]()
