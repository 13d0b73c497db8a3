"""A distribution with four functions, from its creation to its end."""

import os
import time

from common import client, create, equal, package, refused, view

lam, cf = client("lambda"), client("cloudfront")
origin_host, origin_port = os.environ["ORIGIN"].split(":")
OPTIMIZED, DISABLED = "658327ea-f89d-4fab-a63d-7e88639e58f6", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"


def code(mark):
    return f"""export const handler = async (event) => {{
      const {{ config, request, response }} = event.Records[0].cf;
      const message = response ?? request;
      const name = 'x-' + config.eventType;
      message.headers[name] = [{{ key: name, value: '{mark}' }}];
      if (config.eventType === 'viewer-request' && request.body) {{
        const body = Buffer.from(request.body.data, 'base64').toString();
        Object.assign(request.body, {{ action: 'replace', encoding: 'text', data: 'seen: ' + body }});
      }}
      return message;
    }};"""


def publish(mark):
    lam.update_function_code(FunctionName="mark", ZipFile=package(code(mark)))
    return lam.publish_version(FunctionName="mark")["FunctionArn"]


def config(arn, **changes):
    events = ("viewer-request", "origin-request", "origin-response", "viewer-response")
    associations = [dict(LambdaFunctionARN=arn, EventType=event, IncludeBody=event == "viewer-request") for event in events]
    methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    whole = dict(
        CallerReference="first",
        Comment="",
        Enabled=True,
        Aliases=dict(Quantity=1, Items=["www.example.test"]),
        Origins=dict(
            Quantity=1,
            Items=[
                dict(
                    Id="o",
                    DomainName=origin_host,
                    CustomOriginConfig=dict(HTTPPort=int(origin_port), HTTPSPort=443, OriginProtocolPolicy="http-only"),
                )
            ],
        ),
        DefaultCacheBehavior=dict(
            TargetOriginId="o",
            ViewerProtocolPolicy="allow-all",
            CachePolicyId=OPTIMIZED,
            AllowedMethods=dict(Quantity=7, Items=methods),
            LambdaFunctionAssociations=dict(Quantity=4, Items=associations),
        ),
    )
    whole.update(changes)
    return whole


create(lam, "mark", code("none"))
one = publish("one")

# Created, and served at once.
made = cf.create_distribution(DistributionConfig=config(one))
asked = time.monotonic()
id, etag = made["Distribution"]["Id"], made["ETag"]
equal((made["ResponseMetadata"]["HTTPStatusCode"], made["Distribution"]["Status"]), (201, "Deployed"))
assert made["Location"].endswith(f"/distribution/{id}"), made
status, headers, text = view("www.example.test", "/a")
assert time.monotonic() - asked < 1, "not within a second"
equal((status, text, headers["x-viewer-response"], headers["x-origin-response"]), (200, "origin says /a", "one", "one"))
equal(view(made["Distribution"]["DomainName"], "/a")[0], 200)
equal(view("www.example.test", "/echo", "POST", "a body")[0], 200)
cf.get_waiter("distribution_deployed").wait(Id=id)

# Shown with every default.
got = cf.get_distribution_config(Id=id)
equal((got["ETag"], got["DistributionConfig"]["PriceClass"]), (etag, "PriceClass_All"))
equal(got["DistributionConfig"]["DefaultCacheBehavior"]["AllowedMethods"]["CachedMethods"]["Items"], ["HEAD", "GET"])
equal([d["Id"] for d in cf.list_distributions()["DistributionList"]["Items"]], [id])

# Refused, in CloudFront's words.
other = dict(CallerReference="other", Aliases=dict(Quantity=0))
refused("DistributionAlreadyExists", 409, cf.create_distribution, DistributionConfig=config(one))
refused("CNAMEAlreadyExists", 409, cf.create_distribution, DistributionConfig=config(one, CallerReference="other"))
for arn in (one.rsplit(":", 1)[0], one.rsplit(":", 1)[0] + ":$LATEST", one[:-1] + "99"):
    refused("InvalidLambdaFunctionAssociation", 400, cf.create_distribution, DistributionConfig=config(arn, **other))
refused("InconsistentQuantities", 400, cf.create_distribution, DistributionConfig=config(one, **{**other, "Aliases": dict(Quantity=2, Items=["a.test"])}))
assert "WebACLId" in refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=config(one, WebACLId="x", **other))
bad = config(one, **other)
bad["DefaultCacheBehavior"]["TargetOriginId"] = "absent"
refused("NoSuchOrigin", 404, cf.create_distribution, DistributionConfig=bad)
bad = config(one, **other)
bad["DefaultCacheBehavior"]["CachePolicyId"] = "absent"
refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=bad)
assert "ListStreamingDistributions" not in refused("UnsupportedOperation", 400, cf.list_streaming_distributions)
stream = dict(StreamType="Kinesis", KinesisStreamConfig=dict(RoleARN="arn:aws:iam::0:role/r", StreamARN="arn:aws:kinesis:::s"))
real_time = dict(EndPoints=[stream], Fields=["timestamp"], Name="n", SamplingRate=1)
assert "CreateRealtimeLogConfig" in refused("UnsupportedOperation", 400, cf.create_realtime_log_config, **real_time)
equal([d["Id"] for d in cf.list_distributions()["DistributionList"]["Items"]], [id])

# Updated by who has seen the last state.
two = publish("two")
refused("InvalidIfMatchVersion", 400, cf.update_distribution, Id=id, DistributionConfig=config(two))
refused("PreconditionFailed", 412, cf.update_distribution, Id=id, IfMatch="ESTALE", DistributionConfig=config(two))
refused("IllegalUpdate", 400, cf.update_distribution, Id=id, IfMatch=etag, DistributionConfig=config(two, CallerReference="x"))
updated = cf.update_distribution(Id=id, IfMatch=etag, DistributionConfig=config(two))
assert updated["ETag"] != etag
equal(view("www.example.test", "/a")[1]["x-viewer-response"], "two")

# What is in the cache stays, with what origin-response made of it, until it is invalidated.
equal(view("www.example.test", "/a")[1]["x-origin-response"], "one")
batch = dict(Paths=dict(Quantity=1, Items=["/*"]), CallerReference="i1")
invalidation = cf.create_invalidation(DistributionId=id, InvalidationBatch=batch)["Invalidation"]
equal(invalidation["Status"], "Completed")
equal(view("www.example.test", "/a")[1]["x-origin-response"], "two")
equal(cf.create_invalidation(DistributionId=id, InvalidationBatch=batch)["Invalidation"]["Id"], invalidation["Id"])
cf.get_waiter("invalidation_completed").wait(DistributionId=id, Id=invalidation["Id"])
equal([i["Id"] for i in cf.list_invalidations(DistributionId=id)["InvalidationList"]["Items"]], [invalidation["Id"]])

# A version that is in use cannot go; a rollback is the older version again.
refused("InvalidParameterValueException", 400, lam.delete_function, FunctionName="mark", Qualifier="2")
refused("InvalidParameterValueException", 400, lam.delete_function, FunctionName="mark")
etag = cf.update_distribution(Id=id, IfMatch=updated["ETag"], DistributionConfig=config(one))["ETag"]
equal(view("www.example.test", "/a")[1]["x-viewer-response"], "one")

# Tags.
arn = made["Distribution"]["ARN"]
cf.tag_resource(Resource=arn, Tags=dict(Items=[dict(Key="a", Value="1"), dict(Key="b", Value="2")]))
cf.untag_resource(Resource=arn, TagKeys=dict(Items=["a"]))
equal(cf.list_tags_for_resource(Resource=arn)["Tags"]["Items"], [dict(Key="b", Value="2")])
tagged = cf.create_distribution_with_tags(
    DistributionConfigWithTags=dict(DistributionConfig=config(one, Enabled=False, **other), Tags=dict(Items=[dict(Key="c", Value="3")]))
)
equal(cf.list_tags_for_resource(Resource=tagged["Distribution"]["ARN"])["Tags"]["Items"], [dict(Key="c", Value="3")])
equal(len([d for page in cf.get_paginator("list_distributions").paginate(PaginationConfig={"PageSize": 1}) for d in page["DistributionList"]["Items"]]), 2)
cf.delete_distribution(Id=tagged["Distribution"]["Id"], IfMatch=tagged["ETag"])

# The end: disabled first.
refused("DistributionNotDisabled", 409, cf.delete_distribution, Id=id, IfMatch=etag)
etag = cf.update_distribution(Id=id, IfMatch=etag, DistributionConfig=config(one, Enabled=False))["ETag"]
assert view("www.example.test", "/a")[0] != 200
cf.delete_distribution(Id=id, IfMatch=etag)
refused("NoSuchDistribution", 404, cf.get_distribution, Id=id)
lam.delete_function(FunctionName="mark")
