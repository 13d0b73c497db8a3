"""A handler at the edge reads a key while it changes: whoever asks a second after an update was acknowledged sees
it, and no environment is started for it."""

import json
import os
import threading
import time

from stores import add, data_client, put  # before botocore
from common import client, create, equal, view
from state import distribution

VIEWERS, UPDATES = 4, 12
cf, kvs, lam = client("cloudfront"), data_client(), client("lambda")
arn = add(cf, "flags")
put(kvs, arn, "flag", "0")
code = """import cf from 'cloudfront';
const flags = cf.kvs('flags');
const born = Math.random();
export const handler = async () => ({ status: '200', body: JSON.stringify([await flags.get('flag', { format: 'json' }), born]) });"""
function = create(lam, "flagged", code, Tags={"selvedge:key-value-stores": "flags"}, Publish=True)["FunctionArn"]
cf.create_distribution(DistributionConfig=distribution(function, "flags.test"))
acknowledged, seen, stopped, failed = [(time.monotonic(), 0)], [], threading.Event(), []


def watch():
    try:
        while not stopped.is_set():
            began = time.monotonic()
            status, _, body = view("flags.test", "/")
            assert status == 200, body
            value, born = json.loads(body)
            seen.append((began, value, born))
    except Exception as error:
        failed.append(repr(error))


viewers = [threading.Thread(target=watch) for _ in range(VIEWERS)]
for viewer in viewers:
    viewer.start()
deadline = time.monotonic() + 30
while len(seen) < 200 and not failed and time.monotonic() < deadline:
    time.sleep(0.02)
for nth in range(1, UPDATES + 1):
    put(kvs, arn, "flag", str(nth))
    acknowledged.append((time.monotonic(), nth))
    # The pause between updates, in which it has to be seen.
    time.sleep(0.2)
time.sleep(1)
stopped.set()
for viewer in viewers:
    viewer.join()
equal(failed, [])
late = [(began, value) for began, value, _ in seen for at, nth in acknowledged if began > at + 1 and value < nth]
equal(late, [])
equal({value for _, value, _ in seen}, set(range(UPDATES + 1)))
environments = {born for *_, born in seen}
before = {born for began, _, born in seen if began < acknowledged[1][0]}
again = {born for began, _, born in seen if began > acknowledged[-1][0]}
assert again & before, "no environment was there from before the first update to after the last one"
assert len(environments) <= 2 * VIEWERS, f"{len(environments)} environments were made for {VIEWERS} viewers"
