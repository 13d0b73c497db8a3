"""Continuous deployment: a change that some viewers see first, and then everybody."""

import copy
import http.client
import os
import threading

from common import client, equal, refused, view

cf = client("cloudfront")
origin_host, origin_port = os.environ["ORIGIN"].split(":")
OPTIMIZED, DISABLED = "658327ea-f89d-4fab-a63d-7e88639e58f6", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
SITE = "www.staged.test"
COOKIE = "aws-cf-cd-session"


def config(reference, **changes):
    behavior = dict(TargetOriginId="o", ViewerProtocolPolicy="allow-all")
    custom = dict(HTTPPort=int(origin_port), HTTPSPort=443, OriginProtocolPolicy="http-only")
    whole = dict(
        CallerReference=reference,
        Comment="the site",
        Enabled=True,
        Origins=dict(Quantity=1, Items=[dict(Id="o", DomainName=origin_host, CustomOriginConfig=custom)]),
        DefaultCacheBehavior=dict(behavior, CachePolicyId=OPTIMIZED),
        CacheBehaviors=dict(Quantity=1, Items=[dict(behavior, PathPattern="/live/*", CachePolicyId=DISABLED)]),
    )
    whole.update(changes)
    return whole


def change(id, **members):
    """The distribution with these members of its configuration changed; its ETag."""
    found = cf.get_distribution_config(Id=id)
    whole = {**found["DistributionConfig"], **members}
    return cf.update_distribution(Id=id, IfMatch=found["ETag"], DistributionConfig=whole)["ETag"]


def policy_config(enabled=True, names=None, **traffic):
    names = [staging_domain] if names is None else names
    whole = dict(StagingDistributionDnsNames=dict(Quantity=len(names), Items=names), Enabled=enabled)
    return {**whole, "TrafficConfig": traffic} if traffic else whole


def by_header(**changes):
    return policy_config(Type="SingleHeader", SingleHeaderConfig=dict(dict(Header="aws-cf-cd-next", Value="yes"), **changes))


def by_weight(weight, enabled=True, **session):
    weights = dict(Weight=weight, SessionStickinessConfig=session) if session else dict(Weight=weight)
    return policy_config(enabled, Type="SingleWeight", SingleWeightConfig=weights)


def set_policy(config):
    etag = cf.get_continuous_deployment_policy_config(Id=policy)["ETag"]
    changed = cf.update_continuous_deployment_policy(Id=policy, IfMatch=etag, ContinuousDeploymentPolicyConfig=config)
    assert changed["ETag"] != etag
    equal(changed["ContinuousDeploymentPolicy"]["ContinuousDeploymentPolicyConfig"], config)
    return changed["ETag"]


def is_staged(text):
    assert text.startswith("origin says /"), text
    return text.startswith("origin says /next/")


class Viewer:
    """One connection, request after request."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(os.environ["EDGE"], timeout=20)

    def get(self, target, **headers):
        self.connection.request("GET", target, headers={"Host": SITE, **headers})
        response = self.connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, (target, response.status, text)
        return text, response.getheader("Set-Cookie")


# The primary, and a copy of it that nobody reaches.
made = cf.create_distribution(DistributionConfig=config("primary", Aliases=dict(Quantity=1, Items=[SITE])))
primary, etag = made["Distribution"]["Id"], made["ETag"]
wanted = dict(PrimaryDistributionId=primary, Staging=True, IfMatch=etag, CallerReference="copy", Enabled=True)
refused("InvalidIfMatchVersion", 400, cf.copy_distribution, **{key: value for key, value in wanted.items() if key != "IfMatch"})
refused("PreconditionFailed", 412, cf.copy_distribution, **{**wanted, "IfMatch": "ESTALE"})
assert "Staging" in refused("InvalidArgument", 400, cf.copy_distribution, **{**wanted, "Staging": False})
refused("NoSuchDistribution", 404, cf.copy_distribution, **{**wanted, "PrimaryDistributionId": "EABSENT"})
refused("DistributionAlreadyExists", 409, cf.copy_distribution, **{**wanted, "CallerReference": "primary"})
copied = cf.copy_distribution(**wanted)
staging, staging_domain = copied["Distribution"]["Id"], copied["Distribution"]["DomainName"]
shown = copied["Distribution"]["DistributionConfig"]
equal((copied["ResponseMetadata"]["HTTPStatusCode"], shown["Staging"], shown["Aliases"]["Quantity"]), (201, True, 0))
equal((shown["CallerReference"], shown["Comment"], shown["Enabled"]), ("copy", "the site", True))
assert copied["Location"].endswith(f"/distribution/{staging}") and cf.get_distribution(Id=staging)["ETag"] == copied["ETag"]
again = {**wanted, "PrimaryDistributionId": staging, "IfMatch": copied["ETag"], "CallerReference": "again"}
refused("InvalidArgument", 400, cf.copy_distribution, **again)
listed = {one["Id"]: one["Staging"] for one in cf.list_distributions()["DistributionList"]["Items"]}
equal(listed, {primary: False, staging: True})
equal((view(SITE, "/a")[0], view(staging_domain, "/a")[0]), (200, 403))

# What a staging distribution cannot be.
found = cf.get_distribution_config(Id=staging)
changed = copy.deepcopy(found["DistributionConfig"])
changed["Origins"]["Items"][0]["OriginPath"] = "/next"
changed["Comment"] = "the next site"
update = dict(Id=staging, IfMatch=found["ETag"])
refused("IllegalUpdate", 400, cf.update_distribution, **update, DistributionConfig={**changed, "Staging": False})
aliases = dict(Quantity=1, Items=["other.test"])
refused("InvalidArgument", 400, cf.update_distribution, **update, DistributionConfig={**changed, "Aliases": aliases})
refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=config("x", Staging=True, Aliases=aliases))
cf.update_distribution(**update, DistributionConfig=changed)

# Policies, and what they cannot say.
absent = "dabsentabsent.selvedge.local"
for bad, named in [
    (by_weight(0.16), "Weight"),
    (by_weight(-0.01), "Weight"),
    (by_weight(0.1, IdleTTL=299, MaximumTTL=600), "IdleTTL"),
    (by_weight(0.1, IdleTTL=300, MaximumTTL=3601), "MaximumTTL"),
    (by_weight(0.1, IdleTTL=600, MaximumTTL=300), "IdleTTL"),
    (by_header(Header="x-next"), "aws-cf-cd-"),
    (by_header(Value=""), "Value"),
    (policy_config(Type="SingleWeight", SingleHeaderConfig=dict(Header="aws-cf-cd-next", Value="yes")), "SingleWeight"),
    (policy_config(), "TrafficConfig"),
    (policy_config(False, names=[]), "StagingDistributionDnsNames"),
    (policy_config(False, names=[staging_domain, absent]), "StagingDistributionDnsNames"),
    (policy_config(False, names=[absent]), "StagingDistributionDnsNames"),
    (policy_config(False, names=[made["Distribution"]["DomainName"]]), "StagingDistributionDnsNames"),
]:
    message = refused("InvalidArgument", 400, cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=bad)
    assert named in message, (named, message)
bad = by_header()
bad["StagingDistributionDnsNames"]["Quantity"] = 2
refused("InconsistentQuantities", 400, cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=bad)
made_policy = cf.create_continuous_deployment_policy(ContinuousDeploymentPolicyConfig=by_header())
policy = made_policy["ContinuousDeploymentPolicy"]["Id"]
equal(made_policy["ResponseMetadata"]["HTTPStatusCode"], 201)
assert made_policy["Location"].endswith(f"/continuous-deployment-policy/{policy}")
equal(cf.get_continuous_deployment_policy(Id=policy)["ContinuousDeploymentPolicy"], made_policy["ContinuousDeploymentPolicy"])
equal(cf.get_continuous_deployment_policy_config(Id=policy)["ContinuousDeploymentPolicyConfig"], by_header())
refused("NoSuchContinuousDeploymentPolicy", 404, cf.get_continuous_deployment_policy, Id="absent")
refused("ContinuousDeploymentPolicyAlreadyExists", 409, cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=by_header())
refused("StagingDistributionInUse", 409, cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=by_weight(0.1))
changes = dict(Id=policy, ContinuousDeploymentPolicyConfig=by_header())
refused("InvalidIfMatchVersion", 400, cf.update_continuous_deployment_policy, **changes)
refused("PreconditionFailed", 412, cf.update_continuous_deployment_policy, IfMatch="ESTALE", **changes)

# The primary takes it.
refused("InvalidArgument", 400, cf.create_distribution, DistributionConfig=config("x", ContinuousDeploymentPolicyId=policy))
refused("NoSuchContinuousDeploymentPolicy", 404, change, primary, ContinuousDeploymentPolicyId="absent")
refused("InvalidArgument", 400, change, staging, ContinuousDeploymentPolicyId=policy)
equal(view(SITE, "/a", headers={"aws-cf-cd-next": "yes"})[2], "origin says /a")
change(primary, ContinuousDeploymentPolicyId=policy)
other = cf.create_distribution(DistributionConfig=config("other", Enabled=False))["Distribution"]["Id"]
refused("ContinuousDeploymentPolicyInUse", 409, change, other, ContinuousDeploymentPolicyId=policy)

# By header; each has a cache of its own.
next_site = {"aws-cf-cd-next": "yes"}


def seen(target, headers=()):
    status, answered, text = view(SITE, target, headers=headers)
    assert status == 200 and "Set-Cookie" not in answered, answered
    return text, answered["X-Cache"].split(" ")[0]


equal(seen("/a", next_site), ("origin says /next/a", "Miss"))
equal(seen("/a", next_site), ("origin says /next/a", "Hit"))
equal(seen("/a"), ("origin says /a", "Hit"))
for strange in ({"aws-cf-cd-next": "Yes"}, {"aws-cf-cd-other": "yes"}):
    equal(seen("/a", strange), ("origin says /a", "Hit"))
batch = dict(Paths=dict(Quantity=1, Items=["/*"]), CallerReference="i1")
cf.create_invalidation(DistributionId=staging, InvalidationBatch=batch)
equal((seen("/a", next_site)[1], seen("/a")[1]), ("Miss", "Hit"))

# By weight. The bound is seven standard deviations: one run in some hundred thousand million fails.
ASKED = 4000
set_policy(by_weight(0.15))
viewer = Viewer()
staged = sum(is_staged(viewer.get("/a")[0]) for _ in range(ASKED))
deviation = (ASKED * 0.15 * 0.85) ** 0.5
assert abs(staged - ASKED * 0.15) < 7 * deviation, staged
set_policy(by_weight(0))
equal(sum(is_staged(viewer.get("/a")[0]) for _ in range(200)), 0)

# A session stays where it began, until the policy is switched off.
set_policy(by_weight(0.15, IdleTTL=300, MaximumTTL=3600))
sessions = {}
for _ in range(200):
    text, cookie = viewer.get("/a")
    value, *attributes = cookie.split("; ")
    equal((value.split("=")[0], attributes), (COOKIE, ["Path=/", "Max-Age=300", "HttpOnly"]))
    sessions[is_staged(text)] = value
    for nth in range(3):
        equal(is_staged(viewer.get(f"/a?{nth}", Cookie=f"x=1; {value}")[0]), is_staged(text))
equal(set(sessions), {True, False})
set_policy(by_weight(0.01, IdleTTL=300, MaximumTTL=600))
equal([is_staged(viewer.get("/a", Cookie=sessions[kind])[0]) for kind in (True, False)], [True, False])
set_policy(by_weight(0, enabled=False, IdleTTL=300, MaximumTTL=600))
equal(viewer.get("/a", Cookie=sessions[True]), ("origin says /a", None))
set_policy(by_weight(0, IdleTTL=300, MaximumTTL=600))
text, cookie = viewer.get("/a", Cookie=sessions[True])
assert not is_staged(text) and cookie.startswith(COOKIE), (text, cookie)

# Nothing goes while it is needed.
set_policy(by_weight(0.15))
policy_etag = cf.get_continuous_deployment_policy(Id=policy)["ETag"]
refused("ContinuousDeploymentPolicyInUse", 409, cf.delete_continuous_deployment_policy, Id=policy, IfMatch=policy_etag)
refused("InvalidIfMatchVersion", 400, cf.delete_continuous_deployment_policy, Id=policy)
refused("StagingDistributionInUse", 409, change, staging, Enabled=False)

# Promoted while viewers ask: the staging distribution's configuration is everybody's at once.
primary_etag, staging_etag = (cf.get_distribution(Id=id)["ETag"] for id in (primary, staging))
promotion = dict(Id=primary, StagingDistributionId=staging)
both = f"{primary_etag},{staging_etag}"
refused("InvalidIfMatchVersion", 400, cf.update_distribution_with_staging_config, **promotion)
refused("InvalidIfMatchVersion", 400, cf.update_distribution_with_staging_config, IfMatch=primary_etag, **promotion)
refused("PreconditionFailed", 412, cf.update_distribution_with_staging_config, IfMatch=f"{staging_etag},{primary_etag}", **promotion)
refused("NoSuchDistribution", 404, cf.update_distribution_with_staging_config, IfMatch=both, **{**promotion, "StagingDistributionId": "EABSENT"})
refused("IllegalUpdate", 400, cf.update_distribution_with_staging_config, IfMatch=both, **{**promotion, "StagingDistributionId": other})
refused("IllegalUpdate", 400, cf.update_distribution_with_staging_config, IfMatch=both, Id=other)
failures, counts, stop = [], [0] * 4, threading.Event()


def keep_asking(number):
    try:
        viewer = Viewer()
        while not stop.is_set():
            is_staged(viewer.get(f"/live/{number}/{counts[number]}")[0])
            counts[number] += 1
    except Exception as error:  # whatever it is, it is a failed request
        failures.append(error)


def wait_for_more(more):
    wanted = [count + more for count in counts]
    while not failures and any(count < least for count, least in zip(counts, wanted)):
        stop.wait(0.01)


threads = [threading.Thread(target=keep_asking, args=(number,), daemon=True) for number in range(len(counts))]
for thread in threads:
    thread.start()
wait_for_more(50)
promoted = cf.update_distribution_with_staging_config(IfMatch=f"{primary_etag}, {staging_etag}", **promotion)
equal([is_staged(viewer.get(f"/live/after/{nth}")[0]) for nth in range(50)], [True] * 50)
wait_for_more(50)
stop.set()
for thread in threads:
    thread.join()
equal(failures, [])
shown = promoted["Distribution"]["DistributionConfig"]
assert promoted["ETag"] not in (primary_etag, staging_etag)
equal((shown["Aliases"]["Items"], shown["CallerReference"], shown["Staging"]), ([SITE], "primary", False))
equal((shown["Comment"], shown["ContinuousDeploymentPolicyId"]), ("the next site", policy))
equal(cf.get_continuous_deployment_policy(Id=policy)["ContinuousDeploymentPolicy"]["ContinuousDeploymentPolicyConfig"], by_weight(0.15, enabled=False))
equal((cf.get_distribution(Id=staging)["ETag"], view(staging_domain, "/a")[0]), (staging_etag, 403))

# The end, in its order.
etag = change(staging, Enabled=False)
primary_etag = cf.get_distribution(Id=primary)["ETag"]
refused("IllegalUpdate", 400, cf.update_distribution_with_staging_config, IfMatch=f"{primary_etag},{etag}", **promotion)
refused("StagingDistributionInUse", 409, cf.delete_distribution, Id=staging, IfMatch=etag)
policy_etag = cf.get_continuous_deployment_policy(Id=policy)["ETag"]
refused("ContinuousDeploymentPolicyInUse", 409, cf.delete_continuous_deployment_policy, Id=policy, IfMatch=policy_etag)
change(primary, ContinuousDeploymentPolicyId="")
cf.delete_continuous_deployment_policy(Id=policy, IfMatch=policy_etag)
refused("NoSuchContinuousDeploymentPolicy", 404, cf.get_continuous_deployment_policy, Id=policy)
cf.delete_distribution(Id=staging, IfMatch=etag)

# Quotas, and lists in pages.
names = []
for nth in range(20):
    one = cf.create_distribution(DistributionConfig=config(f"s{nth}", Staging=True, Enabled=False))["Distribution"]
    names.append(one["DomainName"])
    cf.create_continuous_deployment_policy(ContinuousDeploymentPolicyConfig=policy_config(False, names=names[-1:]))
refused("TooManyDistributions", 400, cf.create_distribution, DistributionConfig=config("s20", Staging=True, Enabled=False))
refused("TooManyContinuousDeploymentPolicies", 400, cf.create_continuous_deployment_policy, ContinuousDeploymentPolicyConfig=policy_config(False, names=[absent]))
found, marker = [], {}
while True:
    page = cf.list_continuous_deployment_policies(MaxItems="7", **marker)["ContinuousDeploymentPolicyList"]
    assert page["Quantity"] == len(page["Items"]) <= 7 and page["MaxItems"] == 7, page
    found += [item["ContinuousDeploymentPolicy"] for item in page["Items"]]
    if "NextMarker" not in page:
        break
    marker = dict(Marker=page["NextMarker"])
listed = [one["ContinuousDeploymentPolicyConfig"]["StagingDistributionDnsNames"]["Items"][0] for one in found]
equal(sorted(listed), sorted(names))
