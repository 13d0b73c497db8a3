"""Origin access controls: made, changed, used by a distribution, and gone. STEP says which part this is."""

import json
import os

from common import client, equal, refused, view
from signed_origin import SignedOrigin

cf = client("cloudfront")
host, port = os.environ["ORIGIN"].split(":")
HOST = "signed.example.net"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
origin = None


def config(name, **changes):
    return dict(Name=name, Description="", SigningProtocol="sigv4", SigningBehavior="always", OriginAccessControlOriginType="s3") | changes


def create(name, **changes):
    return cf.create_origin_access_control(OriginAccessControlConfig=config(name, **changes))


def distribution(control, reference="signed", **origin_changes):
    custom = dict(HTTPPort=int(port), HTTPSPort=443, OriginProtocolPolicy="http-only")
    first = dict(Id="o", DomainName=host, OriginAccessControlId=control, CustomOriginConfig=custom) | origin_changes
    return dict(
        CallerReference=reference,
        Comment="",
        Enabled=True,
        Aliases=dict(Quantity=1, Items=[HOST if reference == "signed" else reference + ".example.net"]),
        Origins=dict(Quantity=1, Items=[{name: value for name, value in first.items() if value is not None}]),
        DefaultCacheBehavior=dict(TargetOriginId="o", ViewerProtocolPolicy="allow-all", CachePolicyId=CACHING_DISABLED),
    )


def known():
    return {item["Name"]: item for item in cf.list_origin_access_controls()["OriginAccessControlList"].get("Items", [])}


def play():
    made = create("store", Description="of photographs")
    control, etag = made["OriginAccessControl"]["Id"], made["ETag"]
    assert control.startswith("E") and len(control) == 14, control
    assert made["Location"].endswith(f"/origin-access-control/{control}"), made
    equal(made["OriginAccessControl"]["OriginAccessControlConfig"], config("store", Description="of photographs"))
    found = cf.get_origin_access_control(Id=control)
    equal((found["OriginAccessControl"], found["ETag"]), (made["OriginAccessControl"], etag))
    equal(cf.get_origin_access_control_config(Id=control)["OriginAccessControlConfig"], config("store", Description="of photographs"))

    # What is refused.
    refused("OriginAccessControlAlreadyExists", 409, create, "store")
    for changes in [
        dict(Name="x" * 65),
        dict(Description="x" * 257),
        dict(SigningProtocol="sigv4a"),
        dict(SigningBehavior="always-amz-auth"),
        dict(SigningBehavior="sometimes"),
        dict(OriginAccessControlOriginType="mediastore"),
    ]:
        refused("InvalidArgument", 400, create, "other", **changes)
    refused("NoSuchOriginAccessControl", 404, cf.get_origin_access_control, Id="EABSENT")
    refused("NoSuchOriginAccessControl", 404, cf.get_origin_access_control_config, Id="EABSENT")
    update = dict(Id=control, OriginAccessControlConfig=config("store"))
    refused("InvalidIfMatchVersion", 400, cf.update_origin_access_control, **update)
    refused("PreconditionFailed", 412, cf.update_origin_access_control, IfMatch="EOLD", **update)
    refused("NoSuchOriginAccessControl", 404, cf.update_origin_access_control, **{**update, "Id": "EABSENT"}, IfMatch=etag)
    identity = dict(CallerReference="1", Comment="")
    told = refused("UnsupportedOperation", 400, cf.create_cloud_front_origin_access_identity, CloudFrontOriginAccessIdentityConfig=identity)
    assert "use an origin access control" in told, told

    # A page after the other.
    for name in ("a", "b"):
        create(name, SigningBehavior="never", OriginAccessControlOriginType="lambda")
    pages = [cf.list_origin_access_controls(MaxItems="2")["OriginAccessControlList"]]
    while pages[-1]["IsTruncated"]:
        pages.append(cf.list_origin_access_controls(MaxItems="2", Marker=pages[-1]["NextMarker"])["OriginAccessControlList"])
    equal([page["Quantity"] for page in pages], [2, 1])
    listed = [item for page in pages for item in page["Items"]]
    equal(sorted(item["Name"] for item in listed), ["a", "b", "store"])
    equal([item for item in listed if item["Id"] == control], [dict(Id=control, **config("store", Description="of photographs"))])

    # Distributions with it.
    refused("InvalidOriginAccessControl", 400, cf.create_distribution, DistributionConfig=distribution("EABSENT"))
    bucket = dict(S3OriginConfig=dict(OriginAccessIdentity="origin-access-identity/cloudfront/E1"), CustomOriginConfig=None)
    refused("IllegalOriginAccessConfiguration", 400, cf.create_distribution, DistributionConfig=distribution(control, **bucket))
    told = refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=distribution("", **bucket))
    assert "use an origin access control" in told, told
    of_s3 = dict(DomainName="b.s3.eu-west-1.amazonaws.com", S3OriginConfig=dict(OriginAccessIdentity=""), CustomOriginConfig=None)
    cf.create_distribution(DistributionConfig=distribution(control, "s3", **of_s3))
    created = cf.create_distribution(DistributionConfig=distribution(control))
    equal(created["Distribution"]["DistributionConfig"]["Origins"]["Items"][0]["OriginAccessControlId"], control)
    status, _, text = view(HOST, "/a(1)?b=2&a=1")
    equal((status, json.loads(text).get("refused")), (200, None))
    assert origin.asked[-1]["authorization"].split("/")[2:4] == ["eu-west-3", "s3"], origin.asked[-1]
    told = refused("OriginAccessControlInUse", 409, cf.delete_origin_access_control, Id=control, IfMatch=etag)

    # A change of it is at the edge when the call returns.
    etag = cf.update_origin_access_control(Id=control, IfMatch=etag, OriginAccessControlConfig=config("store", SigningBehavior="never"))["ETag"]
    equal((view(HOST, "/b")[0], origin.asked[-1]["authorization"]), (403, None))
    cf.update_origin_access_control(Id=control, IfMatch=etag, OriginAccessControlConfig=config("shop"))
    equal(view(HOST, "/c")[0], 200)


def end():
    equal(view(HOST, "/d")[0], 200)
    control = known()["shop"]["Id"]
    etag = cf.get_origin_access_control(Id=control)["ETag"]
    for item in cf.list_distributions()["DistributionList"]["Items"]:
        found = cf.get_distribution_config(Id=item["Id"])
        whole = found["DistributionConfig"]
        whole["Origins"]["Items"][0]["OriginAccessControlId"] = ""
        cf.update_distribution(Id=item["Id"], IfMatch=found["ETag"], DistributionConfig=whole)
    equal((view(HOST, "/e")[0], origin.asked[-1]["authorization"]), (403, None))
    refused("PreconditionFailed", 412, cf.delete_origin_access_control, Id=control, IfMatch="EOLD")
    cf.delete_origin_access_control(Id=control, IfMatch=etag)
    refused("NoSuchOriginAccessControl", 404, cf.delete_origin_access_control, Id=control, IfMatch=etag)
    equal(sorted(known()), ["a", "b"])


def bare():
    """Without credentials that the configuration names."""
    made = create("store")
    control, etag = made["OriginAccessControl"]["Id"], made["ETag"]
    told = refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=distribution(control))
    assert "set origin_access in [control]" in told, told
    never = cf.update_origin_access_control(Id=control, IfMatch=etag, OriginAccessControlConfig=config("store", SigningBehavior="never"))
    cf.create_distribution(DistributionConfig=distribution(control))
    change = dict(Id=control, IfMatch=never["ETag"], OriginAccessControlConfig=config("store"))
    told = refused("InvalidArgument", 400, cf.update_origin_access_control, **change)
    assert "set origin_access in [control]" in told, told
    for nth in range(99):
        create(str(nth))
    refused("TooManyOriginAccessControls", 400, create, "one more")
    for nth in range(99):
        cf.create_distribution(DistributionConfig={**distribution(control, f"d{nth}"), "Enabled": False})
    one_more = {**distribution(control, "one-more"), "Enabled": False}
    refused("TooManyDistributionsAssociatedToOriginAccessControl", 400, cf.create_distribution, DistributionConfig=one_more)


if os.environ["STEP"] != "bare":
    origin = SignedOrigin((host, int(port)), "AKIDORIGIN", "origin/secret+key", region="eu-west-3").start()
{"play": play, "end": end, "bare": bare}[os.environ["STEP"]]()
