"""Errors as the Runtime API carries them, and the runtime's own error names.
Frames of this package are not shown.
"""

import traceback

OWN_FILES = "<selvedge>/"


class RuntimeFault(Exception):
    """An error of the runtime itself, named `Runtime.<name>`; `trace` is its text."""

    def __init__(self, name, message, trace=()):
        super().__init__(message)
        self.name = "Runtime." + name
        self.trace = list(trace)


def payload(error, request_id):
    """The error as Lambda shows it."""
    if isinstance(error, RuntimeFault):
        return _payload(error.name, str(error), error.trace, request_id)
    frames = traceback.extract_tb(error.__traceback__)
    for index, frame in enumerate(frames):
        if not frame.filename.startswith(OWN_FILES) and not frame.filename.startswith("<frozen importlib"):
            frames = frames[index:]
            break
    return _payload(type(error).__name__, _text(error), traceback.format_list(frames), request_id)


def _payload(error_type, message, trace, request_id):
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def _text(error):
    try:
        return str(error)
    except Exception:
        return "what was raised cannot be shown"
