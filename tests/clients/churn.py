"""Changes of all kinds, one after the other, while somebody else's requests run through the edge."""

import os

from common import client, create, equal, package
from state import distribution

lam, cf = client("lambda"), client("cloudfront")
NOTHING = dict(CookiesConfig=dict(CookieBehavior="none"), QueryStringsConfig=dict(QueryStringBehavior="none"))


def code(mark):
    return f"""export const handler = async (event) => {{
      const {{ config, request, response }} = event.Records[0].cf;
      if (config.eventType === 'viewer-request' && request.uri.startsWith('/made/')) {{
        return {{ status: '200', body: '{mark}' }};
      }}
      const message = response ?? request;
      message.headers['x-' + config.eventType] = [{{ value: '{mark}' }}];
      return message;
    }};"""


def publish(mark):
    lam.update_function_code(FunctionName="churn", ZipFile=package(code(mark)))
    return lam.publish_version(FunctionName="churn")["FunctionArn"]


def cache(mark):
    key = dict(EnableAcceptEncodingGzip=False, HeadersConfig=dict(HeaderBehavior="none"), **NOTHING)
    return dict(Name="churn", MinTTL=0, DefaultTTL=60, MaxTTL=600 + mark, ParametersInCacheKeyAndForwardedToOrigin=key)


def forward(mark):
    listed = dict(Quantity=1, Items=[f"x-forward-{mark}"])
    return dict(Name="churn", HeadersConfig=dict(HeaderBehavior="whitelist", Headers=listed), **NOTHING)


def headers(mark):
    added = dict(Header="x-round", Value=str(mark), Override=True)
    return dict(Name="churn", CustomHeadersConfig=dict(Quantity=1, Items=[added]))


def whole(arn, mark):
    config = dict(distribution(arn, "churn.test"), Comment=f"change {mark}")
    events = ("viewer-request", "origin-request", "origin-response", "viewer-response")
    associations = [dict(LambdaFunctionARN=arn, EventType=event, IncludeBody=event == "viewer-request") for event in events]
    methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    config["DefaultCacheBehavior"].update(
        CachePolicyId=made["cache"]["CachePolicy"]["Id"],
        OriginRequestPolicyId=made["forward"]["OriginRequestPolicy"]["Id"],
        ResponseHeadersPolicyId=made["headers"]["ResponseHeadersPolicy"]["Id"],
        AllowedMethods=dict(Quantity=len(methods), Items=methods),
        LambdaFunctionAssociations=dict(Quantity=len(events), Items=associations),
    )
    if mark % 2:
        config["CacheBehaviors"] = dict(Quantity=1, Items=[dict(config["DefaultCacheBehavior"], PathPattern="/posted/*")])
    return config


def update_policies(mark):
    id = made["cache"]["CachePolicy"]["Id"]
    made["cache"] = cf.update_cache_policy(Id=id, IfMatch=made["cache"]["ETag"], CachePolicyConfig=cache(mark))
    id = made["forward"]["OriginRequestPolicy"]["Id"]
    made["forward"] = cf.update_origin_request_policy(Id=id, IfMatch=made["forward"]["ETag"], OriginRequestPolicyConfig=forward(mark))
    id = made["headers"]["ResponseHeadersPolicy"]["Id"]
    made["headers"] = cf.update_response_headers_policy(Id=id, IfMatch=made["headers"]["ETag"], ResponseHeadersPolicyConfig=headers(mark))


def another_comes_and_goes(arn, mark):
    other = dict(distribution(arn, f"other-{mark}.test"), CallerReference=f"other {mark}")
    there = cf.create_distribution(DistributionConfig=other)
    other["Enabled"] = False
    stopped = cf.update_distribution(Id=there["Distribution"]["Id"], IfMatch=there["ETag"], DistributionConfig=other)
    cf.delete_distribution(Id=there["Distribution"]["Id"], IfMatch=stopped["ETag"])


made = dict(
    cache=cf.create_cache_policy(CachePolicyConfig=cache(0)),
    forward=cf.create_origin_request_policy(OriginRequestPolicyConfig=forward(0)),
    headers=cf.create_response_headers_policy(ResponseHeadersPolicyConfig=headers(0)),
)
create(lam, "churn", code("none"))
served = cf.create_distribution(DistributionConfig=whole(publish(0), 0))
id, etag = served["Distribution"]["Id"], served["ETag"]
open(os.environ["READY"], "w").close()
for mark in range(1, int(os.environ["CHANGES"])):
    arn = publish(mark)
    etag = cf.update_distribution(Id=id, IfMatch=etag, DistributionConfig=whole(arn, mark))["ETag"]
    # Nobody new comes to the version before; who is with it stays.
    lam.delete_function(FunctionName="churn", Qualifier=str(mark))
    update_policies(mark)
    another_comes_and_goes(arn, mark)
    cf.create_invalidation(DistributionId=id, InvalidationBatch=dict(Paths=dict(Quantity=1, Items=["/*"]), CallerReference=str(mark)))
equal([d["Id"] for d in cf.list_distributions()["DistributionList"]["Items"]], [id])
