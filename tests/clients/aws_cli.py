"""The AWS CLI from upload to rollback, as a person types it."""

import json
import os
import subprocess
import sys
import tempfile

from common import equal, package, view
from state import distribution

AWS = os.path.join(os.path.dirname(sys.executable), "aws")
place = tempfile.TemporaryDirectory()


def aws(*words):
    done = subprocess.run([AWS, "--profile", "selvedge", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def file(name, content):
    path = os.path.join(place.name, name)
    with open(path, "wb") as out:
        out.write(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def zipped(text):
    code = f"export const handler = async (event) => event.Records ? {{ status: '200', body: '{text}' }} : {{ text: '{text}', event }};"
    return "fileb://" + file(f"{text}.zip", package(code))


layer = aws("lambda", "publish-layer-version", "--layer-name", "shared", "--zip-file", zipped("shared"), "--compatible-runtimes", "nodejs22.x",
            "--compatible-architectures", "x86_64", "--license-info", "MIT", "--description", "what is shared")
equal((layer["Version"], layer["CompatibleRuntimes"]), (1, ["nodejs22.x"]))
made = aws("lambda", "create-function", "--function-name", "cli", "--runtime", "nodejs22.x", "--handler", "index.handler",
           "--role", "arn:aws:iam::000000000000:role/any", "--zip-file", zipped("one"), "--publish", "--layers", layer["LayerVersionArn"])
equal((made["Version"], made["Layers"]), ("1", [{"Arn": layer["LayerVersionArn"], "CodeSize": layer["Content"]["CodeSize"]}]))
equal(aws("lambda", "list-layers")["Layers"][0]["LayerName"], "shared")
equal(aws("lambda", "get-layer-version-by-arn", "--arn", layer["LayerVersionArn"])["LicenseInfo"], "MIT")
one = ("--layer-name", "shared", "--version-number", "1")
given = aws("lambda", "add-layer-version-permission", *one, "--statement-id", "all", "--action", "lambda:GetLayerVersion", "--principal", "*")
equal(aws("lambda", "get-layer-version-policy", *one)["RevisionId"], given["RevisionId"])
aws("lambda", "remove-layer-version-permission", *one, "--statement-id", "all", "--revision-id", given["RevisionId"])
equal(len(aws("lambda", "list-layer-versions", "--layer-name", "shared")["LayerVersions"]), 1)
aws("lambda", "delete-layer-version", *one)
aws("lambda", "wait", "function-active-v2", "--function-name", "cli")
out = os.path.join(place.name, "out.json")
said = aws("lambda", "invoke", "--function-name", "cli", "--payload", '{"a": 1}', out)
equal((said["StatusCode"], json.load(open(out))), (200, {"text": "one", "event": {"a": 1}}))

config = distribution(made["FunctionArn"], "cli.test")
created = aws("cloudfront", "create-distribution", "--distribution-config", "file://" + file("one.json", config))
id, etag = created["Distribution"]["Id"], created["ETag"]
equal(view("cli.test", "/")[2], "one")
aws("cloudfront", "wait", "distribution-deployed", "--id", id)

# Another version, and back.
aws("lambda", "update-function-code", "--function-name", "cli", "--zip-file", zipped("two"))
aws("lambda", "wait", "function-updated-v2", "--function-name", "cli")
two = aws("lambda", "publish-version", "--function-name", "cli")
newer = distribution(two["FunctionArn"], "cli.test")
etag = aws("cloudfront", "update-distribution", "--id", id, "--if-match", etag, "--distribution-config", "file://" + file("two.json", newer))["ETag"]
equal(view("cli.test", "/")[2], "two")
aws("cloudfront", "create-invalidation", "--distribution-id", id, "--paths", "/*")
etag = aws("cloudfront", "update-distribution", "--id", id, "--if-match", etag, "--distribution-config", "file://" + file("one.json", config))["ETag"]
equal(view("cli.test", "/")[2], "one")

config["Enabled"] = False
etag = aws("cloudfront", "update-distribution", "--id", id, "--if-match", etag, "--distribution-config", "file://" + file("off.json", config))["ETag"]
aws("cloudfront", "delete-distribution", "--id", id, "--if-match", etag)
aws("lambda", "delete-function", "--function-name", "cli")
equal(aws("lambda", "list-functions")["Functions"], [])
