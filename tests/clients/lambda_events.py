"""Asynchronous invocations. STEP says which part of the play this is."""

import json
import os
import time

from common import client, create, equal, refused

lam = client("lambda")
# Says on the log what came; fails for who wants it to.
CODE = """export const handler = async (event) => {
  console.log('got ' + JSON.stringify(event));
  if (event.fail) throw new Error('as you wish');
  return { done: event.nth };
};"""


def log(name):
    path = os.path.join(os.environ["LOGS"], f"{name}.log")
    return open(path).read() if os.path.exists(path) else ""


def until(name, text, count=1):
    ends = time.monotonic() + 30
    while log(name).count(text) < count:
        assert time.monotonic() < ends, f"{text!r} is not {count} times in the log of {name}:\n{log(name)}"
        time.sleep(0.02)
    return log(name)


def sent(name="worker", **event):
    answer = lam.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    equal((answer["StatusCode"], answer["Payload"].read()), (202, b""))
    return answer["ResponseMetadata"]["RequestId"]


def play():
    for name in ("worker", "good", "bad"):
        create(lam, name, CODE)
    id = sent(nth=1)
    assert f"START RequestId: {id} " in until("worker", '"nth":1'), log("worker")

    # Where records go, and how often is tried.
    destinations = {f"On{when}": dict(Destination=f"arn:aws:lambda:us-east-1:000000000000:function:{name}") for when, name in (("Success", "good"), ("Failure", "bad"))}
    put = lam.put_function_event_invoke_config(FunctionName="worker", MaximumEventAgeInSeconds=600, DestinationConfig=destinations)
    equal((put["MaximumRetryAttempts"], put["MaximumEventAgeInSeconds"]), (2, 600))
    refused("InvalidParameterValueException", 400, lam.put_function_event_invoke_config, FunctionName="worker", MaximumEventAgeInSeconds=21601)
    queue = dict(OnFailure=dict(Destination="arn:aws:sqs:us-east-1:111111111111:q"))
    assert "sqs" in refused("InvalidParameterValueException", 400, lam.put_function_event_invoke_config, FunctionName="worker", DestinationConfig=queue)
    id = sent(nth=2)
    record = json.loads(until("good", id).split("got ", 1)[1].splitlines()[0])
    equal((record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]), ("Success", 1))
    equal((record["requestPayload"], record["responsePayload"]), ({"nth": 2}, {"done": 2}))
    id = sent(nth=3, fail=True)
    record = json.loads(until("bad", id).split("got ", 1)[1].splitlines()[0])
    equal((record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]), ("RetriesExhausted", 3))
    equal((record["responseContext"]["functionError"], record["responsePayload"]["errorMessage"]), ("Unhandled", "as you wish"))
    equal(log("worker").count(f"START RequestId: {id} "), 3)

    # An update merges, a put replaces.
    updated = lam.update_function_event_invoke_config(FunctionName="worker", MaximumRetryAttempts=0)
    equal((updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]), (0, 600))
    id = sent(nth=4, fail=True)
    until("bad", id)
    equal(log("worker").count(f"START RequestId: {id} "), 1)
    equal(len(lam.list_function_event_invoke_configs(FunctionName="worker")["FunctionEventInvokeConfigs"]), 1)
    equal(lam.put_function_event_invoke_config(FunctionName="worker")["DestinationConfig"], {"OnSuccess": {}, "OnFailure": {}})
    lam.delete_function_event_invoke_config(FunctionName="worker")
    refused("ResourceNotFoundException", 404, lam.get_function_event_invoke_config, FunctionName="worker")

    refused("ResourceNotFoundException", 404, lam.invoke, FunctionName="absent", InvocationType="Event")
    big = b'"' + b"x" * 1024 * 1024 + b'"'
    refused("RequestTooLargeException", 413, lam.invoke, FunctionName="worker", InvocationType="Event", Payload=big)


def accept():
    """Events that are slow, so that most still wait when the edge is killed."""
    slow = CODE.replace("if (event.fail)", "await new Promise((done) => setTimeout(done, 300));\n  if (event.fail)")
    create(lam, "worker", slow, Timeout=10)
    for nth in range(200):
        sent(nth=nth)


def finish():
    for nth in range(200):
        until("worker", f'got {{"nth":{nth}}}')


if __name__ == "__main__":
    {"play": play, "accept": accept, "finish": finish}[os.environ["STEP"]]()
