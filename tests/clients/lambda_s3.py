"""Packages out of a bucket. What stands for it is in this script, and makes each signature again by botocore."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from common import ROLE, client, equal, package, refused

lam = client("lambda")
HOST, PORT = os.environ["SERVICES"].split(":")
KEY = Credentials("AKIDOUTSIDE", "outside/secret+key")
CODE = "export const handler = async () => 'out of %s';"
OBJECTS = {"/packages/releases/a%20b%2Bc.zip": package(CODE % "a bucket"), "/packages/other.zip": package(CODE % "it again")}
problems = []
failures = ["/packages/other.zip"]


class Bucket(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            self.check_signature()
        except AssertionError as error:  # shown at the end of the play
            problems.append(repr(error))
        path, _, query = self.path.partition("?")
        if path in failures:  # once
            failures.remove(path)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        found = OBJECTS.get(path) if query in ("", "versionId=v%2B1") else None
        self.send_response(200 if found else 404)
        body = found or b"<Error><Code>NoSuchKey</Code></Error>"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def check_signature(self):
        fields = dict(part.strip().split("=", 1) for part in self.headers["Authorization"].removeprefix("AWS4-HMAC-SHA256").split(","))
        assert fields["Credential"].endswith("/eu-west-3/s3/aws4_request"), fields
        headers = {name: self.headers[name] for name in fields["SignedHeaders"].split(";")}
        request = AWSRequest(method="GET", url=f"http://{HOST}:{PORT}{self.path}", headers=headers)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = S3SigV4Auth(KEY, "s3", "eu-west-3")
        equal(fields["Signature"], auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer((HOST, int(PORT)), Bucket)
threading.Thread(target=server.serve_forever, daemon=True).start()


def create(**code):
    return lam.create_function(FunctionName="f", Runtime="nodejs22.x", Role=ROLE, Handler="index.handler", Code=code)


assert "NoSuchKey" in refused("InvalidParameterValueException", 400, create, S3Bucket="packages", S3Key="absent.zip")
assert "invalid path" in refused("InvalidParameterValueException", 400, create, S3Bucket="packages", S3Key="a/../other.zip")
assert "elsewhere" in refused("InvalidParameterValueException", 400, create, S3Bucket="elsewhere", S3Key="other.zip")
refused("InvalidParameterValueException", 400, create, S3Bucket="packages")
create(S3Bucket="packages", S3Key="releases/a b+c.zip")
equal(json.load(lam.invoke(FunctionName="f")["Payload"]), "out of a bucket")
lam.update_function_code(FunctionName="f", S3Bucket="packages", S3Key="other.zip", S3ObjectVersion="v+1")
equal(json.load(lam.invoke(FunctionName="f")["Payload"]), "out of it again")
layer = lam.publish_layer_version(LayerName="l", Content=dict(S3Bucket="packages", S3Key="other.zip"))
equal(layer["Content"]["CodeSize"], len(OBJECTS["/packages/other.zip"]))
assert "elsewhere" in refused("InvalidParameterValueException", 400, lam.publish_layer_version, LayerName="l", Content=dict(S3Bucket="elsewhere", S3Key="other.zip"))
equal((problems, failures), ([], []))
