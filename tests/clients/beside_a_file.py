"""An edge that has functions and distributions of its configuration file, too."""

from common import client, create, refused, view
from state import CODE, distribution

lam, cf = client("lambda"), client("cloudfront")

message = refused("ResourceConflictException", 409, create, lam, "filed", CODE)
assert "function filed is also a function of the control plane" in message, message
arn = create(lam, "beside", CODE, Publish=True)["FunctionArn"]
taken = refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=distribution(arn, "file.test"))
assert "file.test is already a domain of distribution site" in taken, taken
cf.create_distribution(DistributionConfig=distribution(arn))
assert view("kept.test", "/")[2] == "kept"
assert view("file.test", "/")[2] == "the file"
