"""What the scripts share: clients of the edge, packages, and a viewer."""

import http.client
import io
import os
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/any"


def client(service, **settings):
    settings.setdefault("config", Config(retries={"total_max_attempts": 1}))
    return boto3.Session(profile_name="selvedge").client(service, **settings)


def package(code, name="index.mjs"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), code)
    return out.getvalue()


def create(lam, name, code, **settings):
    return lam.create_function(
        FunctionName=name,
        Runtime=settings.pop("Runtime", "nodejs22.x"),
        Role=ROLE,
        Handler=settings.pop("Handler", "index.handler"),
        Code={"ZipFile": package(code)},
        **settings,
    )


def view(host, target, method="GET", body=None, headers=()):
    """What a viewer gets: status, headers and text."""
    connection = http.client.HTTPConnection(os.environ["EDGE"], timeout=20)
    connection.request(method, target, body=body, headers={"Host": host, **dict(headers)})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read().decode()


def refused(code, status, call, *args, **kwargs):
    """The call fails with this error; its message."""
    try:
        call(*args, **kwargs)
    except ClientError as error:
        found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), (found, error)
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return error.response["Error"]["Message"]
    raise AssertionError(f"{code} was expected and the call succeeded")


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"
