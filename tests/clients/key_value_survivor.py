"""Puts pairs into a store of an edge that is killed again and again: what was acknowledged must be there, and
what was on its way must be there whole or not at all. A handler must see the same."""

import json
import os
import time

from stores import add, data_client  # before botocore
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from common import client, create, equal

GONE = (ConnectionClosedError, EndpointConnectionError, HTTPClientError, OSError)
cf, kvs, lam = client("cloudfront"), data_client(), client("lambda")
arn = add(cf, "kept")
code = "import cf from 'cloudfront'; export const handler = async (key) => { const s = cf.kvs(); return await s.exists(key) ? s.get(key) : null; };"
create(lam, "reader", code, Tags={"selvedge:key-value-stores": "kept"})
acknowledged, attempted, interruptions = {}, {}, 0


def everything():
    found, token = {}, None
    while True:
        page = kvs.list_keys(KvsARN=arn, MaxResults=50, **(dict(NextToken=token) if token else {}))
        found.update((item["Key"], item["Value"]) for item in page["Items"])
        token = page.get("NextToken")
        if not token:
            return found


def check():
    """After a kill."""
    global acknowledged
    deadline = time.monotonic() + 60
    while True:
        try:
            found = everything()
            size = kvs.describe_key_value_store(KvsARN=arn)
            key = next(iter(attempted))
            seen = json.load(lam.invoke(FunctionName="reader", Payload=json.dumps(key))["Payload"])
            break
        except GONE:
            assert time.monotonic() < deadline, "the edge is not back"
            time.sleep(0.05)
    assert found in (acknowledged, {**acknowledged, **attempted}), (acknowledged, attempted, found)
    equal(size["ItemCount"], len(found))
    equal(size["TotalSizeInBytes"], sum(len(key) + len(value) for key, value in found.items()))
    equal(seen, found.get(key))
    acknowledged = found


nth = 0
while not os.path.exists(os.environ["STOP"]):
    nth += 1
    attempted = {"k%d" % ((nth * 7 + one) % 90): "%d-%d" % (nth, one) for one in range(5)}
    try:
        etag = kvs.describe_key_value_store(KvsARN=arn)["ETag"]
        kvs.update_keys(KvsARN=arn, IfMatch=etag, Puts=[dict(Key=key, Value=value) for key, value in attempted.items()])
        acknowledged.update(attempted)
        with open(os.environ["PROGRESS"], "w") as progress:
            progress.write(str(nth))
    except GONE:
        interruptions += 1
        check()
check()
assert interruptions >= int(os.environ["KILLS"]) / 2, interruptions
