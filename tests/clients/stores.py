"""Clients of key value stores. With SIGNER=crt they sign as AWS's own do: Signature Version 4a, by awscrt."""

import os
import socket
import sys

if os.environ.get("SIGNER") == "crt":
    sys.path.insert(0, os.path.join(sys.prefix, "crt"))

from botocore.config import Config  # noqa: E402, after the path is set
from common import client  # noqa: E402

PORT = os.environ["CONTROL"].rpartition(":")[2]
# The client puts the account before the host of its endpoint. Not every system finds names below localhost.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **named: resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


def data_client(**settings):
    """A client of what is in stores."""
    config = Config(retries={"total_max_attempts": 1}, signature_version=None if os.environ.get("SIGNER") == "crt" else "v4")
    return client("cloudfront-keyvaluestore", endpoint_url=f"http://localhost:{PORT}", config=config, **settings)


def add(cf, name, **settings):
    """A new store: its ARN."""
    return cf.create_key_value_store(Name=name, **settings)["KeyValueStore"]["ARN"]


def put(kvs, arn, key, value):
    etag = kvs.describe_key_value_store(KvsARN=arn)["ETag"]
    return kvs.put_key(KvsARN=arn, Key=key, Value=value, IfMatch=etag)


def pairs(kvs, arn, **settings):
    """Everything in a store, page by page."""
    found = {}
    for page in kvs.get_paginator("list_keys").paginate(KvsARN=arn, **settings):
        found.update((item["Key"], item["Value"]) for item in page["Items"])
    return found
