//! A PoP's side of the sockets, blocking and small.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use environment::frame::{Frame, FrameDecoder};
use environment::{ControlReply, ControlRequest, Manifest, Runtime};
use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill as signal};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use nix::unistd::Pid;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The PoP's end of a control socket.
pub(crate) struct Control(OwnedFd);

impl Control {
    fn send(&self, request: &ControlRequest, attached: &OwnedFd) {
        let packet = serde_json::to_vec(request).unwrap();
        let numbers = [attached.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&numbers)];
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&packet)], &rights, MsgFlags::empty(), None).unwrap();
    }

    /// The next reply and how many descriptors came with it (they stay open until the test ends).
    pub(crate) fn receive(&self) -> (ControlReply, usize) {
        loop {
            match self.receive_any() {
                // Nobody answers network calls in these tests.
                (ControlReply::Listening { .. }, 1) => {}
                other => return other,
            }
        }
    }

    fn receive_any(&self) -> (ControlReply, usize) {
        let mut packet = vec![0; 256 * 1024];
        let mut space = cmsg_space!([RawFd; 1]);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let message =
            recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
        let rights = message.cmsgs().unwrap().filter_map(|part| match part {
            ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let attached: Vec<RawFd> = rights.flatten().collect();
        let length = message.bytes;
        assert!(length > 0, "the process closed its control socket");
        let mut reply = serde_json::from_slice(&packet[..length]).unwrap();
        if let (ControlReply::Forked { pid, .. }, Some(pidfd)) = (&mut reply, attached.first()) {
            *pid = pid_behind(*pidfd);
        }
        (reply, attached.len())
    }

    /// The first reply that is no log line.
    pub(crate) fn answer(&self) -> ControlReply {
        loop {
            match self.receive().0 {
                ControlReply::Log { .. } => {}
                answer => return answer,
            }
        }
    }

    /// The pid of the child that was just asked for. Ends of earlier ones may be reported first.
    fn forked(&self) -> i32 {
        loop {
            match self.receive() {
                (ControlReply::Forked { pid, .. }, 1) => return pid,
                (ControlReply::Exited { .. }, 0) => {}
                other => panic!("not a fork with its pidfd: {other:?}"),
            }
        }
    }
}

pub(crate) struct Zygote {
    pub(crate) child: Child,
    pub(crate) control: Control,
    pub(crate) engine: String,
    dir: tempdir::Dir,
}

pub(crate) struct Template {
    pub(crate) control: Control,
    pub(crate) pid: i32,
}

pub(crate) struct Environment {
    pub(crate) socket: UnixStream,
    pub(crate) pid: i32,
    decoder: FrameDecoder,
}

impl Zygote {
    pub(crate) fn start() -> Zygote {
        let binary = Path::new(env!("CARGO_BIN_EXE_selvedge-js"));
        write_snapshot(binary);
        let (ours, theirs) = pair();
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let number = theirs.as_raw_fd().to_string();
        let child = Command::new(binary).args(["zygote", "--control-fd", &number]).spawn().unwrap();
        drop(theirs);
        let control = Control(ours);
        match control.receive().0 {
            ControlReply::ZygoteReady { pid, engine, .. } => {
                assert_eq!(u32::try_from(pid).unwrap(), child.id());
                Zygote { child, control, engine, dir: tempdir::Dir::new() }
            }
            other => panic!("{other:?}"),
        }
    }

    /// A template that was told to load `source`; its answer is still to come.
    pub(crate) fn fork_template(&self, source: &str) -> Template {
        let (ours, theirs) = pair();
        let manifest = self.dir.manifest(source);
        self.control.send(&ControlRequest::Template { id: 1, manifest }, &theirs);
        let pid = self.control.forked();
        Template { control: Control(ours), pid }
    }

    /// A template with `source` loaded, fit to be copied.
    pub(crate) fn template(&self, source: &str) -> Template {
        let template = self.fork_template(source);
        match template.control.answer() {
            ControlReply::Initialized { unshared: None, .. } => template,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn environment(&self, id: u64, source: &str) -> Environment {
        ask(&self.control, id, Some(self.dir.manifest(source)))
    }
}

impl Template {
    pub(crate) fn environment(&self, id: u64) -> Environment {
        ask(&self.control, id, None)
    }
}

fn ask(control: &Control, id: u64, manifest: Option<Manifest>) -> Environment {
    let (ours, theirs) = UnixStream::pair().unwrap();
    control.send(&ControlRequest::Environment { id, manifest }, &theirs.into());
    let pid = control.forked();
    ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Environment { socket: ours, pid, decoder: FrameDecoder::default() }
}

impl Environment {
    pub(crate) fn invoke(&mut self, event: &str, timeout: Duration) {
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + timeout;
        let frame = Frame::Invoke {
            id: Uuid::new_v4(),
            deadline_unix_ms: u64::try_from(deadline.as_millis()).unwrap(),
            event: Bytes::copy_from_slice(event.as_bytes()),
        };
        let mut wire = bytes::BytesMut::new();
        frame.encode(&mut wire).unwrap();
        self.socket.write_all(&wire).unwrap();
    }

    /// The next frame, or `None` at the end.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut chunk = [0; 4096];
            let length = self.socket.read(&mut chunk).expect("a frame within 20 s");
            if length == 0 {
                return None;
            }
            self.decoder.buffer().extend_from_slice(&chunk[..length]);
        }
    }

    /// Log lines, what is said of the stack, and the first frame that is neither.
    pub(crate) fn until_answer(&mut self) -> (Vec<String>, Frame) {
        let mut lines = Vec::new();
        loop {
            match self.frame().expect("an answer before the end") {
                Frame::Log(line) | Frame::Stopped(line) => lines.push(String::from_utf8(line.to_vec()).unwrap()),
                answer => return (lines, answer),
            }
        }
    }

    pub(crate) fn result(&mut self, event: &str) -> String {
        self.invoke(event, Duration::from_secs(5));
        match self.until_answer() {
            (_, Frame::Result(result)) => String::from_utf8(result.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn kill(pid: i32) {
    signal(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The pid as this process sees it: a template's own is of its namespace.
fn pid_behind(pidfd: RawFd) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{pidfd}")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Whether `pid` runs: neither gone nor a zombie.
pub(crate) fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

/// Once per build: the program renames a whole file into place, so tests may race.
fn write_snapshot(binary: &Path) {
    let snapshot = binary.with_file_name("selvedge-js.snapshot");
    let written = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    if written(&snapshot).is_ok_and(|time| time >= written(binary).unwrap()) {
        return;
    }
    let status = Command::new(binary).arg("snapshot").arg(&snapshot).status().unwrap();
    assert!(status.success(), "snapshot: {status}");
}

mod tempdir {
    use super::*;

    /// A directory for packages and private files, removed with the test.
    pub(crate) struct Dir {
        path: PathBuf,
        packages: AtomicU32,
    }

    impl Dir {
        pub(crate) fn new() -> Dir {
            let path = std::env::temp_dir().join(format!("selvedge-js-{}", Uuid::new_v4()));
            std::fs::create_dir(&path).unwrap();
            Dir { path, packages: AtomicU32::new(0) }
        }

        /// A manifest of a new package whose `index.js` is `source`.
        pub(crate) fn manifest(&self, source: &str) -> Manifest {
            let dir = self.path.join(self.packages.fetch_add(1, Ordering::Relaxed).to_string());
            let (code_dir, tmp_root) = (dir.join("code"), dir.join("tmp"));
            std::fs::create_dir_all(&code_dir).unwrap();
            std::fs::create_dir_all(&tmp_root).unwrap();
            std::fs::write(code_dir.join("index.js"), source).unwrap();
            Manifest {
                function_name: "f".into(),
                version: "1".into(),
                invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f:1".into(),
                runtime: Runtime::Nodejs22,
                handler: "index.handler".into(),
                code_dir,
                layers_dir: None,
                key_value_stores: Vec::new(),
                tmp_root,
                variables: [].into(),
                memory_mb: 128,
                timeout_ms: 3000,
                initialization: environment::Initialization::OnDemand,
                inspected: None,
                tmp_mb: 512,
                log_group_name: "/aws/lambda/f".into(),
                log_stream_name: "s".into(),
                log_bytes_max: 1024 * 1024,
                result_bytes_max: 6 * 1024 * 1024,
            }
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
