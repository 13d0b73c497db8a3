"""Public keys and key groups: behaviors that open to signed URLs only. The signatures were made by OpenSSL."""

import json
import os

from common import client, create, equal, refused, view
from state import CODE, distribution

lam, cf = client("lambda"), client("cloudfront")
vectors = json.load(open(os.environ["VECTORS"]))
HOST = "www.example.net"


def key(name, **changes):
    config = dict(CallerReference=name, Name=name, EncodedKey=vectors["keys"][name], Comment="")
    return cf.create_public_key(PublicKeyConfig={**config, **changes})


def opened(canned, pair):
    mark = f"&Expires={canned['expires']}&Signature={canned['signature']}&Key-Pair-Id={pair}&Hash-Algorithm={canned['hash']}"
    return view(HOST, canned["url"] + mark)[0]


def canned(name):
    return next(one for one in vectors["canned"] if one["key"] == name)


made = key("RSA")
rsa, etag = made["PublicKey"]["Id"], made["ETag"]
assert rsa.startswith("K") and len(rsa) == 14, rsa
equal(cf.get_public_key(Id=rsa)["PublicKey"], made["PublicKey"])
equal(cf.get_public_key_config(Id=rsa)["PublicKeyConfig"]["EncodedKey"], vectors["keys"]["RSA"])
refused("PublicKeyAlreadyExists", 409, key, "RSA")
refused("InvalidArgument", 400, key, "EC", EncodedKey="no key")
refused("NoSuchPublicKey", 404, cf.get_public_key, Id="KABSENT")
config = made["PublicKey"]["PublicKeyConfig"]
refused("CannotChangeImmutablePublicKeyFields", 400, cf.update_public_key, Id=rsa, IfMatch=etag, PublicKeyConfig={**config, "EncodedKey": vectors["keys"]["EC"]})
etag = cf.update_public_key(Id=rsa, IfMatch=etag, PublicKeyConfig={**config, "Comment": "the first"})["ETag"]
ec = key("EC")["PublicKey"]["Id"]
equal([(k["Id"], k["Comment"]) for k in cf.list_public_keys()["PublicKeyList"]["Items"]], sorted([(rsa, "the first"), (ec, "")]))

refused("InvalidArgument", 400, cf.create_key_group, KeyGroupConfig=dict(Name="readers", Items=["KABSENT"]))
made = cf.create_key_group(KeyGroupConfig=dict(Name="readers", Items=[rsa]))
group, group_etag = made["KeyGroup"]["Id"], made["ETag"]
equal(cf.get_key_group(Id=group)["KeyGroup"]["KeyGroupConfig"]["Items"], [rsa])
refused("KeyGroupAlreadyExists", 409, cf.create_key_group, KeyGroupConfig=dict(Name="readers", Items=[ec]))
refused("PublicKeyInUse", 409, cf.delete_public_key, Id=rsa, IfMatch=etag)

# A distribution that trusts it.
arn = create(lam, "keys", CODE, Publish=True)["FunctionArn"]
whole = distribution(arn, HOST)
behavior = whole["DefaultCacheBehavior"]
behavior["TrustedKeyGroups"] = dict(Enabled=True, Quantity=1, Items=["00000000-0000-0000-0000-000000000000"])
refused("TrustedKeyGroupDoesNotExist", 400, cf.create_distribution, DistributionConfig=whole)
behavior["TrustedKeyGroups"]["Items"] = [group]
created = cf.create_distribution(DistributionConfig=whole)
id, distribution_etag = created["Distribution"]["Id"], created["ETag"]
active = created["Distribution"]["ActiveTrustedKeyGroups"]
equal(active, {"Enabled": True, "Quantity": 1, "Items": [{"KeyGroupId": group, "KeyPairIds": {"Quantity": 1, "Items": [rsa]}}]})
equal(view(HOST, canned("RSA")["url"])[0], 403)
equal(opened(canned("RSA"), rsa), 200)
equal((opened(canned("EC"), ec), opened(canned("RSA"), ec)), (403, 403))

# Keys come and go at once.
group_etag = cf.update_key_group(Id=group, IfMatch=group_etag, KeyGroupConfig=dict(Name="readers", Items=[ec]))["ETag"]
equal((opened(canned("EC"), ec), opened(canned("RSA"), rsa)), (200, 403))
cf.delete_public_key(Id=rsa, IfMatch=etag)
refused("ResourceInUse", 409, cf.delete_key_group, Id=group, IfMatch=group_etag)
behavior["TrustedKeyGroups"] = dict(Enabled=False, Quantity=0)
cf.update_distribution(Id=id, IfMatch=distribution_etag, DistributionConfig=whole)
equal(view(HOST, canned("RSA")["url"])[0], 200)
cf.delete_key_group(Id=group, IfMatch=group_etag)
equal(cf.list_key_groups()["KeyGroupList"]["Quantity"], 0)
