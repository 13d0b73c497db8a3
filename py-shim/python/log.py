"""The standard streams and the root logger of a function: whole lines go to the
log, what waits for its newline goes out when the invocation ends.
"""

import io
import logging
import sys
import time


class LogLines(io.RawIOBase):
    """Cuts bytes into lines for a sink, which can be replaced."""

    def __init__(self):
        super().__init__()
        self.sink = lambda line: None
        self.partial = b""

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        *lines, rest = (self.partial + data).split(b"\n")
        self.partial = rest
        for line in lines:
            self.sink(line)
        return len(data)

    def flush_partial(self):
        rest, self.partial = self.partial, b""
        if rest:
            self.sink(rest)


class RequestId(logging.Filter):
    """Adds the running invocation's id to every record."""

    value = ""

    def filter(self, record):
        record.aws_request_id = RequestId.value
        return True


class ToStandardOutput(logging.Handler):
    """Writes records where `print` writes at that moment."""

    def emit(self, record):
        try:
            sys.stdout.write(self.format(record))
        except Exception:
            self.handleError(record)


_lines = {"stdout": LogLines(), "stderr": LogLines()}


def install():
    """Puts the streams and the root logger's handler in place."""
    for name, lines in _lines.items():
        stream = io.TextIOWrapper(lines, encoding="utf-8", errors="backslashreplace", write_through=True)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = ToStandardOutput()
    handler.setFormatter(formatter)
    handler.addFilter(RequestId())
    logging.getLogger().addHandler(handler)


def send_to(sink):
    """Lines go to `sink` from now on."""
    for lines in _lines.values():
        lines.sink = sink


def set_request_id(request_id):
    RequestId.value = request_id


def flush():
    """Sends what waits for its newline."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    for lines in _lines.values():
        lines.flush_partial()


def write_error(error):
    """Writes an error payload as one line: its own lines are joined with carriage returns, and indented with
    spaces that no reader of logs takes away. A handler may have replaced the standard streams."""
    flush()
    lines = ["[ERROR] " + ": ".join(text for text in (error["errorType"], error["errorMessage"]) if text)]
    lines.append("Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in entry.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    line = "\r".join(lines).replace("\n", "\r")
    _lines["stdout"].sink(line.encode("utf-8", "backslashreplace"))
