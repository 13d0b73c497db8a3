"""Which functions of a program run for a request, in the order in which a linker is to place them.

Usage: layout.py (script | symbols) PROGRAM TRACES

Writes a linker script, for sections that have their function's name, or the names alone. TRACES is a directory: each
trace has the address of each instruction, eight bytes each; beside it, TRACE.maps is /proc/PID/maps. The order is that
of the first call, in the trace whose name comes first, then in the next. What is only in the beginning or at the end of
a trace, such as taking a connection, comes last.
"""

import array
import bisect
import collections
import pathlib
import re
import subprocess
import sys

HASH = re.compile(r"17h[0-9a-f]{16}E")
CLONE = re.compile(r"\.llvm\.\d+$")

HEAD = """/* What runs for a request, in the order in which it runs: fewer pages and lines of code to fetch.
   Written by bench/layout.sh; names that are no more match nothing. */
SECTIONS
{
  .hot :
  {
"""
TAIL = """  }
}
INSERT BEFORE .text;
"""


def symbols(program):
    """(address, end, name) of its functions, by address."""
    listed = subprocess.run(["nm", "-S", "--defined-only", program], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listed.stdout.splitlines())
    functions = (row for row in rows if len(row) == 4 and row[2] in "tTwW")
    return sorted((int(at, 16), int(at, 16) + int(size, 16), name) for at, size, _, name in functions)


def calls(file, program, functions):
    """Names of the functions that a trace was in, one after the other."""
    maps = pathlib.Path(f"{file}.maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in maps if line.endswith(program)]
    # Parts in between may be copies in anonymous memory.
    start, end = int(ranges[0][0], 16), int(ranges[-1][1], 16)
    counters = array.array("Q", pathlib.Path(file).read_bytes())
    within = (0, 0, "")
    for counter in counters:
        at = counter - start
        if within[0] <= at < within[1] or not start <= counter < end:
            yield within[2]
            continue
        within = functions[max(0, bisect.bisect_right(functions, (at, sys.maxsize)) - 1)]
        yield within[2] if at < within[1] else ""


def ordered(program, functions, traces):
    """Names of what ran."""
    first, last = [], []
    for file in sorted(path for path in pathlib.Path(traces).iterdir() if path.suffix != ".maps"):
        names = list(calls(file, program, functions))
        first += dict.fromkeys(names[len(names) * 2 // 5 : len(names) * 4 // 5])
        last += dict.fromkeys(names)
    return [name for name in dict.fromkeys(first + last) if name]


def script(functions, names):
    """Sections by patterns that outlive most changes: without a hash, unless that would stand for several functions, of
    each type that a generic one is compiled for."""

    def general(name):
        return HASH.sub("17h*", CLONE.sub("*", name))

    alike = collections.Counter(general(name) for _, _, name in functions)
    patterns = (general(name) if alike[general(name)] == 1 else CLONE.sub("*", name) for name in names)
    lines = "".join(f"    *(.text.{pattern})\n" for pattern in dict.fromkeys(patterns))
    return HEAD + lines + TAIL


def main(form, program, traces):
    functions = symbols(program)
    names = ordered(program, functions, traces)
    print(script(functions, names) if form == "script" else "".join(f"{name}\n" for name in names), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
