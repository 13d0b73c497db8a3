"""Policies of clients' own, and the managed ones."""

import os

from common import client, create, equal, refused, view
from state import CODE, distribution

lam, cf = client("lambda"), client("cloudfront")
NONE = dict(CookiesConfig=dict(CookieBehavior="none"), QueryStringsConfig=dict(QueryStringBehavior="none"))


def names(*items):
    return dict(Quantity=len(items), Items=list(items))


def cache(name, **selections):
    key = dict(EnableAcceptEncodingGzip=False, EnableAcceptEncodingBrotli=False, HeadersConfig=dict(HeaderBehavior="none"), **NONE)
    key.update(selections)
    return dict(Name=name, MinTTL=0, DefaultTTL=60, MaxTTL=600, ParametersInCacheKeyAndForwardedToOrigin=key)


# The managed ones are listed as CloudFront lists them, and cannot be changed.
managed = {p["CachePolicy"]["CachePolicyConfig"]["Name"]: p["CachePolicy"] for p in cf.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]}
optimized = managed["Managed-CachingOptimized"]
equal((optimized["Id"], optimized["CachePolicyConfig"]["MaxTTL"]), ("658327ea-f89d-4fab-a63d-7e88639e58f6", 31536000))
got = cf.get_cache_policy(Id=optimized["Id"])
equal(got["CachePolicy"]["CachePolicyConfig"], optimized["CachePolicyConfig"])
refused("IllegalDelete", 400, cf.delete_cache_policy, Id=optimized["Id"], IfMatch=got["ETag"])
refused("IllegalUpdate", 400, cf.update_cache_policy, Id=optimized["Id"], IfMatch=got["ETag"], CachePolicyConfig=cache("x"))
forwards = {p["OriginRequestPolicy"]["OriginRequestPolicyConfig"]["Name"]: p["OriginRequestPolicy"] for p in cf.list_origin_request_policies(Type="managed")["OriginRequestPolicyList"]["Items"]}
equal(forwards["Managed-AllViewer"]["OriginRequestPolicyConfig"]["HeadersConfig"]["HeaderBehavior"], "allViewer")
security = {p["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]["Name"]: p["ResponseHeadersPolicy"] for p in cf.list_response_headers_policies(Type="managed")["ResponseHeadersPolicyList"]["Items"]}
shown = cf.get_response_headers_policy(Id=security["Managed-CORS-and-SecurityHeadersPolicy"]["Id"])["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]
equal(shown["SecurityHeadersConfig"]["StrictTransportSecurity"]["AccessControlMaxAgeSec"], 31536000)
equal(shown["CorsConfig"]["AccessControlAllowMethods"]["Items"], ["GET", "HEAD"])
assert "UseOriginCacheControlHeaders" in managed, managed.keys()

# Own ones.
made = cf.create_cache_policy(CachePolicyConfig=cache("own", QueryStringsConfig=dict(QueryStringBehavior="whitelist", QueryStrings=names("v"))))
policy, etag = made["CachePolicy"]["Id"], made["ETag"]
refused("CachePolicyAlreadyExists", 409, cf.create_cache_policy, CachePolicyConfig=cache("own"))
refused("NoSuchCachePolicy", 404, cf.get_cache_policy, Id="absent")
headers = cf.create_response_headers_policy(
    ResponseHeadersPolicyConfig=dict(
        Name="own",
        CustomHeadersConfig=dict(Quantity=1, Items=[dict(Header="x-own", Value="yes", Override=True)]),
        SecurityHeadersConfig=dict(StrictTransportSecurity=dict(Override=True, AccessControlMaxAgeSec=600)),
    )
)["ResponseHeadersPolicy"]["Id"]
forward = cf.create_origin_request_policy(
    OriginRequestPolicyConfig=dict(Name="own", HeadersConfig=dict(HeaderBehavior="whitelist", Headers=names("x-tell-origin")), **NONE)
)["OriginRequestPolicy"]["Id"]
arn = create(lam, "policies", CODE, Publish=True)["FunctionArn"]
whole = distribution(arn, "policies.test")
whole["DefaultCacheBehavior"].update(
    CachePolicyId=policy,
    OriginRequestPolicyId=forward,
    ResponseHeadersPolicyId=headers,
    LambdaFunctionAssociations=dict(Quantity=0),
)
id = cf.create_distribution(DistributionConfig=whole)["Distribution"]["Id"]
first = view("policies.test", "/p?v=1&w=1")
equal((first[1]["x-own"], first[1]["strict-transport-security"], first[1]["X-Cache"]), ("yes", "max-age=600", "Miss from cloudfront"))
# Only what the policy names is in the key, and its update takes effect at once.
equal(view("policies.test", "/p?v=1&w=2")[1]["X-Cache"], "Hit from cloudfront")
equal(view("policies.test", "/p?v=2&w=2")[1]["X-Cache"], "Miss from cloudfront")
refused("PreconditionFailed", 412, cf.update_cache_policy, Id=policy, IfMatch="ESTALE", CachePolicyConfig=cache("own"))
etag = cf.update_cache_policy(Id=policy, IfMatch=etag, CachePolicyConfig=cache("own"))["ETag"]
equal([view("policies.test", f"/p?v={v}")[1]["X-Cache"].split()[0] for v in (3, 4)], ["Miss", "Hit"])
equal(cf.get_cache_policy_config(Id=policy)["CachePolicyConfig"]["Name"], "own")
refused("CachePolicyInUse", 409, cf.delete_cache_policy, Id=policy, IfMatch=etag)
etag_of = cf.get_distribution(Id=id)["ETag"]
whole["Enabled"] = False
etag_of = cf.update_distribution(Id=id, IfMatch=etag_of, DistributionConfig=whole)["ETag"]
cf.delete_distribution(Id=id, IfMatch=etag_of)
cf.delete_cache_policy(Id=policy, IfMatch=etag)
equal(cf.list_cache_policies(Type="custom")["CachePolicyList"]["Quantity"], 0)
