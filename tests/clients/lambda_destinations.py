"""Where events and their records go. What stands for AWS's queues and topics is in this
script, and holds each request to AWS's own rules: the signature is made again by botocore."""

import json
import os
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from common import client, create, equal, package, refused

lam = client("lambda")
HOST, PORT = os.environ.get("SERVICES", "127.0.0.1:0").split(":")
KEY = Credentials("AKIDOUTSIDE", "outside/secret+key")
CODE = """export const handler = async (event) => {
  if (event.fail) throw new RangeError('as you wish');
  return { done: event.nth };
};"""
SQS, SNS = "arn:aws:sqs:eu-west-1:123456789012:", "arn:aws:sns:eu-central-1:123456789012:"
taken, problems = [], []


def check_signature(handler, body, service, region):
    header = handler.headers["Authorization"]
    fields = dict(part.strip().split("=", 1) for part in header.removeprefix("AWS4-HMAC-SHA256").split(","))
    assert fields["Credential"].endswith(f"/{region}/{service}/aws4_request"), header
    signed = fields["SignedHeaders"].split(";")
    headers = {name: handler.headers[name] for name in signed}
    request = AWSRequest(method="POST", url=f"http://{handler.headers['Host']}{handler.path}", data=body, headers=headers)
    request.context["timestamp"] = handler.headers["X-Amz-Date"]
    auth = SigV4Auth(KEY, service, region)
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    equal(fields["Signature"], expected)


class Services(BaseHTTPRequestHandler):
    fail_once = {"SQS"}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = self.take(body)
        except Exception as error:  # shown at the end of the play
            problems.append(repr(error))
            status, answer = 400, repr(error)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def take(self, body):
        if self.path == "/hook":
            equal(self.headers["Content-Type"], "application/json")
            taken.append(("hook", json.loads(body), {}))
            return 204, ""
        equal(self.path, "/")
        if self.headers["X-Amz-Target"]:
            equal((self.headers["X-Amz-Target"], self.headers["Content-Type"]), ("AmazonSQS.SendMessage", "application/x-amz-json-1.0"))
            check_signature(self, body, "sqs", "eu-west-1")
            if "SQS" in self.fail_once:
                self.fail_once.discard("SQS")
                return 500, '{"__type":"InternalError"}'
            message = json.loads(body)
            base, account, queue = message["QueueUrl"].rsplit("/", 2)
            equal((base, account), (f"http://{HOST}:{PORT}", "123456789012"))
            attributes = {name: (value["DataType"], value["StringValue"]) for name, value in message.get("MessageAttributes", {}).items()}
            taken.append((queue, json.loads(message["MessageBody"]), attributes))
            return 200, '{"MessageId":"1"}'
        check_signature(self, body, "sns", "eu-central-1")
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        equal((form["Action"], form["Version"]), ("Publish", "2010-03-31"))
        taken.append((form["TopicArn"].removeprefix(SNS), json.loads(form["Message"]), {}))
        return 200, "<PublishResponse/>"

    def log_message(self, *_):
        pass


def serve():
    server = ThreadingHTTPServer((HOST, int(PORT)), Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def arrived(place, test=lambda body: True):
    ends = time.monotonic() + 40
    while True:
        assert not problems, problems
        for found in taken:
            if found[0] == place and test(found[1]):
                return found
        assert time.monotonic() < ends, f"nothing came to {place}: {taken}"
        time.sleep(0.02)


def sent(**event):
    return lam.invoke(FunctionName="worker", InvocationType="Event", Payload=json.dumps(event))["ResponseMetadata"]["RequestId"]


def destinations(**to):
    config = {name: dict(Destination=arn) for name, arn in to.items()}
    return lam.put_function_event_invoke_config(FunctionName="worker", MaximumRetryAttempts=0, DestinationConfig=config)


def play():
    serve()
    create(lam, "worker", CODE, DeadLetterConfig=dict(TargetArn=SQS + "dead"))
    equal(lam.get_function_configuration(FunctionName="worker")["DeadLetterConfig"], {"TargetArn": SQS + "dead"})
    hook = f"http://{HOST}:{PORT}/hook"
    for wrong in ("arn:aws:s3:::bucket", "arn:aws:events:us-east-1:000000000000:event-bus/b", SQS + "first.fifo", "http://elsewhere.test/hook"):
        assert wrong in refused("InvalidParameterValueException", 400, destinations, OnFailure=wrong)
    for wrong in (hook, "arn:aws:lambda:us-east-1:000000000000:function:worker"):
        refused("InvalidParameterValueException", 400, lam.update_function_configuration, FunctionName="worker", DeadLetterConfig=dict(TargetArn=wrong))
    shown = destinations(OnSuccess=SNS + "good", OnFailure=SQS + "bad")
    equal(shown["DestinationConfig"]["OnFailure"], {"Destination": SQS + "bad"})

    id = sent(nth=1)
    _, record, _ = arrived("good")
    context = record["requestContext"]
    equal((context["requestId"], context["condition"], context["approximateInvokeCount"]), (id, "Success", 1))
    equal((record["requestPayload"], record["responsePayload"]), ({"nth": 1}, {"done": 1}))

    # The record goes to its destination, and the event itself to the dead letters. One of them was not taken at first.
    id = sent(nth=2, fail=True)
    _, record, _ = arrived("bad")
    equal((record["requestContext"]["requestId"], record["requestContext"]["condition"]), (id, "RetriesExhausted"))
    equal(record["responsePayload"]["errorType"], "RangeError")
    _, event, attributes = arrived("dead")
    equal(event, {"nth": 2, "fail": True})
    equal(attributes, {"RequestID": ("String", id), "ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "as you wish")})
    equal(Services.fail_once, set())

    # A URL of those that the operator named.
    destinations(OnSuccess=hook)
    sent(nth=3)
    equal(arrived("hook")[1]["responsePayload"], {"done": 3})

    # What stops for good leaves its event, too; nothing is left once there is no place for it.
    lam.put_function_concurrency(FunctionName="worker", ReservedConcurrentExecutions=0)
    sent(nth=4)
    equal(arrived("dead", lambda event: event["nth"] == 4)[2]["ErrorCode"], ("Number", "429"))
    lam.delete_function_concurrency(FunctionName="worker")
    equal("DeadLetterConfig" in lam.update_function_configuration(FunctionName="worker", DeadLetterConfig=dict(TargetArn="")), False)
    equal(problems, [])


def down():
    """Nobody takes the record yet."""
    create(lam, "worker", CODE)
    destinations(OnSuccess=SNS + "late")
    sent(nth=5)
    ends = time.monotonic() + 20
    while "not delivered yet" not in open(os.environ["TERMINAL"]).read():
        assert time.monotonic() < ends, "no attempt was made"
        time.sleep(0.02)


def up():
    serve()
    equal(arrived("late")[1]["requestPayload"], {"nth": 5})


def own():
    """Queues of the edge itself."""
    queue = "arn:aws:sqs:us-east-1:000000000000:failed"
    assert "sns" in refused("InvalidParameterValueException", 400, create, lam, "worker", CODE, DeadLetterConfig=dict(TargetArn=SNS + "t"))
    assert "sqs" in refused("InvalidParameterValueException", 400, create, lam, "worker", CODE, DeadLetterConfig=dict(TargetArn=SQS + "q"))
    create(lam, "worker", CODE, DeadLetterConfig=dict(TargetArn=queue))
    destinations(OnSuccess="arn:aws:sqs:us-east-1:000000000000:done")
    for nth in (1, 2):
        sent(nth=nth, fail=True)
    sent(nth=3)


def mend():
    lam.update_function_code(FunctionName="worker", ZipFile=package(CODE.replace("if (event.fail)", "if (false)")))


if __name__ == "__main__":
    {"play": play, "down": down, "up": up, "own": own, "mend": mend}[os.environ["STEP"]]()
