"""Function URLs: made, asked by viewers, signed for, changed and ended."""

import http.client
import json
import os

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from common import client, create, equal, refused

lam = client("lambda")
CODE = """export const handler = async (event) => {
  if (event.rawPath === '/throw') throw new Error('a secret');
  if (event.rawPath === '/bad') return { statusCode: 'many' };
  if (event.rawPath === '/plain') return { path: event.rawPath };
  return {
    statusCode: 201,
    headers: { 'X-Own': 'one', 'Access-Control-Allow-Origin': 'https://of-the-function.test' },
    cookies: ['a=1; Secure', 'b=2'],
    body: JSON.stringify(event),
  };
};"""


def ask(host, target="/", method="GET", body=None, headers=()):
    connection = http.client.HTTPConnection(os.environ["EDGE"], timeout=20)
    connection.request(method, target, body=body, headers={"Host": host, **dict(headers)})
    response = connection.getresponse()
    return response.status, response, response.read().decode()


def host(url):
    assert url["FunctionUrl"].startswith("http://") and url["FunctionUrl"].endswith("/"), url
    return url["FunctionUrl"].removeprefix("http://").rstrip("/")


def signed(host, target, service="lambda", method="POST", body="to be signed"):
    credentials = boto3.Session(profile_name="selvedge").get_credentials()
    request = AWSRequest(method=method, url=f"http://{host}{target}", data=body, headers={"Content-Type": "text/plain"})
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return dict(request.headers)


create(lam, "web", CODE, Publish=True)
refused("ResourceNotFoundException", 404, lam.get_function_url_config, FunctionName="web")
made = lam.create_function_url_config(FunctionName="web", AuthType="NONE")
equal((made["ResponseMetadata"]["HTTPStatusCode"], made["AuthType"], made["InvokeMode"]), (201, "NONE", "BUFFERED"))
assert made["FunctionArn"].endswith(":function:web") and ".lambda-url.us-east-1.example.com/" in made["FunctionUrl"], made
web = host(made)
equal(len(web.split(".")[0]), 32)

# It serves as soon as it was made; the function sees payload 2.0.
status, response, text = ask(web, "/a%20b?x=1&x=2", "POST", "hello", {"Content-Type": "text/plain", "Cookie": "c=3; d=4"})
equal((status, response.getheader("x-own"), response.headers.get_all("set-cookie")), (201, "one", ["a=1; Secure", "b=2"]))
event = json.loads(text)
equal((event["version"], event["rawPath"], event["rawQueryString"], event["body"]), ("2.0", "/a%20b", "x=1&x=2", "hello"))
equal((event["queryStringParameters"], event["cookies"], event["isBase64Encoded"]), ({"x": "1,2"}, ["c=3", "d=4"], False))
context = event["requestContext"]
equal((context["http"]["method"], context["http"]["sourceIp"], context["domainName"], context["accountId"]), ("POST", "127.0.0.1", web, "anonymous"))
equal((event["headers"]["x-forwarded-proto"], event["headers"]["x-forwarded-for"]), ("http", "127.0.0.1"))
equal(json.loads(ask(web, "/", "DELETE")[2]).get("body"), None)
binary = json.loads(ask(web, "/", "PUT", b"\x89PNG", {"Content-Type": "image/png"})[2])
equal((binary["body"], binary["isBase64Encoded"]), ("iVBORw==", True))
# Nothing is cached, and what is no response is JSON.
assert len({json.loads(ask(web)[2])["requestContext"]["requestId"] for _ in range(3)}) == 3
status, response, text = ask(web, "/plain")
equal((status, response.getheader("content-type"), text), (200, "application/json", '{"path":"/plain"}'))

# Failures say nothing of the function.
for path in ("/throw", "/bad"):
    status, _, text = ask(web, path)
    equal((status, text), (502, "Internal Server Error"))
lam.put_function_concurrency(FunctionName="web", ReservedConcurrentExecutions=0)
status, _, text = ask(web)
equal((status, json.loads(text)["Reason"]), (429, "ReservedFunctionConcurrentInvocationLimitExceeded"))
lam.delete_function_concurrency(FunctionName="web")
equal(ask(web, "/", "POST", b"x" * (6 * 1024 * 1024 + 1))[0], 413)
equal(ask("a" * 32 + ".lambda-url.us-east-1.example.com")[0], 403)

# Whoever has an access key, and nobody else.
refused("ResourceConflictException", 409, lam.create_function_url_config, FunctionName="web", AuthType="NONE")
equal(lam.update_function_url_config(FunctionName="web", AuthType="AWS_IAM")["AuthType"], "AWS_IAM")
equal(ask(web, "/", "POST", "to be signed")[0], 403)
target = "/a%20b/c?q=1&a=%2F"
status, _, text = ask(web, target, "POST", "to be signed", signed(web, target))
equal(status, 201)
iam = json.loads(text)["requestContext"]["authorizer"]["iam"]
equal((iam["accessKey"], iam["accountId"]), (os.environ["KEY_ID"], "000000000000"))
equal(ask(web, target, "POST", "something else", signed(web, target))[0], 403)
equal(ask(web, "/other", "POST", "to be signed", signed(web, target))[0], 403)
equal(ask(web, target, "POST", "to be signed", signed(web, target, service="s3"))[0], 403)

# Pages of other origins.
cors = dict(AllowOrigins=["https://page.test"], AllowMethods=["GET", "PUT"], AllowHeaders=["x-a"], ExposeHeaders=["x-own"], AllowCredentials=True, MaxAge=60)
refused("InvalidParameterValueException", 400, lam.update_function_url_config, FunctionName="web", Cors=dict(AllowMethods=["OPTION"]))
equal(lam.update_function_url_config(FunctionName="web", AuthType="NONE", Cors=cors)["Cors"], cors)
asks = {"Origin": "https://page.test", "Access-Control-Request-Method": "PUT"}
status, response, text = ask(web, "/throw", "OPTIONS", headers=asks)
equal((status, text, response.getheader("access-control-allow-origin")), (200, "", "https://page.test"))
equal((response.getheader("access-control-allow-methods"), response.getheader("access-control-max-age")), ("GET,PUT", "60"))
status, response, _ = ask(web, headers={"Origin": "https://page.test"})
equal((status, response.getheader("access-control-allow-origin"), response.getheader("access-control-expose-headers")), (201, "https://page.test", "x-own"))
status, response, _ = ask(web, headers={"Origin": "https://other.test"})
equal((status, response.getheader("access-control-allow-origin")), (201, None))

# One of an alias beside it; versions have none, and streams are refused by name.
lam.create_alias(FunctionName="web", Name="live", FunctionVersion="1")
live = lam.create_function_url_config(FunctionName="web", Qualifier="live", AuthType="NONE")
assert live["FunctionArn"].endswith(":function:web:live") and live["FunctionUrl"] != made["FunctionUrl"], live
equal(ask(host(live), "/plain")[0], 200)
equal(len(lam.list_function_url_configs(FunctionName="web")["FunctionUrlConfigs"]), 2)
assert "RESPONSE_STREAM" in refused("InvalidParameterValueException", 400, lam.update_function_url_config, FunctionName="web", InvokeMode="RESPONSE_STREAM")
refused("ResourceNotFoundException", 404, lam.create_function_url_config, FunctionName="absent", AuthType="NONE")

# The end: of one, and of all that a function has.
lam.delete_alias(FunctionName="web", Name="live")
equal(ask(host(live))[0], 403)
lam.delete_function_url_config(FunctionName="web")
equal(ask(web)[0], 403)
again = host(lam.create_function_url_config(FunctionName="web", AuthType="NONE"))
assert again != web
equal(ask(again)[0], 201)
lam.delete_function(FunctionName="web")
equal(ask(again)[0], 403)
