"""Key value stores and what is in them, from the first to the last call, within every limit."""

import datetime
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stores import add, data_client, pairs, put  # before botocore
from common import ROLE, client, create, equal, package, refused

cf, kvs, lam = client("cloudfront"), data_client(), client("lambda")
HOST, PORT = os.environ["SERVICES"].split(":")
many = {"%05d" % nth: "value %d" % nth for nth in range(5_000)}
whole = {"%05d" % nth: "v" * 1_019 for nth in range(5 * 1024)}  # 5 MB, to the byte
OBJECTS = {
    "/packages/many.json": dict(data=[dict(key=key, value=value) for key, value in many.items()]),
    "/packages/whole.json": dict(data=[dict(key=key, value=value) for key, value in whole.items()]),
    "/packages/over.json": dict(data=[dict(key=key, value=value) for key, value in {**whole, "x": "y"}.items()]),
    "/packages/wrong.json": dict(data=[dict(key="k", value=1)]),
}


class Bucket(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(OBJECTS.get(self.path, {})).encode()
        self.send_response(200 if self.path in OBJECTS else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


threading.Thread(target=ThreadingHTTPServer((HOST, int(PORT)), Bucket).serve_forever, daemon=True).start()

# Stores.
made = cf.create_key_value_store(Name="words", Comment="some")
store, etag = made["KeyValueStore"], made["ETag"]
arn = store["ARN"]
equal(arn, "arn:aws:cloudfront::000000000000:key-value-store/" + store["Id"])
equal((store["Status"], store["Comment"]), ("READY", "some"))
assert made["Location"].endswith("/2020-05-31/key-value-store/words"), made["Location"]
equal(cf.describe_key_value_store(Name="words")["KeyValueStore"], store)
refused("EntityAlreadyExists", 409, cf.create_key_value_store, Name="words")
refused("InvalidArgument", 400, cf.create_key_value_store, Name="a.b")
refused("InvalidArgument", 400, cf.create_key_value_store, Name="other", Comment="c" * 129)
refused("EntityNotFound", 404, cf.describe_key_value_store, Name="absent")
refused("PreconditionFailed", 412, cf.update_key_value_store, Name="words", Comment="x", IfMatch="EOTHER")
changed = cf.update_key_value_store(Name="words", Comment="changed", IfMatch=etag)
equal(changed["KeyValueStore"]["Comment"], "changed")
etag = changed["ETag"]
add(cf, "another", Tags=dict(Items=[dict(Key="a", Value="b")]))
names = lambda **settings: [store["Name"] for store in cf.list_key_value_stores(**settings)["KeyValueStoreList"].get("Items", [])]
equal((names(), names(Status="READY"), names(Status="PROVISIONING")), (["another", "words"], ["another", "words"], []))
page = cf.list_key_value_stores(MaxItems="1")["KeyValueStoreList"]
equal((page["Quantity"], page["NextMarker"]), (1, "another"))
equal(names(Marker=page["NextMarker"]), ["words"])
cf.tag_resource(Resource=arn, Tags=dict(Items=[dict(Key="of", Value="words")]))
equal(cf.list_tags_for_resource(Resource=arn)["Tags"]["Items"], [dict(Key="of", Value="words")])
cf.untag_resource(Resource=arn, TagKeys=dict(Items=["of"]))
equal(cf.list_tags_for_resource(Resource=arn)["Tags"].get("Items", []), [])

# Pairs.
found = kvs.describe_key_value_store(KvsARN=arn)
equal((found["ItemCount"], found["TotalSizeInBytes"], found["KvsARN"], found["Status"]), (0, 0, arn, "READY"))
assert abs(datetime.datetime.now(datetime.timezone.utc) - found["Created"]) < datetime.timedelta(minutes=1), found
first = kvs.put_key(KvsARN=arn, Key="a/b c", Value="ä", IfMatch=found["ETag"])
equal((first["ItemCount"], first["TotalSizeInBytes"]), (1, 7))
got = kvs.get_key(KvsARN=arn, Key="a/b c")
equal((got["Key"], got["Value"], got["ItemCount"], got["TotalSizeInBytes"]), ("a/b c", "ä", 1, 7))
refused("ConflictException", 409, kvs.put_key, KvsARN=arn, Key="k", Value="v", IfMatch=found["ETag"])
refused("ResourceNotFoundException", 404, kvs.get_key, KvsARN=arn, Key="absent")
refused("ResourceNotFoundException", 404, kvs.describe_key_value_store, KvsARN=arn[:-1])
last = put(kvs, arn, "a/b c", "longer")
equal((last["ItemCount"], last["TotalSizeInBytes"]), (1, 11))
updated = kvs.update_keys(
    KvsARN=arn, IfMatch=last["ETag"], Puts=[dict(Key="k%02d" % nth, Value=str(nth)) for nth in range(49)], Deletes=[dict(Key="a/b c")]
)
equal((updated["ItemCount"], updated["TotalSizeInBytes"]), (49, 49 * 3 + 10 + 39 * 2))
equal(len(kvs.list_keys(KvsARN=arn)["Items"]), 10)
equal(pairs(kvs, arn, PaginationConfig=dict(PageSize=20)), {"k%02d" % nth: str(nth) for nth in range(49)})
gone = kvs.delete_key(KvsARN=arn, Key="k00", IfMatch=updated["ETag"])
equal((gone["ItemCount"], gone["TotalSizeInBytes"]), (48, 49 * 3 + 10 + 39 * 2 - 4))
again = kvs.delete_key(KvsARN=arn, Key="k00", IfMatch=gone["ETag"])
equal(again["ItemCount"], 48)

# Limits.
tag = again["ETag"]
invalid = lambda call, **settings: refused("ValidationException", 400, call, KvsARN=arn, IfMatch=tag, **settings)
assert "512" in invalid(kvs.put_key, Key="k" * 513, Value="v")
assert "1024" in invalid(kvs.put_key, Key="k", Value="v" * 1025)
assert "50" in invalid(kvs.update_keys, Puts=[dict(Key=str(nth), Value="") for nth in range(51)])
assert "50" in invalid(kvs.update_keys, Puts=[])
invalid(kvs.update_keys, Puts=[dict(Key="a", Value="1"), dict(Key="a", Value="2")])
invalid(kvs.update_keys, Puts=[dict(Key="a", Value="1")], Deletes=[dict(Key="a")])
refused("ValidationException", 400, kvs.list_keys, KvsARN=arn, NextToken="???")
# Nothing of a refused update is kept.
refused("ValidationException", 400, kvs.update_keys, KvsARN=arn, IfMatch=tag, Puts=[dict(Key="new", Value="v"), dict(Key="n", Value="v" * 1025)])
refused("ResourceNotFoundException", 404, kvs.get_key, KvsARN=arn, Key="new")
largest = kvs.put_key(KvsARN=arn, Key="k" * 512, Value="v" * 1024, IfMatch=tag)
equal(largest["ItemCount"], 49)

# Imports: thousands of pairs in one transaction, a store that is full, and what is none.
source = lambda name: dict(SourceType="S3", SourceARN=f"arn:aws:s3:::packages/{name}.json")
imported = add(cf, "many", ImportSource=source("many"))
equal(kvs.describe_key_value_store(KvsARN=imported)["ItemCount"], 5_000)
equal(pairs(kvs, imported, PaginationConfig=dict(PageSize=50)), many)
full = add(cf, "full", ImportSource=source("whole"))
equal(kvs.describe_key_value_store(KvsARN=full)["TotalSizeInBytes"], 5 * 1024 * 1024)
refused("ServiceQuotaExceededException", 402, put, kvs, full, "x", "y")
put(kvs, full, "00000", "w" * 1_019)
refused("EntitySizeLimitExceeded", 413, add, cf, "over", ImportSource=source("over"))
assert "integer" in refused("InvalidArgument", 400, add, cf, "wrong", ImportSource=source("wrong"))
refused("InvalidArgument", 400, add, cf, "absent", ImportSource=source("absent"))
refused("InvalidArgument", 400, add, cf, "none", ImportSource=dict(SourceType="S3", SourceARN="arn:aws:s3:::packages"))

# Whose secret is another is refused before anything is said of the store.
stranger = data_client(aws_access_key_id=os.environ["KEY_ID"], aws_secret_access_key="not-the-secret-not-the-secret-not-the-se")
refused("InvalidSignatureException", 403, stranger.get_key, KvsARN=arn, Key="k01")
refused("InvalidSignatureException", 403, stranger.put_key, KvsARN=arn, Key="k01", Value="x", IfMatch=largest["ETag"])
equal(kvs.get_key(KvsARN=arn, Key="k01")["Value"], "1")

# A store that a function names stays.
TAG = "selvedge:key-value-stores"
code = "import cf from 'cloudfront'; export const handler = async (key) => cf.kvs().get(key);"
refused("InvalidParameterValueException", 400, create, lam, "reader", code, Tags={TAG: "absent"})
function = create(lam, "reader", code, Tags={TAG: "words"})["FunctionArn"]
invoke = lambda key: json.load(lam.invoke(FunctionName="reader", Payload=json.dumps(key))["Payload"])
equal(invoke("k01"), "1")
put(kvs, arn, "k01", "one")
equal(invoke("k01"), "one")
equal(invoke("absent")["errorMessage"], 'key "absent" is not in key value store words')
refused("CannotDeleteEntityWhileInUse", 409, cf.delete_key_value_store, Name="words", IfMatch=etag)
refused("InvalidParameterValueException", 400, lam.tag_resource, Resource=function, Tags={TAG: "absent"})
lam.tag_resource(Resource=function, Tags={TAG: "many"})
equal(invoke("00007"), "value 7")
lam.tag_resource(Resource=function, Tags={TAG: "many words"})
assert "names 2 key value stores" in invoke("00007")["errorMessage"]
lam.untag_resource(Resource=function, TagKeys=[TAG])
assert "names no key value store" in invoke("00007")["errorMessage"]
bootstrap = dict(Runtime="provided.al2023", Handler="x", Role=ROLE, Code=dict(ZipFile=package("#!/bin/sh", "bootstrap")))
refused("InvalidParameterValueException", 400, lam.create_function, FunctionName="custom", Tags={TAG: "many"}, **bootstrap)
refused("PreconditionFailed", 412, cf.delete_key_value_store, Name="words", IfMatch="EOTHER")
cf.delete_key_value_store(Name="words", IfMatch=etag)
refused("EntityNotFound", 404, cf.describe_key_value_store, Name="words")
refused("ResourceNotFoundException", 404, kvs.get_key, KvsARN=arn, Key="k01")
equal(kvs.describe_key_value_store(KvsARN=add(cf, "words"))["ItemCount"], 0)
