"""The init phase: variables, the search path, the handler's module and the
function in it.
"""

import importlib
import os
import sys
import tempfile
import time

import _selvedge_compiling as compiling
import _selvedge_stores as stores
from _selvedge_errors import RuntimeFault


def set_variables(plan):
    """The variables of this process, and what follows from them."""
    os.environ.clear()
    os.environ.update(plan["variables"])
    tempfile.tempdir = None
    time.tzset()


def set_tmp_dir(path):
    """Where a copy has no `/tmp` of its own."""
    os.environ["TMPDIR"] = path
    tempfile.tempdir = None


def load(plan):
    """The handler."""
    set_variables(plan)
    code_dir = plan["code_dir"]
    os.chdir(code_dir)
    directories = [code_dir] + [path for path in plan["layers"] if os.path.isdir(path)]
    sys.path[:0] = directories
    if plan["compiles"]:
        return compiling.handler
    stores.install(sys.modules["selvedge_python"], plan)
    _let_go_of_names_in(directories)
    return _function(plan["handler"])


def _let_go_of_names_in(directories):
    """The function's own modules come before the interpreter's of the same name, also those that are loaded."""
    own = {entry.split(".")[0] for directory in directories for entry in os.listdir(directory)}
    for name in [name for name in sys.modules if name.split(".")[0] in own]:
        if name not in sys.builtin_module_names and not name.startswith("_selvedge_"):
            del sys.modules[name]


def _function(handler):
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        message = "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler
        raise RuntimeFault("MalformedHandlerName", message)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise RuntimeFault("BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise RuntimeFault("ImportModuleError", "Unable to import module '%s': %s" % (module_name, error)) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise RuntimeFault("UserCodeSyntaxError", message, trace) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise RuntimeFault("HandlerNotFound", message) from None
