"""An origin that answers signed requests only. It makes each signature again by botocore, twice: from the
target as it arrived, and from the target as a service decodes and encodes it. Variables say whose it takes."""

import hashlib
import json
import os
import threading
import time
from calendar import timegm
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote_to_bytes

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CONTENT = bytes(range(256)) * 16
AGE_MAX_S = 300


class Refused(Exception):
    """Why a request is not answered."""


class SignedOrigin(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, key, secret, token=None, service="s3", region="us-east-1"):
        super().__init__(address, Handler)
        self.service, self.region = service, region
        self.credentials = Credentials(key, secret, token)
        self.asked = []
        self.lock = threading.Lock()

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        target, body = self.requestline.split(" ")[1], self.read_body()
        seen = dict(
            method=self.command,
            target=target,
            host=self.headers["Host"],
            hash=self.headers["x-amz-content-sha256"],
            date=self.headers["x-amz-date"],
            authorization=self.headers["Authorization"],
            token=self.headers["x-amz-security-token"],
            bytes=len(body),
        )
        with self.server.lock:
            before = [one["date"] for one in self.server.asked if one["target"] == target]
            self.server.asked.append(seen)
        try:
            self.check(target, body)
        except Refused as reason:
            return self.send(403, json.dumps({**seen, "refused": str(reason)}).encode())
        if target == "/silent-at-first" and not before:
            return time.sleep(4)
        if target == "/broken":
            return self.send(503, b"broken")
        if target == "/content":
            return self.send_part()
        return self.send(200, json.dumps({**seen, "before": before}).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def check(self, target, body):
        server = self.server
        header = self.headers["Authorization"] or ""
        if not header.startswith("AWS4-HMAC-SHA256 ") or len(self.headers.get_all("Authorization")) != 1:
            raise Refused(f"it is not signed: {header!r}")
        fields = dict(part.strip().split("=", 1) for part in header.removeprefix("AWS4-HMAC-SHA256").split(","))
        stamp = self.headers["x-amz-date"]
        scope = f"{server.credentials.access_key}/{stamp[:8]}/{server.region}/{server.service}/aws4_request"
        if fields["Credential"] != scope:
            raise Refused(f"{fields['Credential']} is not {scope}")
        if abs(time.time() - timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))) > AGE_MAX_S:
            raise Refused(f"{stamp} is not now")
        names = fields["SignedHeaders"].split(";")
        unsigned = [name for name in {name.lower() for name in self.headers} if (name == "host" or name.startswith("x-amz-")) and name not in names]
        if unsigned:
            raise Refused(f"{unsigned} are not signed")
        if self.headers["x-amz-security-token"] != server.credentials.token:
            raise Refused("the session token is another one")
        stated = self.headers["x-amz-content-sha256"]
        if stated != hashlib.sha256(body).hexdigest() and (stated, server.service, bool(body)) != ("UNSIGNED-PAYLOAD", "s3", True):
            raise Refused(f"{stated} is not the hash of the body")
        for spelled in (target, self.decoded_and_encoded(target)):
            found = self.signature(spelled, names)
            if found != fields["Signature"]:
                raise Refused(f"of {spelled} the signature is {found}")

    def signature(self, target, names):
        server = self.server
        kind = S3SigV4Auth if server.service == "s3" else SigV4Auth
        auth = kind(Credentials(server.credentials.access_key, server.credentials.secret_key), server.service, server.region)
        headers = {name: self.headers[name] for name in names}
        request = AWSRequest(method=self.command, url=f"http://{self.headers['Host']}{target}", headers=headers)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)

    def decoded_and_encoded(self, target):
        path, mark, query = target.partition("?")
        if self.server.service == "s3":
            path = quote(unquote_to_bytes(path), safe="/~")
        pairs = [[quote(unquote_to_bytes(part.replace("+", " ")), safe="~") for part in pair.split("=", 1)] for pair in query.split("&")]
        return path + mark + "&".join("=".join(pair) for pair in pairs)

    def read_body(self):
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send_part(self):
        wanted = self.headers["Range"]
        if not wanted:
            return self.send(200, CONTENT)
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        return self.send(206, CONTENT[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(CONTENT)}"})

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {**dict(headers), "Content-Length": str(len(body)), "ETag": '"1"'}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    variables = os.environ
    SignedOrigin(
        ("127.0.0.1", int(variables["PORT"])),
        variables["KEY"],
        variables["SECRET"],
        variables.get("TOKEN"),
        variables.get("SERVICE", "s3"),
        variables.get("REGION", "us-east-1"),
    ).serve_forever()
