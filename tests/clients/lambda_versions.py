"""Versions, and aliases that share invocations out."""

import json
from collections import Counter

from common import client, create, equal, package, refused

lam = client("lambda")


def says(text):
    return f"export const handler = async (event, context) => ({{ text: '{text}', version: context.functionVersion }});"


def invoked(qualifier):
    answer = lam.invoke(FunctionName="f", Qualifier=qualifier)
    return answer["ExecutedVersion"], json.load(answer["Payload"])["text"]


one = create(lam, "f", says("one"), Publish=True)
equal(one["Version"], "1")
assert one["FunctionArn"].endswith(":function:f:1"), one
# Nothing changed: the same version again.
equal(lam.publish_version(FunctionName="f")["Version"], "1")
lam.update_function_code(FunctionName="f", ZipFile=package(says("two")))
refused("PreconditionFailedException", 412, lam.publish_version, FunctionName="f", CodeSha256=one["CodeSha256"])
two = lam.publish_version(FunctionName="f", Description="the second")
equal((two["Version"], two["Description"]), ("2", "the second"))
lam.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="2")
equal([invoked("1"), invoked("2"), invoked("$LATEST")], [("1", "one"), ("2", "two"), ("$LATEST", "two")])
equal([v["Version"] for v in lam.list_versions_by_function(FunctionName="f")["Versions"]], ["$LATEST", "1", "2"])

# Aliases.
live = lam.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
assert live["AliasArn"].endswith(":function:f:live"), live
refused("ResourceConflictException", 409, lam.create_alias, FunctionName="f", Name="live", FunctionVersion="1")
refused("ResourceNotFoundException", 404, lam.create_alias, FunctionName="f", Name="other", FunctionVersion="9")
refused("InvalidParameterValueException", 400, lam.create_alias, FunctionName="f", Name="12", FunctionVersion="1")
equal(invoked("live"), ("1", "one"))
equal(lam.get_function(FunctionName="f:live")["Configuration"]["Version"], "1")
refused("PreconditionFailedException", 412, lam.update_alias, FunctionName="f", Name="live", FunctionVersion="2", RevisionId="stale")
lam.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RevisionId=live["RevisionId"])
equal(invoked("live"), ("2", "two"))
# A rollback is another version in the same alias.
lam.update_alias(FunctionName="f", Name="live", FunctionVersion="1")
equal(invoked("live"), ("1", "one"))

# A share of the invocations: of 200, a half is never fewer than 50 or more than 150.
lam.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
equal(lam.get_alias(FunctionName="f", Name="live")["RoutingConfig"], {"AdditionalVersionWeights": {"2": 0.5}})
shares = Counter(invoked("live")[0] for _ in range(200))
assert set(shares) == {"1", "2"} and 50 < shares["2"] < 150, shares
for weights in ({"2": 1.5}, {"1": 0.5}, {"9": 0.5}):
    call = dict(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": weights})
    code, status = ("ResourceNotFoundException", 404) if "9" in weights else ("InvalidParameterValueException", 400)
    refused(code, status, lam.update_alias, **call)
equal([a["Name"] for a in lam.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]], ["live"])

# A version that an alias needs stays; a number is never given twice.
refused("ResourceConflictException", 409, lam.delete_function, FunctionName="f", Qualifier="2")
lam.delete_alias(FunctionName="f", Name="live")
lam.delete_function(FunctionName="f", Qualifier="2")
refused("ResourceNotFoundException", 404, lam.get_function, FunctionName="f", Qualifier="2")
equal(lam.publish_version(FunctionName="f")["Version"], "3")
lam.delete_function(FunctionName="f")
equal(create(lam, "f", says("four"), Publish=True)["Version"], "4")
