"""An environment: one invocation after the other."""

import faulthandler
import json
import os
import sys
import uuid

import _selvedge_errors as errors
import _selvedge_hooks as hooks
import _selvedge_loading as loading
import _selvedge_log as log
import _selvedge_marshal as marshal
import _selvedge_stores as stores
from _selvedge_context import LambdaContext

try:
    import ssl
except ImportError:
    # An interpreter may be built without it.
    ssl = None


def note_stacks(signal, descriptor):
    """The stack of the main thread is written to `descriptor` whenever `signal` comes."""
    faulthandler.register(signal, file=descriptor, all_threads=False, chain=False)


def renew():
    """Nothing that should be unique is shared with other copies. New seeds of `random` came with the fork."""
    uuid._node = None
    uuid._last_timestamp = None
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)


def load_and_run(environment):
    """For an environment that loads the code itself."""
    _become(environment)
    plan = json.loads(environment.plan())
    environment.begin_init()
    handler, error = attempt(lambda: loading.load(plan))
    environment.ready(error)
    run(environment, handler, plan["context"])


def resume_and_run(environment, handler, plan):
    """For a copy of a template. What the template has set up is its own already."""
    _become(environment)
    if environment.tmp_dir != plan["tmp_dir"]:
        loading.set_tmp_dir(environment.tmp_dir)
    if hooks.has_after_restore():
        environment.begin_restore()
        _, error = attempt(hooks.run_after_restore)
        environment.ready(error)
    run(environment, handler, plan["context"])


def _become(environment):
    log.send_to(environment.log)
    note_stacks(*environment.notes())
    renew()
    stores.begin()

    def end(status):
        log.flush()
        environment.exit(int(status) & 0xFF)

    os._exit = end


def attempt(step):
    """What `step` returns, and its error as JSON if it failed, which is then in the log, too."""
    try:
        return step(), None
    except SystemExit as error:
        fault = errors.RuntimeFault("ExitError", "Runtime exited with error: exit status %d" % _status(error))
        failed = errors.payload(fault, "")
    except BaseException as error:
        failed = errors.payload(error, "")
    finally:
        log.flush()
    if failed["stackTrace"]:
        log.write_error(failed)
    return None, json.dumps(failed)


def run(environment, handler, fixed):
    """Answers invocations until the PoP is gone."""
    while True:
        request_id, deadline_ms, event = environment.next()
        log.set_request_id(request_id)
        stores.begin()
        try:
            result = handler(marshal.unmarshal(event), LambdaContext(request_id, deadline_ms, fixed))
            answer, send = marshal.marshal(result), environment.result
        except Exception as error:
            failed = errors.payload(error, request_id)
            log.write_error(failed)
            answer, send = json.dumps(failed), environment.error
        except SystemExit as error:
            log.flush()
            environment.exit(_status(error))
        except BaseException as error:
            log.write_error(errors.payload(error, request_id))
            log.flush()
            environment.exit(1)
        event = result = None
        log.flush()
        send(answer)


def rehearse():
    """Runs every step of an ordinary invocation, so that copies find what it needs made and their code fast."""

    class Stage:
        rounds = 40

        def next(self):
            Stage.rounds -= 1
            if Stage.rounds < 0:
                raise EOFError
            event = b'{"Records": [{"cf": {"request": {"uri": "/", "headers": {"host": [{"key": "Host", "value": "a"}]}}}}]}'
            return "00000000-0000-0000-0000-000000000000", 0, event

        def result(self, answer):
            pass

    try:
        run(Stage(), lambda event, context: event, {"function_name": ""})
    except EOFError:
        pass
    log.set_request_id("")
    renew()


def _status(error):
    """The exit status of a `SystemExit`."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1
