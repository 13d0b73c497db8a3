//! Programs for functions that bring their runtime: those of `examples/`, AWS's
//! own client, and one that does what an event says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Evaluates an event's text as the body of a function, with a client of the Runtime API in its scope; errors of
/// the system are answers.
pub const RUNS: &str = r#"#!/usr/bin/python3
import ctypes, errno, http.client, json, os, signal, socket, subprocess, sys, time

sys.stdout.reconfigure(line_buffering=True)
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = http.client.HTTPConnection(host, int(port))


def call(method, path, body=None, headers={}):
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read().decode()


def run(script, id, headers):
    scope = {**globals(), "id": id, "headers": headers}
    try:
        exec("def run():\n" + "\n".join("    " + line for line in script.split("\n")), scope)
        return scope["run"]()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def serve():
    while True:
        status, headers, event = call("GET", "invocation/next")
        id = headers["Lambda-Runtime-Aws-Request-Id"]
        answer = run(json.loads(event), id, headers)
        if answer is not NotImplemented:
            call("POST", f"invocation/{id}/response", json.dumps(answer))


if __name__ == "__main__":
    serve()
"#;

/// Makes `directory` a package with this program.
///
/// # Panics
/// When it cannot be written.
pub fn put_bootstrap(directory: &Path, program: &[u8]) {
    fs::create_dir_all(directory).expect("the directory is writable");
    let path = directory.join("bootstrap");
    fs::write(&path, program).expect("the program is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the program is ours");
}

/// A folder of `examples/custom-runtimes`.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/custom-runtimes").join(name)
}

/// Makes `directory`, which has a handler in Python, a package that AWS's own client of the Runtime API runs.
///
/// # Panics
/// When the client is not installed.
pub fn put_awslambdaric(directory: &Path) {
    let program = fs::read(example("python").join("bootstrap")).expect("the example is there");
    put_bootstrap(directory, &program);
    let client = crate::control::clients().join("awslambdaric");
    assert!(client.is_dir(), "the clients are not installed: run scripts/clients.sh");
    copy(&client, directory);
}

/// Copies what is in `from` into `to`, which exists.
///
/// # Panics
/// When it cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the folder can be listed") {
        let path = entry.expect("its entries can be read").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("the directory is writable");
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("the file can be copied");
        }
    }
}
