"""How many key value stores there may be."""

from stores import add  # before botocore
from common import client, equal, refused

cf = client("cloudfront")
for nth in range(200):
    add(cf, "store-%03d" % nth)
assert "200" in refused("EntityLimitExceeded", 400, add, cf, "one-more")
first = cf.list_key_value_stores(MaxItems="1000")["KeyValueStoreList"]
equal((first["Quantity"], first["NextMarker"]), (100, "store-099"))
etag = cf.describe_key_value_store(Name="store-007")["ETag"]
cf.delete_key_value_store(Name="store-007", IfMatch=etag)
add(cf, "one-more")
