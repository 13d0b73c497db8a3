"""The module `cloudfront`: a function's key value stores, with the methods that CloudFront Functions have (AWS:
"Helper methods for key value stores"). What is read is in this process's memory already, so nothing waits.
"""

import datetime
import json
import sys
import types

_native = None


class KeyValueStore:
    """One store, as the running invocation sees it."""

    __slots__ = ("_nth",)

    def __init__(self, nth):
        self._nth = nth

    def get(self, key, format="string"):
        """The value of a key: as text, as what its JSON says, or as bytes. `KeyError` when there is none."""
        if format not in ("string", "json", "bytes"):
            raise ValueError("format is %r, it must be 'string', 'json' or 'bytes'" % (format,))
        value = _native.find(self._nth, key)
        if value is None:
            raise KeyError("key %r is not in key value store %s" % (key, _native.name(self._nth)))
        if format == "json":
            return json.loads(value)
        return value.encode() if format == "bytes" else value

    def exists(self, key):
        """Whether there is such a key."""
        return _native.find(self._nth, key) is not None

    def count(self):
        """How many keys there are."""
        return _native.meta(self._nth)[0]

    def meta(self):
        """When the store was made and last changed, and how many keys it has."""
        count, created, updated = _native.meta(self._nth)
        return {"creationDateTime": _iso(created), "lastUpdatedDateTime": _iso(updated), "keyCount": count}


def kvs(name=None):
    """The store with this name or id; the function's only one when neither is given."""
    return KeyValueStore(_native.choose(name))


def install(native, plan):
    """For the function of the plan. Its own module of that name comes first, as with every module of ours."""
    global _native
    _native = native.Stores(json.dumps(plan["key_value_stores"]))
    module = types.ModuleType("cloudfront", __doc__)
    module.kvs = kvs
    module.KeyValueStore = KeyValueStore
    sys.modules["cloudfront"] = module


def begin():
    """An invocation begins."""
    if _native is not None:
        _native.begin()


def _iso(milliseconds):
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
