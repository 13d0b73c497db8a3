"""Only who knows the secret is listened to, and both APIs say so in their own words."""

import datetime
import http.client
import os
from unittest import mock

import botocore.auth
from common import client, equal, refused

good = client("lambda")
equal(good.list_functions()["Functions"], [])
wrong = dict(aws_access_key_id=os.environ["KEY_ID"], aws_secret_access_key="not-the-secret-not-the-secret-not-the-se")
refused("InvalidSignatureException", 403, client("lambda", **wrong).list_functions)
refused("InvalidSignatureException", 403, client("cloudfront", **wrong).list_distributions)
unknown = dict(aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key="x")
refused("UnrecognizedClientException", 403, client("lambda", **unknown).list_functions)
refused("UnrecognizedClientException", 403, client("cloudfront", **unknown).list_distributions)

# A clock that is wrong, and a request that somebody recorded.
real = datetime.datetime
for minutes in (-20, 20):
    now = real.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    naive = now.replace(tzinfo=None)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: naive):
        refused("InvalidSignatureException", 403, good.list_functions)
equal(good.list_functions()["Functions"], [])

# Without any signature, and with one that is none.
for path, headers, kind in (
    ("/2015-03-31/functions", {}, "json"),
    ("/2020-05-31/distribution", {}, "xml"),
    ("/2020-05-31/distribution", {"Authorization": "AWS4-HMAC-SHA256 nonsense"}, "xml"),
):
    connection = http.client.HTTPConnection(os.environ["CONTROL"], timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    equal(response.status, 400 if headers else 403)
    if kind == "json":
        equal(response.getheader("x-amzn-errortype"), "MissingAuthenticationTokenException")
    else:
        name = "IncompleteSignatureException" if headers else "MissingAuthenticationTokenException"
        assert body.startswith("<?xml") and f"<Code>{name}</Code>" in body, body
