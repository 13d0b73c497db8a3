"""Terraform from nothing to nothing: everything is made, nothing drifts, a change is served, all of it goes."""

import glob
import json
import os
import shutil
import subprocess

from common import client, equal, package, view

lam, cf = client("lambda"), client("cloudfront")
PLACE = os.environ["PLACE"]
SITE = "www.terraform.test"
host, port = os.environ["ORIGIN"].split(":")
vectors = json.load(open(os.environ["VECTORS"], encoding="utf-8"))


def code(mark):
    return f"""import {{ readFileSync }} from 'node:fs';
    export const handler = async (event) => {{
      if (event.rawPath) return {{ path: event.rawPath, mark: '{mark}', word: readFileSync('/opt/word', 'utf8') }};
      const {{ config, request, response }} = event.Records[0].cf;
      const message = response ?? request;
      const name = 'x-' + config.eventType;
      message.headers[name] = [{{ key: name, value: '{mark} with ' + process.env.WORD }}];
      if (config.eventType === 'viewer-request' && request.body?.data) {{
        const body = Buffer.from(request.body.data, 'base64').toString();
        Object.assign(request.body, {{ action: 'replace', encoding: 'text', data: 'seen: ' + body }});
      }}
      return message;
    }};"""


def write(name, content):
    with open(os.path.join(PLACE, name), "wb") as out:
        out.write(content)


def terraform(*words, word="one", expected=0):
    variables = dict(TF_VAR_origin_host=host, TF_VAR_origin_port=port, TF_VAR_word=word)
    quiet = dict(TF_IN_AUTOMATION="1", CHECKPOINT_DISABLE="1", TF_INPUT="0")
    done = subprocess.run(["terraform", *words, "-no-color"], cwd=PLACE, env={**os.environ, **variables, **quiet}, capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"terraform {words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def no_drift(word):
    terraform("plan", "-detailed-exitcode", word=word)


os.mkdir(PLACE)
for path in glob.glob(os.path.join(os.path.dirname(__file__), "terraform", "*.tf")):
    shutil.copy(path, PLACE)
provider = os.path.join(PLACE, "provider.tf")
with open(provider, encoding="utf-8") as block:
    addressed = block.read().replace("127.0.0.1:8081", os.environ["CONTROL"])
write("provider.tf", addressed.encode())
write("mark.zip", package(code("one")))
write("words.zip", package("first", "word"))
write("readers.pem", vectors["keys"]["RSA"].encode())
terraform("init")

# Made, and it serves.
terraform("apply", "-auto-approve")
outputs = json.loads(terraform("output", "-json"))
status, headers, text = view(SITE, "/a?a=1", headers={"origin": "https://pages.test"})
equal((status, text, headers["X-Cache"]), (200, "origin says /a?a=1", "Miss from cloudfront"))
equal((headers["x-viewer-response"], headers["x-origin-response"]), ("one with one", "one with one"))
equal((headers["x-own"], headers["strict-transport-security"]), ("yes", "max-age=600; includeSubDomains"))
equal((headers["access-control-allow-origin"], headers["x-frame-options"]), ("https://pages.test", "DENY"))
equal(view(SITE, "/a?a=1&c=2")[1]["X-Cache"], "Hit from cloudfront")
equal(view(outputs["domain"]["value"], "/b")[0], 200)
equal(view(SITE, "/echo", "POST", "a body", {"x-tell-origin": "this", "x-tell-nobody": "that"})[0], 200)
status, headers, text = view("terraform.test", "/plain/broken")
equal((text, headers["x-content-type-options"]), ("origin says /second/plain/broken", "nosniff"))
equal(view(SITE, "/absent")[::2], (200, "origin says /plain/missing.html"))
readers = cf.list_public_keys()["PublicKeyList"]["Items"][0]["Id"]
ticket = vectors["canned"][0]
mark = f"&Expires={ticket['expires']}&Signature={ticket['signature']}&Key-Pair-Id={readers}"
equal([view("www.example.net", ticket["url"] + query)[0] for query in ("", mark)], [403, 200])
url = outputs["url"]["value"].removeprefix("http://").rstrip("/")
equal(json.loads(view(url, "/of/the/url")[2]), {"path": "/of/the/url", "mark": "one", "word": "first"})
equal(outputs["layer"]["value"], "arn:aws:lambda:us-east-1:000000000000:layer:words:1")
view(SITE, "/old/list?page=1&other=2", headers={"cookie": "session=a; other=b"})
no_drift("one")

# Kept as it was asked for.
shown = lam.get_function(FunctionName="mark", Qualifier="live")
equal((shown["Configuration"]["Version"], shown["Configuration"]["MemorySize"], shown["Tags"]["word"]), ("1", 256, "one"))
statement = json.loads(lam.get_policy(FunctionName="mark", Qualifier="live")["Policy"])["Statement"][0]
equal((statement["Sid"], statement["Condition"]["ArnLike"]["AWS:SourceArn"]), ("AllowTheEdge", outputs["arn"]["value"]))
events = lam.get_function_event_invoke_config(FunctionName="mark", Qualifier="live")
equal((events["MaximumRetryAttempts"], events["MaximumEventAgeInSeconds"]), (1, 600))
equal(events["DestinationConfig"]["OnSuccess"]["Destination"], "arn:aws:sqs:us-east-1:000000000000:done")
equal(lam.get_function_concurrency(FunctionName="mark")["ReservedConcurrentExecutions"], 20)
equal(lam.get_provisioned_concurrency_config(FunctionName="mark", Qualifier="live")["Status"], "READY")

# What is done behind its back is seen, and put back with what it changes itself.
lam.remove_permission(FunctionName="mark", Qualifier="live", StatementId="AllowTheEdge")
lam.update_alias(FunctionName="mark", Name="live", Description="another")
write("mark.zip", package(code("two")))
write("words.zip", package("second", "word"))
terraform("plan", "-detailed-exitcode", word="two", expected=2)
terraform("apply", "-auto-approve", word="two")
equal(view(SITE, "/c")[1]["x-viewer-response"], "two with two")
equal(json.loads(view(url, "/again")[2]), {"path": "/again", "mark": "two", "word": "second"})
equal([layer["Arn"].rsplit(":", 1)[1] for layer in lam.get_function_configuration(FunctionName="mark")["Layers"]], ["2"])
equal([version["Version"] for version in lam.list_layer_versions(LayerName="words")["LayerVersions"]], [2])
live = lam.get_alias(FunctionName="mark", Name="live")
equal((live["FunctionVersion"], live["Description"]), ("2", "what is served"))
statements = json.loads(lam.get_policy(FunctionName="mark", Qualifier="live")["Policy"])["Statement"]
equal([one["Sid"] for one in statements], ["AllowTheEdge", "FunctionURLAllowPublicAccess"])
equal({tag["Key"]: tag["Value"] for tag in cf.list_tags_for_resource(Resource=outputs["arn"]["value"])["Tags"]["Items"]}, {"team": "edge", "word": "two"})
equal(lam.list_tags(Resource=outputs["code_signing"]["value"])["Tags"], {"word": "two"})
no_drift("two")

# And nothing is left.
terraform("destroy", "-auto-approve", word="two")
equal(json.loads(terraform("show", "-json")).get("values"), None)
equal(lam.list_functions()["Functions"], [])
equal(lam.list_layers()["Layers"], [])
equal(lam.list_code_signing_configs()["CodeSigningConfigs"], [])
equal(cf.list_distributions()["DistributionList"]["Quantity"], 0)
equal((cf.list_public_keys()["PublicKeyList"]["Quantity"], cf.list_key_groups()["KeyGroupList"]["Quantity"]), (0, 0))
equal(cf.list_origin_access_controls()["OriginAccessControlList"]["Quantity"], 0)
for kind, list_policies in (("Cache", cf.list_cache_policies), ("OriginRequest", cf.list_origin_request_policies), ("ResponseHeaders", cf.list_response_headers_policies)):
    equal(list_policies(Type="custom")[f"{kind}PolicyList"]["Quantity"], 0)
