"""Changes of all kinds while somebody else's requests run through the edge."""

import os

from common import client, create, equal, package
from state import distribution

lam, cf = client("lambda"), client("cloudfront")


def code(mark):
    return f"export const handler = async () => ({{ status: '200', body: 'served {mark}' }});"


def publish(mark):
    lam.update_function_code(FunctionName="churn", ZipFile=package(code(mark)))
    return lam.publish_version(FunctionName="churn")["FunctionArn"]


create(lam, "churn", code(0))
arn = publish(0)
made = cf.create_distribution(DistributionConfig=distribution(arn, "churn.test"))
id, etag = made["Distribution"]["Id"], made["ETag"]
open(os.environ["READY"], "w").close()
for mark in range(1, int(os.environ["CHANGES"])):
    whole = distribution(publish(mark), "churn.test")
    whole["Comment"] = f"change {mark}"
    etag = cf.update_distribution(Id=id, IfMatch=etag, DistributionConfig=whole)["ETag"]
    other = dict(distribution(arn, f"other-{mark}.test"), CallerReference=f"other {mark}")
    made = cf.create_distribution(DistributionConfig=other)
    other["Enabled"] = False
    stopped = cf.update_distribution(Id=made["Distribution"]["Id"], IfMatch=made["ETag"], DistributionConfig=other)
    cf.delete_distribution(Id=made["Distribution"]["Id"], IfMatch=stopped["ETag"])
    paths = dict(Paths=dict(Quantity=1, Items=["/*"]), CallerReference=str(mark))
    cf.create_invalidation(DistributionId=id, InvalidationBatch=paths)
equal(len(cf.list_distributions()["DistributionList"]["Items"]), 1)
