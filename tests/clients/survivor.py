"""Writes without a pause to an edge that is killed again and again. After each kill, what was
acknowledged must be there, and what was on its way must be there whole or not at all."""

import base64
import hashlib
import json
import os
import random
import time

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from common import client, create, equal, package, view
from state import CODE, distribution

GONE = (ConnectionClosedError, EndpointConnectionError, HTTPClientError, OSError)
once = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
lam, cf = client("lambda", config=once), client("cloudfront", config=once)
pages = lam.get_paginator("list_versions_by_function")
layer_pages = lam.get_paginator("list_layer_versions")
known = {}
counts = dict(acknowledged=0, interrupted=0, kept=0)


def look():
    """Everything that the edge has, as the values of `known`."""
    found = cf.get_distribution_config(Id=known["id"])
    policy = cf.get_cache_policy(Id=known["policy_id"])
    functions = lam.list_functions()["Functions"]
    kept = lam.get_function(FunctionName="kept")
    return dict(
        id=known["id"],
        policy=policy["CachePolicy"]["CachePolicyConfig"]["Comment"],
        policy_etag=policy["ETag"],
        code=kept["Configuration"]["CodeSha256"],
        tag=kept["Tags"]["n"],
        counter=next(f for f in functions if f["FunctionName"] == "kept")["Environment"]["Variables"]["N"],
        alias=lam.get_alias(FunctionName="kept", Name="live")["Description"],
        layers=tuple(v["Version"] for page in layer_pages.paginate(LayerName="kept") for v in page["LayerVersions"]),
        given=tuple(layer["Arn"] for layer in kept["Configuration"].get("Layers", [])),
        versions=tuple(v["Version"] for page in pages.paginate(FunctionName="kept") for v in page["Versions"]),
        comment=found["DistributionConfig"]["Comment"],
        etag=found["ETag"],
        temporary=tuple(f["FunctionName"] for f in functions if f["FunctionName"].startswith("temporary")),
    )


def cache_policy(comment):
    nothing = dict(HeadersConfig=dict(HeaderBehavior="none"), CookiesConfig=dict(CookieBehavior="none"), QueryStringsConfig=dict(QueryStringBehavior="none"))
    return dict(Name="kept", Comment=comment, MinTTL=0, ParametersInCacheKeyAndForwardedToOrigin=dict(EnableAcceptEncodingGzip=False, **nothing))


def write(nth):
    """One random change: what it changes, and the values after it."""
    text = str(nth)
    kind = random.choice(("counter", "alias", "versions", "comment", "policy", "code", "tag", "layers", "given", "temporary"))
    known["pending"] = kind
    if kind == "counter":
        known["attempt"] = text
        lam.update_function_configuration(FunctionName="kept", Environment={"Variables": {"N": text}})
        known["counter"] = text
    elif kind == "alias":
        known["attempt"] = text
        lam.update_alias(FunctionName="kept", Name="live", Description=text)
        known["alias"] = text
    elif kind == "versions":
        known["attempt"] = None
        version = lam.publish_version(FunctionName="kept")["Version"]
        if version not in known["versions"]:
            known["versions"] += (version,)
    elif kind == "comment":
        known["attempt"] = text
        whole = dict(distribution(known["arn"]), Comment=text)
        known["etag"] = cf.update_distribution(Id=known["id"], IfMatch=known["etag"], DistributionConfig=whole)["ETag"]
        known["comment"] = text
    elif kind == "policy":
        known["attempt"] = text
        whole = dict(Id=known["policy_id"], IfMatch=known["policy_etag"], CachePolicyConfig=cache_policy(text))
        known["policy_etag"] = cf.update_cache_policy(**whole)["ETag"]
        known["policy"] = text
    elif kind == "code":
        zipped = package(f"{CODE} // {text}")
        known["attempt"] = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
        known["code"] = lam.update_function_code(FunctionName="kept", ZipFile=zipped)["CodeSha256"]
    elif kind == "layers" and len(known["layers"]) > 2:
        # Whoever has it keeps it.
        known["attempt"] = known["layers"][:-1]
        lam.delete_layer_version(LayerName="kept", VersionNumber=known["layers"][-1])
        known["layers"] = known["attempt"]
    elif kind == "layers":
        # Which number an unanswered one has is not known; it is a new one.
        known["attempt"] = None
        zipped = package(text, "word")
        version = lam.publish_layer_version(LayerName="kept", Content={"ZipFile": zipped})["Version"]
        assert version > known["highest"], (version, known)
        known.update(layers=(version, *known["layers"]), highest=version)
    elif kind == "given":
        known["attempt"] = (f"arn:aws:lambda:us-east-1:000000000000:layer:kept:{random.choice(known['layers'])}",)
        lam.update_function_configuration(FunctionName="kept", Layers=list(known["attempt"]))
        known["given"] = known["attempt"]
    elif kind == "tag":
        known["attempt"] = text
        lam.tag_resource(Resource=known["resource"], Tags={"n": text})
        known["tag"] = text
    elif known["temporary"]:
        known["attempt"] = ()
        lam.delete_function(FunctionName=known["temporary"][0])
        known["temporary"] = ()
    else:
        known["attempt"] = (f"temporary-{text}",)
        create(lam, f"temporary-{text}", CODE)
        known["temporary"] = known["attempt"]
    counts["acknowledged"] += 1


def runs():
    """The package is whole, whichever it is."""
    until = time.monotonic() + 60
    while True:
        try:
            equal(json.load(lam.invoke(FunctionName="kept")["Payload"])["body"], "kept")
            return
        except GONE:
            assert time.monotonic() < until, "the edge did not come back"
            time.sleep(0.02)


def back():
    """Waits until the edge answers, and compares."""
    until = time.monotonic() + 60
    while True:
        try:
            found = look()
            break
        except GONE:
            assert time.monotonic() < until, "the edge did not come back"
            time.sleep(0.02)
    pending, attempt = known["pending"], known["attempt"]
    for name in ("counter", "alias", "comment", "policy", "code", "tag", "given", "temporary"):
        allowed = [known[name]] + ([attempt] if name == pending else [])
        assert found[name] in allowed, f"{name} is {found[name]!r}, not one of {allowed!r} ({pending})"
    if pending == "versions":
        assert found["versions"][: len(known["versions"])] == known["versions"], (found, known)
        assert len(found["versions"]) - len(known["versions"]) in (0, 1), (found, known)
    else:
        equal(found["versions"], known["versions"])
    if pending == "layers" and attempt is None:
        newer = [number for number in found["layers"] if number not in known["layers"]]
        assert found["layers"] == (*newer, *known["layers"]) and len(newer) < 2, (found, known)
        assert all(number > known["highest"] for number in newer), (found, known)
    else:
        assert found["layers"] in [known["layers"]] + ([attempt] if pending == "layers" else []), (found, known)
    known["highest"] = max(known["highest"], *found["layers"])
    if pending != "comment":
        equal(found["etag"], known["etag"])
    if pending != "policy":
        equal(found["policy_etag"], known["policy_etag"])
    if pending in ("code", "layers", "given"):
        runs()
    counts["kept"] += pending in found and found[pending] != known[pending]
    known.update(found)


layer = lam.publish_layer_version(LayerName="kept", Content={"ZipFile": package("0", "word")})["LayerVersionArn"]
arn = create(lam, "kept", CODE, Layers=[layer], Publish=True, Environment={"Variables": {"N": "0"}}, Tags={"n": "0"})["FunctionArn"]
lam.create_alias(FunctionName="kept", Name="live", FunctionVersion="1", Description="0")
made = cf.create_distribution(DistributionConfig=distribution(arn))
policy = cf.create_cache_policy(CachePolicyConfig=cache_policy("0"))["CachePolicy"]["Id"]
known.update(id=made["Distribution"]["Id"], policy_id=policy, arn=arn, resource=arn.rsplit(":", 1)[0], pending="", attempt=None, highest=1)
known.update(look())
open(os.environ["READY"], "w").close()
nth = 0
while not os.path.exists(os.environ["STOP"]):
    nth += 1
    try:
        write(nth)
    except GONE:
        counts["interrupted"] += 1
        back()
    except ClientError as error:
        # The edge was stopped between taking the request and answering it.
        raise AssertionError(f"write {nth} ({known['pending']}) was refused: {error}") from error
back()
runs()
equal(view("kept.test", "/")[2], "kept")
assert counts["interrupted"] >= int(os.environ["KILLS"]) // 2, counts
print(f"survived: {counts}")
