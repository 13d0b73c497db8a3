//! A runtime without an engine, for `tests/native.rs` only: it enters the same
//! sandbox by the same steps as `selvedge-js`, and its "handler" makes the
//! system calls that an event names, as code would that broke out of V8.
#![allow(unsafe_code, clippy::unwrap_used, clippy::cast_possible_truncation, reason = "an attacker in a test")]

use bytes::BytesMut;
use environment::frame::{Frame, FrameDecoder};
use environment::{ControlReply, ErrorPayload, Manifest};
use nix::errno::Errno;
use sandbox::{Birth, Cell, Children, Code, Control, Entry, Sandbox, Source, adopt, exit_now, restore_signals};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

#[path = "native/acts.rs"]
mod acts;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let control = Control::new(adopt(words[3].parse().unwrap())).unwrap();
    let sandbox = Sandbox::probe(Code::Text).unwrap();
    let layers = sandbox.layers();
    let children = Children::new(control, Source::Zygote(sandbox)).unwrap();
    let pid = std::process::id().cast_signed();
    let ready = ControlReply::ZygoteReady { pid, engine: "none".into(), sandbox: layers };
    children.control().send(&ready, None).unwrap();
    match children.serve().unwrap() {
        None => exit_now(0),
        Some(Birth::Template { id, mut manifest, socket, mut cell, zygote }) => {
            let mut control = Control::new(socket).unwrap();
            cell.enter(Entry { id, own: Some(&mut control), zygote, kept: &[] }, &mut manifest).unwrap();
            template(Children::new(control, Source::Template(cell)).unwrap(), &manifest);
        }
        Some(Birth::Unshared { id, mut manifest, socket, mut cell, zygote }) => {
            cell.enter(Entry { id, own: None, zygote, kept: &[socket.as_fd()] }, &mut manifest).unwrap();
            let mut stream = environment(cell, &manifest, id, socket);
            say(&mut stream, &Frame::Ready { init_ms: 0.0 });
            serve(stream);
        }
        Some(Birth::Copy { .. }) => panic!("a zygote makes no copies"),
    }
}

fn template(children: Children, manifest: &Manifest) {
    if manifest.handler.ends_with(".threads") {
        let error_message = acts::small_threads().to_string();
        let error = ErrorPayload { error_type: "Threads".to_owned(), error_message, trace: Vec::new() };
        children.control().send(&ControlReply::InitFailed { error }, None).unwrap();
        exit_now(0);
    }
    let unshared = manifest.handler.ends_with(".unshared").then(|| "asked for".to_owned());
    children
        .control()
        .send(&ControlReply::Initialized { init_ms: 0.0, unshared, has_restore_hooks: false }, None)
        .unwrap();
    match children.serve().unwrap() {
        Some(Birth::Copy { id, socket, cell }) => serve(environment(cell, manifest, id, socket)),
        _ => exit_now(0),
    }
}

fn environment(cell: Cell, manifest: &Manifest, id: u64, socket: OwnedFd) -> UnixStream {
    restore_signals().unwrap();
    cell.enter_environment(manifest, id).unwrap();
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    stream
}

fn serve(mut stream: UnixStream) -> ! {
    let mut decoder = FrameDecoder::default();
    let mut chunk = [0; 4096];
    loop {
        while let Some(frame) = decoder.next_frame().unwrap() {
            let Frame::Invoke { event, .. } = frame else { exit_now(1) };
            let answer = acts::act(&serde_json::from_slice(&event).unwrap());
            say(&mut stream, &Frame::Result(answer.to_string().into()));
        }
        match stream.read(&mut chunk) {
            Ok(length) if length > 0 => decoder.buffer().extend_from_slice(&chunk[..length]),
            _ => exit_now(0),
        }
    }
}

fn say(stream: &mut UnixStream, frame: &Frame) {
    let mut wire = BytesMut::new();
    frame.encode(&mut wire).unwrap();
    stream.write_all(&wire).unwrap();
}

/// `"ok"`, or the error's name.
fn shown<T>(result: Result<T, Errno>) -> Value {
    result.map_or_else(|error| json!(format!("{error:?}")), |_| json!("ok"))
}

/// A system call with these arguments.
fn call(number: i64, arguments: &[u64]) -> Result<i64, Errno> {
    let mut all = [0_u64; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: this is the attack: the sandbox must refuse the call, whatever its arguments. Those that
    // are allowed get pointers to live memory from `acts`.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer < 0 { Err(Errno::last()) } else { Ok(answer) }
}
