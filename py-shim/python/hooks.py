"""The module `snapshot_restore_py`: what a function registers to run before its
process is copied and in each copy (AWS: "Lambda SnapStart runtime hooks").
"""

import sys
import types

_before = []
_after = []


def _register(hooks, function, args, kwargs):
    if not callable(function):
        raise TypeError("a hook must be callable, not %s" % type(function).__name__)
    hooks.append((function, args, kwargs))
    return function


def install():
    """Makes the module importable."""
    module = types.ModuleType("snapshot_restore_py", __doc__)
    module.register_before_snapshot = lambda function, *args, **kwargs: _register(_before, function, args, kwargs)
    module.register_after_restore = lambda function, *args, **kwargs: _register(_after, function, args, kwargs)
    sys.modules[module.__name__] = module


def has_after_restore():
    return bool(_after)


def run_before_snapshot():
    """The last one registered runs first."""
    while _before:
        function, args, kwargs = _before.pop()
        function(*args, **kwargs)


def run_after_restore():
    while _after:
        function, args, kwargs = _after.pop(0)
        function(*args, **kwargs)
