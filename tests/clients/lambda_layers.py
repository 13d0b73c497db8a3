"""Layers: versions from their publication to their end, and functions that have them. STEP says which part of the
play this is."""

import base64
import hashlib
import io
import json
import os
import time
import urllib.request
import zipfile

from common import ROLE, client, create, equal, package, refused

lam = client("lambda")
ARN = "arn:aws:lambda:us-east-1:000000000000:layer:"
SAYS = """import { readFileSync } from 'node:fs';
export const handler = async () => readFileSync('/opt/word', 'utf8');"""


# A program that hears of every invocation.
EXTENSION = """#!/usr/bin/python3
import http.client, json, os
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None, headers={}):
    connection.request(method, "/2020-01-01/extension/" + path, body, headers)
    reply = connection.getresponse()
    return reply.headers, reply.read()
headers, _ = call("POST", "register", '{"events": ["INVOKE"]}', {"Lambda-Extension-Name": "watcher"})
own = {"Lambda-Extension-Identifier": headers["Lambda-Extension-Identifier"]}
while True:
    print("the extension heard", json.loads(call("GET", "event/next", headers=own)[1])["eventType"], flush=True)
"""


def archive(files, modes=None):
    """A package with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (modes or {}).get(name, 0o100644) << 16
            into.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def word(text):
    return archive({"word": text})


def publish(name, zipped, **settings):
    return lam.publish_layer_version(LayerName=name, Content={"ZipFile": zipped}, **settings)


def digest(zipped):
    return base64.b64encode(hashlib.sha256(zipped).digest()).decode()


def said(function="f", **settings):
    answer = lam.invoke(FunctionName=function, **settings)
    text = json.load(answer["Payload"])
    assert "FunctionError" not in answer, text
    return text


def arns(configuration):
    return [layer["Arn"].removeprefix(ARN) for layer in configuration.get("Layers", [])]


def play():
    zipped = word("one")
    made = publish("words", zipped, Description="of words", LicenseInfo="MIT", CompatibleRuntimes=["nodejs22.x", "python3.12"], CompatibleArchitectures=["x86_64"])
    equal(made["ResponseMetadata"]["HTTPStatusCode"], 201)
    equal((made["LayerArn"], made["LayerVersionArn"], made["Version"]), (ARN + "words", ARN + "words:1", 1))
    equal((made["Description"], made["LicenseInfo"]), ("of words", "MIT"))
    equal((made["CompatibleRuntimes"], made["CompatibleArchitectures"]), (["nodejs22.x", "python3.12"], ["x86_64"]))
    equal((made["Content"]["CodeSha256"], made["Content"]["CodeSize"]), (digest(zipped), len(zipped)))
    assert made["CreatedDate"].endswith("+0000"), made

    # By name, by ARN, and by the version's ARN; whoever has the link may have the package.
    expected = {k: v for k, v in made.items() if k not in ("ResponseMetadata", "Content")}
    for found in (
        lam.get_layer_version(LayerName="words", VersionNumber=1),
        lam.get_layer_version(LayerName=ARN + "words", VersionNumber=1),
        lam.get_layer_version_by_arn(Arn=ARN + "words:1"),
    ):
        equal({k: v for k, v in found.items() if k not in ("ResponseMetadata", "Content")}, expected)
        equal(found["Content"]["CodeSha256"], digest(zipped))
        equal(urllib.request.urlopen(found["Content"]["Location"]).read(), zipped)

    # What cannot be a layer, and what is not there.
    assert "unzip" in refused("InvalidParameterValueException", 400, publish, "words", b"no archive")
    refused("InvalidParameterValueException", 400, publish, "words", archive({"../out": "x"}))
    refused("InvalidParameterValueException", 400, publish, "no name", zipped)
    refused("InvalidParameterValueException", 400, publish, "words", zipped, Description="x" * 257)
    refused("InvalidParameterValueException", 400, publish, "words", zipped, LicenseInfo="x" * 513)
    refused("InvalidParameterValueException", 400, publish, "words", zipped, CompatibleRuntimes=["nodejs22.x"] * 16)
    refused("InvalidParameterValueException", 400, publish, "words", zipped, CompatibleArchitectures=["mips"])
    refused("InvalidParameterValueException", 400, lam.publish_layer_version, LayerName="words", Content={})
    refused("ResourceNotFoundException", 404, lam.get_layer_version, LayerName="words", VersionNumber=2)
    refused("ResourceNotFoundException", 404, lam.get_layer_version_by_arn, Arn=ARN + "other:1")
    refused("InvalidParameterValueException", 400, lam.get_layer_version, LayerName="words", VersionNumber=0)
    refused("InvalidParameterValueException", 400, lam.get_layer_version_by_arn, Arn=ARN + "words")
    refused("ResourceNotFoundException", 404, lam.get_layer_version, LayerName=ARN.replace("000000000000", "123456789012") + "words", VersionNumber=1)
    equal(lam.list_layer_versions(LayerName="other")["LayerVersions"], [])

    # Lists: newest first, by what versions say they are for, in pages.
    publish("words", word("two"), CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["arm64"])
    publish("words", word("three"))
    publish("another", word("four"), CompatibleRuntimes=["nodejs22.x"])
    versions = lambda **by: [v["Version"] for v in lam.list_layer_versions(LayerName="words", **by)["LayerVersions"]]
    equal((versions(), versions(CompatibleRuntime="python3.12"), versions(CompatibleRuntime="nodejs22.x")), ([3, 2, 1], [2, 1], [1]))
    equal((versions(CompatibleArchitecture="arm64"), versions(CompatibleArchitecture="x86_64", CompatibleRuntime="python3.12")), ([2], [1]))
    layers = lambda **by: [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in lam.list_layers(**by)["Layers"]]
    equal((layers(), layers(CompatibleRuntime="nodejs22.x")), ([("another", 1), ("words", 3)], [("another", 1), ("words", 1)]))
    equal((layers(CompatibleArchitecture="arm64"), layers(CompatibleRuntime="java21")), ([("words", 2)], []))
    refused("InvalidParameterValueException", 400, lam.list_layers, CompatibleArchitecture="mips")
    latest = lam.list_layers(MaxItems=1)
    equal((latest["Layers"][0]["LayerArn"], latest["Layers"][0]["LatestMatchingVersion"]["LayerVersionArn"]), (ARN + "another", ARN + "another:1"))
    equal([layer["LayerName"] for layer in lam.list_layers(Marker=latest["NextMarker"])["Layers"]], ["words"])
    for _ in range(57):
        publish("many", zipped)
    paginator = lam.get_paginator("list_layer_versions")
    for size in (7, 50):
        found = [v["Version"] for page in paginator.paginate(LayerName="many", PaginationConfig={"PageSize": size}) for v in page["LayerVersions"]]
        equal(found, list(range(57, 0, -1)))

    permissions()

    # A number is given once; what is not there may be deleted as well.
    for _ in range(2):
        equal(lam.delete_layer_version(LayerName="words", VersionNumber=3)["ResponseMetadata"]["HTTPStatusCode"], 204)
    equal(versions(), [2, 1])
    equal(publish("words", word("four"))["Version"], 4)
    for number in versions():
        lam.delete_layer_version(LayerName=ARN + "words", VersionNumber=number)
    equal((layers(), publish("words", zipped)["Version"]), ([("another", 1), ("many", 57)], 5))


def permissions():
    on = dict(LayerName="words", VersionNumber=1)
    give = dict(on, Action="lambda:GetLayerVersion")
    refused("ResourceNotFoundException", 404, lam.get_layer_version_policy, **on)
    first = lam.add_layer_version_permission(**give, StatementId="one", Principal="123456789012")
    equal(json.loads(first["Statement"])["Resource"], ARN + "words:1")
    refused("ResourceConflictException", 409, lam.add_layer_version_permission, **give, StatementId="one", Principal="*")
    refused("PreconditionFailedException", 412, lam.add_layer_version_permission, **give, StatementId="two", Principal="*", RevisionId="another")
    second = lam.add_layer_version_permission(**give, StatementId="two", Principal="*", OrganizationId="o-0123456789", RevisionId=first["RevisionId"])
    found = lam.get_layer_version_policy(**on)
    equal(found["RevisionId"], second["RevisionId"])
    one, two = json.loads(found["Policy"])["Statement"]
    equal((one["Principal"], one["Action"], one["Sid"]), ({"AWS": "arn:aws:iam::123456789012:root"}, "lambda:GetLayerVersion", "one"))
    equal((two["Principal"], two["Condition"]), ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}))
    refused("InvalidParameterValueException", 400, lam.add_layer_version_permission, **dict(give, Action="lambda:GetFunction"), StatementId="x", Principal="*")
    refused("InvalidParameterValueException", 400, lam.add_layer_version_permission, **give, StatementId="x", Principal="somebody")
    refused("InvalidParameterValueException", 400, lam.add_layer_version_permission, **give, StatementId="x", Principal="123456789012", OrganizationId="o-0123456789")
    refused("ResourceNotFoundException", 404, lam.add_layer_version_permission, **dict(give, VersionNumber=9), StatementId="x", Principal="*")
    refused("ResourceNotFoundException", 404, lam.remove_layer_version_permission, **on, StatementId="three")
    refused("PreconditionFailedException", 412, lam.remove_layer_version_permission, **on, StatementId="one", RevisionId=first["RevisionId"])
    lam.remove_layer_version_permission(**on, StatementId="one", RevisionId=found["RevisionId"])
    lam.remove_layer_version_permission(**on, StatementId="two")
    refused("ResourceNotFoundException", 404, lam.get_layer_version_policy, **on)


def named(name):
    """A layer that says its name, and has a file of that name."""
    return archive({"word": name, name: ""})


KEPT = {hashlib.sha256(named(name)).hexdigest() for name in ("one", "two")}


def packages():
    return set(os.listdir(os.environ["PACKAGES"]))


def attach():
    one, two = (publish(name, named(name))["LayerVersionArn"] for name in ("one", "two"))
    made = create(lam, "f", SAYS, Layers=[one, two], Publish=True, Timeout=10)
    equal(made["Layers"], [{"Arn": arn, "CodeSize": len(named(name))} for arn, name in ((one, "one"), (two, "two"))])
    equal(said(), "two")

    # The other way round; the version keeps what it had, and every list shows which is which.
    revision = lam.get_function(FunctionName="f")["Configuration"]["RevisionId"]
    changed = lam.update_function_configuration(FunctionName="f", Layers=[two, one])
    assert changed["RevisionId"] != revision
    equal((said(), said(Qualifier="1")), ("one", "two"))
    equal(arns(lam.update_function_configuration(FunctionName="f", Description="as it was")), ["two:1", "one:1"])
    equal(arns(lam.update_function_code(FunctionName="f", ZipFile=package(SAYS + "\n"))), ["two:1", "one:1"])
    equal(lam.publish_version(FunctionName="f")["Version"], "2")
    lam.update_function_configuration(FunctionName="f", Layers=[])
    equal("Layers" in lam.get_function_configuration(FunctionName="f"), False)
    equal(lam.publish_version(FunctionName="f")["Version"], "3")
    equal([arns(v) for v in lam.list_versions_by_function(FunctionName="f")["Versions"]], [[], ["one:1", "two:1"], ["two:1", "one:1"], []])
    equal([arns(f) for f in lam.list_functions(FunctionVersion="ALL")["Functions"]], [[], ["one:1", "two:1"], ["two:1", "one:1"], []])
    equal(arns(lam.get_function(FunctionName="f", Qualifier="2")["Configuration"]), ["two:1", "one:1"])
    assert "/opt/word" in json.load(lam.invoke(FunctionName="f")["Payload"])["errorMessage"]

    # What a function cannot have. What it is for is not enforced.
    update = lambda *layers: lam.update_function_configuration(FunctionName="f", Layers=list(layers))
    many = [publish(f"many-{nth}", word("x"), CompatibleRuntimes=["java21"])["LayerVersionArn"] for nth in range(6)]
    assert "Cannot reference more than 5 layers." == refused("InvalidParameterValueException", 400, update, *many)
    equal(len(update(*many[:5])["Layers"]), 5)
    assert "does not exist" in refused("InvalidParameterValueException", 400, update, one, ARN + "two:7")
    assert "does not exist" in refused("InvalidParameterValueException", 400, update, ARN.replace("us-east-1", "eu-west-1") + "two:1")
    refused("InvalidParameterValueException", 400, update, ARN + "two")
    newer = publish("two", word("newer"))["LayerVersionArn"]
    assert "versions of the same layer" in refused("InvalidParameterValueException", 400, update, two, newer)
    refused("InvalidParameterValueException", 400, update, one, one)
    refused("InvalidParameterValueException", 400, create, lam, "g", SAYS, Layers=[ARN + "two:7"])
    refused("ResourceNotFoundException", 404, lam.get_function, FunctionName="g")
    extension = publish("extension", archive({"extensions/e": "#!/bin/sh"}, {"extensions/e": 0o100755}))["LayerVersionArn"]
    assert "provided.al2023" in refused("InvalidParameterValueException", 400, update, extension)
    equal(len(lam.get_function_configuration(FunctionName="f")["Layers"]), 5)

    # 250 MB with the package, unzipped; a layer alone has as much.
    zeros = bytes(130 << 20)
    large = publish("large", archive({"zeros": zeros}))["LayerVersionArn"]
    update(large)
    too_large = archive({"index.mjs": SAYS, "zeros": zeros})
    assert "262144000" in refused("InvalidParameterValueException", 400, lam.update_function_code, FunctionName="f", ZipFile=too_large)
    assert "262144000" in refused("InvalidParameterValueException", 400, publish, "large", archive({"zeros": zeros, "more": zeros}))
    update(one)

    # A version that is deleted goes on where it is, and can be given to nobody else.
    for name in ("one", "two"):
        lam.delete_layer_version(LayerName=name, VersionNumber=1)
    assert "does not exist" in refused("InvalidParameterValueException", 400, update, one)
    refused("InvalidParameterValueException", 400, create, lam, "g", SAYS, Layers=[two])
    assert KEPT <= packages(), (KEPT, packages())
    equal((said(), said(Qualifier="1"), said(Qualifier="2")), ("one", "two", "one"))
    equal(arns(lam.get_function_configuration(FunctionName="f")), ["one:1"])
    equal(publish("one", word("again"))["Version"], 2)


def look():
    """After a kill: what was given to functions is there, and what nobody has goes."""
    equal((said(), said(Qualifier="1"), said(Qualifier="2")), ("one", "two", "one"))
    assert KEPT <= packages(), (KEPT, packages())
    equal([v["Version"] for v in lam.list_layer_versions(LayerName="one")["LayerVersions"]], [2])
    equal(publish("one", word("three"))["Version"], 3)
    lam.delete_function(FunctionName="f")
    equal(KEPT & packages(), set())
    found = lam.get_layer_version(LayerName="one", VersionNumber=2)["Content"]["Location"]
    equal(urllib.request.urlopen(found).read(), word("again"))


def runtimes():
    """Every runtime finds what is in layers where Lambda says."""
    def make(name, runtime, handler, files, layer, event=None):
        given = publish(name, archive(layer, {path: 0o100755 for path in layer}))["LayerVersionArn"]
        code = archive(files, {"bootstrap": 0o100755})
        lam.create_function(FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE, Code={"ZipFile": code}, Layers=[given], Timeout=20, MemorySize=512, Publish=True)
        return said(name, Qualifier="1", Payload=json.dumps(event))

    script = "import one from 'one'; import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); export const handler = async () => [one, require('one'), require('versioned')];"
    layer = {"nodejs/node_modules/one/index.js": "module.exports = 'one';", "nodejs/node22/node_modules/versioned/index.js": "module.exports = 22;"}
    equal(make("js", "nodejs22.x", "index.handler", {"index.mjs": script}, layer), ["one", "one", 22])

    runtime = os.environ["RUNTIME"]
    script = "import one, two\ndef handler(event, context):\n    return [one.said, two.said]\n"
    layer = {"python/one.py": "said = 'one'\n", f"python/lib/{runtime}/site-packages/two/__init__.py": "said = 'two'\n"}
    equal(make("py", runtime, "f.handler", {"f.py": script}, layer), ["one", "two"])

    with open(os.environ["BOOTSTRAP"], encoding="utf-8") as program:
        bootstrap = {"bootstrap": program.read()}
    layer = {"bin/tool": "#!/bin/sh\necho a tool in $0\n", "extensions/watcher": EXTENSION}
    script = "return subprocess.run(['tool'], capture_output=True, text=True).stdout"
    equal(make("custom", "provided.al2023", "any", bootstrap, layer, script), "a tool in /opt/bin/tool\n")
    until, log = time.monotonic() + 20, ""
    while "the extension heard INVOKE" not in log:
        assert time.monotonic() < until, log
        time.sleep(0.02)
        with open(os.path.join(os.environ["LOGS"], "custom.log"), encoding="utf-8") as file:
            log = file.read()


if __name__ == "__main__":
    {"play": play, "attach": attach, "look": look, "runtimes": runtimes}[os.environ["STEP"]]()
