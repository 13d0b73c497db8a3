"""Functions from their creation to their end, as boto3 sees them."""

import base64
import hashlib
import json
import urllib.request

from common import ROLE, client, create, equal, package, refused

lam = client("lambda")
HELLO = "export const handler = async (event, context) => { console.log('said hello'); return { hello: event.name, version: context.functionVersion, greeting: process.env.GREETING }; };"
THROWS = "export const handler = async () => { throw new TypeError('no'); };"

# Create.
made = create(lam, "hello", HELLO, Environment={"Variables": {"GREETING": "hi"}}, Tags={"team": "edge"}, MemorySize=256)
zipped = package(HELLO)
digest = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
equal((made["CodeSha256"], made["CodeSize"], made["Version"]), (digest, len(zipped), "$LATEST"))
equal((made["State"], made["LastUpdateStatus"], made["Timeout"], made["MemorySize"]), ("Active", "Successful", 3, 256))
equal(made["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:hello")
equal(made["ResponseMetadata"]["HTTPStatusCode"], 201)
lam.get_waiter("function_active_v2").wait(FunctionName="hello")
lam.get_waiter("function_exists").wait(FunctionName="hello")
refused("ResourceConflictException", 409, create, lam, "hello", HELLO)

# What cannot run is refused when it is uploaded.
refused("InvalidParameterValueException", 400, create, lam, "bad", HELLO, Handler="absent.handler")
assert "nodejs22.x" in refused("InvalidParameterValueException", 400, create, lam, "bad", HELLO, Runtime="java21")
refused("InvalidParameterValueException", 400, create, lam, "bad", HELLO, MemorySize=64 * 1024 // 2)
refused("InvalidParameterValueException", 400, create, lam, "bad", HELLO, Environment={"Variables": {"AWS_REGION": "x"}})
files = dict(Arn="arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0", LocalMountPath="/mnt/files")
assert "FileSystemConfigs" in refused("InvalidParameterValueException", 400, create, lam, "bad", HELLO, FileSystemConfigs=[files])
broken = dict(FunctionName="bad", Runtime="nodejs22.x", Role=ROLE, Handler="index.handler", Code={"ZipFile": b"no archive"})
refused("InvalidParameterValueException", 400, lam.create_function, **broken)
refused("ResourceNotFoundException", 404, lam.get_function, FunctionName="bad")

# Get; the package can be downloaded by its link alone.
got = lam.get_function(FunctionName=made["FunctionArn"])
equal((got["Tags"], got["Configuration"]["FunctionName"]), ({"team": "edge"}, "hello"))
equal(urllib.request.urlopen(got["Code"]["Location"]).read(), zipped)
equal(lam.get_function_configuration(FunctionName="000000000000:function:hello")["RevisionId"], made["RevisionId"])
refused("ResourceNotFoundException", 404, lam.get_function, FunctionName="hello", Qualifier="7")

# Invoke.
said = lam.invoke(FunctionName="hello", Payload=json.dumps({"name": "you"}), LogType="Tail")
equal(json.load(said["Payload"]), {"hello": "you", "version": "$LATEST", "greeting": "hi"})
equal((said["StatusCode"], said["ExecutedVersion"]), (200, "$LATEST"))
tail = base64.b64decode(said["LogResult"]).decode()
assert tail.startswith("START RequestId: ") and "said hello" in tail and "REPORT RequestId: " in tail, tail
assert said["ResponseMetadata"]["RequestId"] in tail, said
equal(lam.invoke(FunctionName="hello", InvocationType="DryRun")["StatusCode"], 204)
refused("InvalidRequestContentException", 400, lam.invoke, FunctionName="hello", Payload=b"{no json")
refused("RequestTooLargeException", 413, lam.invoke, FunctionName="hello", Payload=b'"' + b"x" * 6 * 1024 * 1024 + b'"')

# Update the code and the configuration; a stale revision changes nothing.
updated = lam.update_function_code(FunctionName="hello", ZipFile=package(THROWS), RevisionId=made["RevisionId"])
assert updated["RevisionId"] != made["RevisionId"] and updated["CodeSha256"] != digest
refused("PreconditionFailedException", 412, lam.update_function_code, FunctionName="hello", ZipFile=zipped, RevisionId=made["RevisionId"])
lam.get_waiter("function_updated_v2").wait(FunctionName="hello")
thrown = lam.invoke(FunctionName="hello")
equal((thrown["StatusCode"], thrown["FunctionError"]), (200, "Unhandled"))
error = json.load(thrown["Payload"])
equal((error["errorType"], error["errorMessage"]), ("TypeError", "no"))
dry = lam.update_function_code(FunctionName="hello", ZipFile=zipped, DryRun=True)
equal(dry["CodeSha256"], digest)
equal(lam.get_function_configuration(FunctionName="hello")["CodeSha256"], updated["CodeSha256"])
lam.update_function_code(FunctionName="hello", ZipFile=zipped)
lam.update_function_configuration(FunctionName="hello", Timeout=7, Environment={"Variables": {"GREETING": "hey"}})
equal(json.load(lam.invoke(FunctionName="hello")["Payload"])["greeting"], "hey")
refused("InvalidParameterValueException", 400, lam.update_function_configuration, FunctionName="hello", Timeout=901)
equal(lam.get_function_configuration(FunctionName="hello")["Timeout"], 7)

# A handler that takes too long.
create(lam, "slow", "export const handler = () => new Promise((done) => setTimeout(done, 60000));", Timeout=1)
slow = lam.invoke(FunctionName="slow")
assert "Task timed out after 1.00 seconds" in json.load(slow["Payload"])["errorMessage"]

# Tags.
arn = made["FunctionArn"]
lam.tag_resource(Resource=arn, Tags={"stage": "test"})
lam.untag_resource(Resource=arn, TagKeys=["team"])
equal(lam.list_tags(Resource=arn)["Tags"], {"stage": "test"})

# Resource policies are kept and shown.
statement = dict(FunctionName="hello", StatementId="edge", Action="lambda:GetFunction", Principal="replicator.lambda.amazonaws.com")
lam.add_permission(**statement)
refused("ResourceConflictException", 409, lam.add_permission, **statement)
policy = json.loads(lam.get_policy(FunctionName="hello")["Policy"])
equal(policy["Statement"][0]["Principal"], {"Service": "replicator.lambda.amazonaws.com"})
lam.remove_permission(FunctionName="hello", StatementId="edge")
refused("ResourceNotFoundException", 404, lam.get_policy, FunctionName="hello")

# Pages.
for nth in range(5):
    create(lam, f"page-{nth}", HELLO)
first = lam.list_functions(MaxItems=3)
equal([f["FunctionName"] for f in first["Functions"]], ["hello", "page-0", "page-1"])
names = [f["FunctionName"] for page in lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}) for f in page["Functions"]]
equal(names, ["hello", "page-0", "page-1", "page-2", "page-3", "page-4", "slow"])

# What other tools ask after a creation.
equal(lam.get_function_code_signing_config(FunctionName="hello")["CodeSigningConfigArn"], "")
equal(lam.get_runtime_management_config(FunctionName="hello")["UpdateRuntimeOn"], "Auto")
equal(lam.get_account_settings()["AccountUsage"]["FunctionCount"], 7)
assert "ListCapacityProviders" in refused("UnknownOperationException", 404, lam.list_capacity_providers)

# The end.
for name in names:
    equal(lam.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"], 204)
equal(lam.list_functions()["Functions"], [])
refused("ResourceNotFoundException", 404, lam.delete_function, FunctionName="hello")
refused("ResourceNotFoundException", 404, lam.invoke, FunctionName="hello")
