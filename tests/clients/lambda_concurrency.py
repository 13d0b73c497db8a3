"""Reserved and provisioned concurrency. STEP says which part of the play this is."""

import base64
import json
import os
import threading
import time

from botocore.exceptions import ClientError
from common import client, create, equal, refused, view
from state import distribution

lam, cf = client("lambda"), client("cloudfront")
ENVIRONMENTS = 150  # [server] environments_max
# Answers a viewer at once; holds its environment for as long as an event says.
CODE = """export const handler = async (event) => {
  if (event.Records) return { status: '200', body: 'served' };
  await new Promise((done) => setTimeout(done, event.ms ?? 0));
  return { start: process.env.AWS_LAMBDA_INITIALIZATION_TYPE };
};"""


def at_once(*qualifiers):
    """Invocations that overlap; the reason of each one that was throttled, None of the others."""
    ends = [None] * len(qualifiers)
    gate = threading.Barrier(len(qualifiers))

    def one(nth, qualifier):
        lam = client("lambda")
        gate.wait()
        try:
            equal(lam.invoke(FunctionName="f", Qualifier=qualifier, Payload=json.dumps({"ms": 1500}))["StatusCode"], 200)
        except ClientError as error:
            equal((error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]), ("TooManyRequestsException", 429))
            ends[nth] = error.response["Reason"]

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(qualifiers)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sorted(ends, key=str)


def reserve():
    made = create(lam, "f", CODE, Timeout=10, Publish=True)
    create(lam, "other", CODE)
    equal("ReservedConcurrentExecutions" in lam.get_function_concurrency(FunctionName="f"), False)
    equal(lam.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)["ReservedConcurrentExecutions"], 2)
    equal(lam.get_function_concurrency(FunctionName="f")["ReservedConcurrentExecutions"], 2)
    equal(lam.get_function(FunctionName="f")["Concurrency"], {"ReservedConcurrentExecutions": 2})
    limit = lam.get_account_settings()["AccountLimit"]
    equal((limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]), (ENVIRONMENTS, ENVIRONMENTS - 2))

    # All versions share it.
    full = "ReservedFunctionConcurrentInvocationLimitExceeded"
    equal(at_once("$LATEST", "1", "1"), [None, None, full])
    equal(at_once("$LATEST", "1"), [None, None])

    # A hundred stay for those without.
    message = refused("InvalidParameterValueException", 400, lam.put_function_concurrency, FunctionName="other", ReservedConcurrentExecutions=49)
    assert "[100]" in message and str(ENVIRONMENTS) in message, message
    lam.put_function_concurrency(FunctionName="other", ReservedConcurrentExecutions=48)
    lam.delete_function(FunctionName="other")
    refused("InvalidParameterValueException", 400, lam.put_function_concurrency, FunctionName="f:1", ReservedConcurrentExecutions=1)
    refused("ResourceNotFoundException", 404, lam.put_function_concurrency, FunctionName="absent", ReservedConcurrentExecutions=1)

    # Nothing at all: invocations, viewers and events.
    cf.create_distribution(DistributionConfig=distribution(made["FunctionArn"], "reserved.test"))
    equal(view("reserved.test", "/")[::2], (200, "served"))
    create(lam, "given", "export const handler = async (event) => { console.log('given ' + JSON.stringify(event)); };")
    lam.put_function_event_invoke_config(FunctionName="f", DestinationConfig=dict(OnFailure=dict(Destination=lam.get_function(FunctionName="given")["Configuration"]["FunctionArn"])))
    lam.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    none()
    lam.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"nth": 1}')
    log = os.path.join(os.environ["LOGS"], "given.log")
    ends = time.monotonic() + 20
    while not os.path.exists(log) or "ZeroReservedConcurrency" not in open(log).read():
        assert time.monotonic() < ends, "no record came"
        time.sleep(0.02)


def none():
    """What it is like when nothing may run."""
    equal(at_once("1"), ["ReservedFunctionConcurrentInvocationLimitExceeded"])
    status, headers, _ = view("reserved.test", "/")
    equal((status, headers["X-Cache"]), (503, "LambdaLimitExceeded from cloudfront"))


def release():
    none()
    lam.delete_function_concurrency(FunctionName="f")
    equal("ReservedConcurrentExecutions" in lam.get_function_concurrency(FunctionName="f"), False)
    equal(at_once("1", "1", "1"), [None, None, None])
    equal(view("reserved.test", "/")[::2], (200, "served"))


def ready(name, qualifier, count):
    ends = time.monotonic() + 20
    while True:
        found = lam.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
        equal(found["RequestedProvisionedConcurrentExecutions"], count)
        if found["Status"] != "IN_PROGRESS":
            return found
        assert time.monotonic() < ends, found
        time.sleep(0.05)


def warm(name, qualifier):
    """The start type that an invocation sees, and whether it waited for an environment."""
    said = lam.invoke(FunctionName=name, Qualifier=qualifier, LogType="Tail")
    report = base64.b64decode(said["LogResult"]).decode()
    return json.load(said["Payload"])["start"], "Init Duration" not in report and "Restore Duration" not in report


def provision():
    create(lam, "p", CODE, Publish=True)
    lam.create_alias(FunctionName="p", Name="live", FunctionVersion="1")
    put = lam.put_provisioned_concurrency_config(FunctionName="p", Qualifier="1", ProvisionedConcurrentExecutions=3)
    equal((put["ResponseMetadata"]["HTTPStatusCode"], put["RequestedProvisionedConcurrentExecutions"]), (202, 3))
    found = ready("p", "1", 3)
    equal((found["Status"], found["AvailableProvisionedConcurrentExecutions"], found["AllocatedProvisionedConcurrentExecutions"]), ("READY", 3, 3))
    equal(warm("p", "1"), ("provisioned-concurrency", True))
    equal(warm("p", "$LATEST")[0], "on-demand")

    # Where it cannot be.
    refused("InvalidParameterValueException", 400, lam.put_provisioned_concurrency_config, FunctionName="p", Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    refused("InvalidParameterValueException", 400, lam.put_provisioned_concurrency_config, FunctionName="p", Qualifier="live", ProvisionedConcurrentExecutions=1)
    refused("ResourceNotFoundException", 404, lam.put_provisioned_concurrency_config, FunctionName="p", Qualifier="7", ProvisionedConcurrentExecutions=1)
    refused("InvalidParameterValueException", 400, lam.put_provisioned_concurrency_config, FunctionName="p", Qualifier="1", ProvisionedConcurrentExecutions=51)
    equal(ready("p", "1", 3)["Status"], "READY")
    refused("InvalidParameterValueException", 400, lam.put_function_concurrency, FunctionName="p", ReservedConcurrentExecutions=2)
    lam.put_function_concurrency(FunctionName="p", ReservedConcurrentExecutions=4)
    refused("InvalidParameterValueException", 400, lam.put_provisioned_concurrency_config, FunctionName="p", Qualifier="1", ProvisionedConcurrentExecutions=5)

    # An alias has its own, which go where it points to, also at the edge.
    lam.delete_provisioned_concurrency_config(FunctionName="p", Qualifier="1")
    refused("ProvisionedConcurrencyConfigNotFoundException", 404, lam.get_provisioned_concurrency_config, FunctionName="p", Qualifier="1")
    equal(warm("p", "1")[0], "on-demand")
    lam.put_provisioned_concurrency_config(FunctionName="p", Qualifier="live", ProvisionedConcurrentExecutions=2)
    equal(ready("p", "live", 2)["Status"], "READY")
    equal(warm("p", "1"), ("provisioned-concurrency", True))
    cf.create_distribution(DistributionConfig=distribution(lam.get_function(FunctionName="p", Qualifier="1")["Configuration"]["FunctionArn"], "provisioned.test"))
    equal(view("provisioned.test", "/")[::2], (200, "served"))
    listed = lam.list_provisioned_concurrency_configs(FunctionName="p")["ProvisionedConcurrencyConfigs"]
    equal([(one["FunctionArn"].rsplit(":", 1)[1], one["Status"]) for one in listed], [("live", "READY")])

    # A function that cannot start says why.
    create(lam, "broken", "throw new Error('no start');", Publish=True)
    lam.put_provisioned_concurrency_config(FunctionName="broken", Qualifier="1", ProvisionedConcurrentExecutions=1)
    found = ready("broken", "1", 1)
    equal((found["Status"], found["AvailableProvisionedConcurrentExecutions"]), ("FAILED", 0))
    assert "no start" in found["StatusReason"], found
    lam.delete_function(FunctionName="broken")


def again():
    equal(ready("p", "live", 2)["Status"], "READY")
    equal(warm("p", "1"), ("provisioned-concurrency", True))
    lam.delete_alias(FunctionName="p", Name="live")
    equal(lam.list_provisioned_concurrency_configs(FunctionName="p")["ProvisionedConcurrencyConfigs"], [])
    equal(warm("p", "1")[0], "on-demand")


if __name__ == "__main__":
    {"reserve": reserve, "release": release, "provision": provision, "again": again}[os.environ["STEP"]]()
