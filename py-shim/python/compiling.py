"""What the process does that compiles a package: the modules' bytecode, piece by
piece, as data. It is in the same sandbox as the function: source text of
strangers is never read outside of one.
"""

import base64
import importlib.util
import os
from importlib._bootstrap_external import _code_to_hash_pyc

PIECE_BYTES = 2 << 20


def handler(event, context):
    """Bytecode of the modules after `event["after"]`, until there is enough for one answer; `next` goes on."""
    files, size, last = [], 0, None
    for path in _modules():
        if event["after"] is not None and path <= event["after"]:
            continue
        if size > PIECE_BYTES:
            return {"files": files, "next": last}
        last = path
        compiled = _compile(path)
        if compiled is not None:
            size += len(compiled)
            files.append([importlib.util.cache_from_source(path), base64.b64encode(compiled).decode()])
    return {"files": files, "next": None}


def _modules():
    """Paths below the working directory, in the order of their names."""
    found = []
    for directory, _, names in os.walk("."):
        found += [os.path.join(directory, name)[2:] for name in names if name.endswith(".py")]
    return sorted(found)


def _compile(path):
    """`None` for what is no Python of this version: whoever imports it is told."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, os.path.join(os.getcwd(), path), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    # Never compared with its source, which cannot change.
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), checked=False))
