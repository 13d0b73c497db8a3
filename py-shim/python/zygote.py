"""The zygote: the interpreter with the modules that most functions import, and
no user code. Every other process of this runtime is its copy.
"""

import asyncio.selector_events
import importlib
import os
import platform
import site
import sys
import uuid

import _selvedge_hooks as hooks
import _selvedge_log as log
import _selvedge_serving as serving
import _selvedge_templating as templating

COMMON = (
    "argparse", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections.abc",
    "concurrent.futures", "configparser", "contextlib", "contextvars", "copy", "csv", "ctypes", "dataclasses",
    "datetime", "decimal", "difflib", "email.message", "email.utils", "enum", "fnmatch", "fractions", "functools",
    "gzip", "hashlib", "heapq", "hmac", "html", "html.parser", "http.client", "http.cookies", "importlib.metadata",
    "inspect", "io", "ipaddress", "itertools", "json", "logging", "logging.config", "math", "mimetypes",
    "multiprocessing", "operator", "pathlib", "pickle", "platform", "pprint", "queue", "random", "re", "secrets",
    "select", "selectors", "shlex", "shutil", "signal", "socket", "ssl", "statistics", "string", "struct",
    "subprocess", "tempfile", "textwrap", "threading", "time", "timeit", "traceback", "types", "typing",
    "unicodedata", "unittest.mock", "urllib.error", "urllib.parse", "urllib.request", "uuid", "warnings", "weakref",
    "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo",
)


def run(native, control_fd):
    sys.dont_write_bytecode = True
    sys.argv = [""]
    libraries = _libraries()
    for name in COMMON:
        try:
            importlib.import_module(name)
        except ImportError:
            # An interpreter may be built without it.
            pass
    # The sandbox has no call that sends to an address it cannot see.
    asyncio.selector_events._HAS_SENDMSG = False
    # The system's own generator keeps a sequence that copies would share.
    uuid._generate_time_safe = None
    site.setquit()
    log.install()
    hooks.install()
    serving.rehearse()
    engine = "%s %s" % (platform.python_implementation(), platform.python_version())
    order = native.Zygote(control_fd, engine, libraries).serve()
    if order.kind == "template":
        templating.run(order.template())
    else:
        serving.load_and_run(order.environment())


def _libraries():
    """What the interpreter loads modules from, and the system loads their libraries from."""
    own = [path for path in sys.path if os.path.isdir(path)]
    system = [path for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib") if os.path.isdir(path)]
    within = lambda path, others: any(path.startswith(other + "/") for other in others if other != path)
    return system + [path for path in own if not within(path, system + own)]
