"""What a handler returned, as JSON bytes: numbers of `decimal` keep their
digits, bytes are the result as they are.
"""

import decimal
import json
import os
import re
import sys

from _selvedge_errors import RuntimeFault

# Python 3.12 and later write characters outside of ASCII as they are.
_ASCII = sys.version_info < (3, 12)


def unmarshal(event):
    try:
        return json.loads(event)
    except Exception as error:
        raise RuntimeFault("UnmarshalError", "Unable to unmarshal input: %s" % error) from None


def marshal(result):
    if isinstance(result, bytes):
        return result
    mark = None

    def other(value):
        nonlocal mark
        if isinstance(value, decimal.Decimal):
            # The encoder knows no raw text: a string that cannot occur otherwise stands in for it.
            mark = mark or os.urandom(12).hex()
            return mark + str(value)
        if isinstance(value, bytes):
            return value.decode()
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    try:
        text = json.dumps(result, ensure_ascii=_ASCII, default=other)
    except Exception as error:
        raise RuntimeFault("MarshalError", "Unable to marshal response: %s" % error) from None
    if mark is not None:
        text = re.sub('"%s([^"]*)"' % mark, r"\1", text)
    return text.encode("utf-8", "surrogatepass")
