"""A template: loads the function, says whether its process may be copied, and
becomes its copies.
"""

import gc
import json
import os
import signal

import _selvedge_hooks as hooks
import _selvedge_loading as loading
import _selvedge_log as log
import _selvedge_serving as serving


def run(template):
    log.send_to(template.log)
    serving.note_stacks(*template.watch())
    plan = json.loads(template.plan())
    before = _open_files(), set(os.listdir(plan["tmp_dir"]))

    def load():
        handler = loading.load(plan)
        hooks.run_before_snapshot()
        return handler

    handler, error = serving.attempt(load)
    if error is not None:
        template.failed(error)
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    unshared = _what_copies_cannot_share(before, plan["tmp_dir"])
    # What is there now stays as it is: copies need not touch it to look for garbage.
    gc.collect()
    gc.freeze()
    template.loaded(unshared, hooks.has_after_restore())
    serving.resume_and_run(template.serve(), handler, plan)


def _what_copies_cannot_share(before, tmp_dir):
    open_before, there_before = before
    for number, name in sorted(_open_files().items()):
        if open_before.get(number) != name:
            return "descriptor %d is open after the init phase: %s" % (number, name)
    written = set(os.listdir(tmp_dir)) - there_before
    if written:
        return "files are in /tmp after the init phase: %s" % ", ".join(sorted(written)[:3])
    return None


def _open_files():
    """Descriptors and what they lead to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            # The directory that was just listed.
            pass
    return found
