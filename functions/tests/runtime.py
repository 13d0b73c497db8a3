#!/usr/bin/env python3
"""A zygote for tests: speaks the control and frame protocols with real processes.

The "code" of a function is the name of its handler's export; the event says what to do.
"""
import ctypes, json, os, signal, socket, struct, sys, time


def reply(control, message, fds=()):
    data = json.dumps(message).encode()
    socket.send_fds(control, [data], fds) if fds else control.send(data)


def serve(control, on_request):
    """Answers requests and reports exits until the socket closes."""
    children = {}
    control.settimeout(0.01)
    while True:
        try:
            data, fds, _, _ = socket.recv_fds(control, 1 << 17, 4)
            if not data:
                os._exit(0)
            (kind, request), = json.loads(data).items()
            pid = os.fork()
            if pid == 0:
                control.close()
                on_request(kind, request, fds[0])
                os._exit(0)
            os.close(fds[0])
            children[pid] = request["id"]
            pidfd = os.pidfd_open(pid)
            reply(control, {"Forked": {"id": request["id"], "pid": pid}}, [pidfd])
            os.close(pidfd)
        except TimeoutError:
            pass
        except ConnectionError:
            os._exit(0)
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                end = {"Signal": -code} if code < 0 else {"Code": code}
                exited = {"id": children.pop(pid), "exit": end, "memory_max_kb": 1, "cpu_ms": 1}
                reply(control, {"Exited": exited})


def in_zygote(kind, request, fd):
    manifest = request["manifest"]
    if kind == "Environment":
        return environment(fd, ready=True)
    control = socket.socket(fileno=fd)
    export = manifest["handler"].split(".", 1)[1]
    reply(control, {"Log": {"line": "module loaded"}})
    if export == "throws":
        error = {"errorType": "Runtime.ImportModuleError", "errorMessage": "no module", "trace": []}
        reply(control, {"InitFailed": {"error": error}})
        os._exit(1)
    if export == "grows":
        held = bytearray(os.urandom(1 << 20)) * 400
        time.sleep(5)
    if export == "exits":
        os._exit(7)
    if export == "hangs":
        time.sleep(60)
    unshared = "open handles" if export == "unshared" else None
    has_hooks = export.startswith("restore")
    reply(control, {"Initialized": {"init_ms": 1.0, "unshared": unshared, "has_restore_hooks": has_hooks}})

    def copy(kind, order, fd):
        if export == "restores_slowly":
            time.sleep(1.5)
        if export == "restore_dies_once" and order["id"] == request["id"] + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        environment(fd, ready=has_hooks)

    serve(control, copy)


def frame(stream, kind, body):
    stream.sendall(struct.pack("<IB", len(body), kind) + body)


def receive(stream, length):
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def environment(fd, ready=False):
    stream = socket.socket(fileno=fd)
    ctypes.CDLL(None).prctl(1, signal.SIGCONT)
    if ready:
        frame(stream, 2, struct.pack("<d", 1.0))
    count = 0
    while True:
        length, _ = struct.unpack("<IB", receive(stream, 5))
        event = json.loads(receive(stream, length)[24:])
        count += 1
        match event["act"]:
            case "answer":
                frame(stream, 4, b"a line")
                frame(stream, 5, json.dumps({"pid": os.getpid(), "count": count, "parent": os.getppid()}).encode())
            case "throw":
                error = {"errorType": "Error", "errorMessage": "no", "trace": []}
                frame(stream, 6, json.dumps(error).encode())
            case "sleep":
                time.sleep(event["s"])
                frame(stream, 5, b"null")
            case "spin":
                begun, end = time.process_time(), time.monotonic() + event["s"]
                while time.monotonic() < end:
                    pass
                frame(stream, 5, json.dumps({"cpu": time.process_time() - begun, "pid": os.getpid()}).encode())
            case "die-once":
                if not os.path.exists(event["mark"]):
                    open(event["mark"], "w").close()
                    if event.get("speaks"):
                        frame(stream, 4, b"a line")
                    os.kill(os.getpid(), signal.SIGKILL)
                frame(stream, 5, b"true")
            case "exit":
                frame(stream, 8, struct.pack("<Bi", 0, 3))
                os._exit(3)
            case "uncaught":
                # One write, as the real one does it: who reads the error also reads the end.
                error = json.dumps({"errorType": "Error", "errorMessage": "uncaught", "trace": []}).encode()
                end = struct.pack("<Bi", 0, 129)
                stream.sendall(struct.pack("<IB", len(error), 6) + error + struct.pack("<IB", len(end), 8) + end)
                time.sleep(0.5)
                os._exit(129)
            case "hold":
                open(event["gate"] + ".held", "w").close()
                while not os.path.exists(event["gate"]):
                    time.sleep(0.002)
                frame(stream, 5, b"null")
            case "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "leave":
                frame(stream, 5, b"null")
                os._exit(0)
            case "grow":
                held = bytearray(os.urandom(1 << 20)) * 400
                time.sleep(5)
                frame(stream, 5, str(len(held)).encode())
            case "large":
                frame(stream, 5, b"1" * (6 * 1024 * 1024 + 1))
            case "large-event":
                frame(stream, 5, str(len(event["filler"])).encode())
            case "nonsense":
                stream.sendall(b"\x01\x00\x00\x00\xffx")


control = socket.socket(fileno=int(sys.argv[sys.argv.index("--control-fd") + 1]))
reply(control, {"ZygoteReady": {"pid": os.getpid(), "engine": "test", "sandbox": []}})
serve(control, in_zygote)
