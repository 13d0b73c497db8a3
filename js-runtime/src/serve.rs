//! An execution environment: one invocation at a time from the PoP's socket to
//! the engine and back. Idle means blocked in a read: nothing of the handler
//! runs between invocations, as in Lambda.

use crate::children::restore_signals;
use crate::fork::exit_now;
use crate::logs::LogBudget;
use crate::sandbox;
use crate::watchdog::Watchdog;
use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use environment::frame::{Exiting, Frame, FrameDecoder};
use environment::{ErrorPayload, Manifest};
use js_runtime::engine::{Ending, Engine};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// For a fork of a template: the code is loaded already.
pub(crate) fn run(engine: Engine, manifest: &Manifest, id: u64, socket: OwnedFd) -> anyhow::Result<()> {
    let environment = Environment::resumed(engine, manifest, id, socket)?;
    environment.serve()
}

/// For a fork of the zygote: enters the sandbox and loads the code itself.
pub(crate) fn load_and_run(engine: Engine, manifest: &Manifest, id: u64, socket: OwnedFd) -> anyhow::Result<()> {
    sandbox::enter_template(manifest)?;
    let mut environment = Environment::resumed(engine, manifest, id, socket)?;
    let started = Instant::now();
    if let Err(error) = environment.engine.load(manifest) {
        environment.finish(&[Frame::InitFailed(error)], 1);
    }
    environment.say(&Frame::Ready { init_ms: started.elapsed().as_secs_f64() * 1e3 })?;
    environment.serve()
}

struct Environment {
    engine: Engine,
    tmp_dir: PathBuf,
    incoming: UnixStream,
    outbox: Arc<Mutex<Outbox>>,
    watchdog: Watchdog,
}

impl Environment {
    fn new(engine: Engine, manifest: &Manifest, id: u64, socket: OwnedFd) -> anyhow::Result<Environment> {
        // For the operator's `ps` and `top`.
        let _ = nix::sys::prctl::set_name(c"js-environment");
        restore_signals()?;
        nix::unistd::setsid().context("new session")?;
        // The PoP may have stopped this process when it and the template end: it must see that.
        nix::sys::prctl::set_pdeathsig(Signal::SIGCONT).context("signal at the parent's end")?;
        let tmp_dir = manifest.tmp_root.join(id.to_string());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tmp_dir)
            .with_context(|| format!("private directory {}", tmp_dir.display()))?;
        sandbox::enter_environment(manifest, &tmp_dir)?;
        let incoming = UnixStream::from(socket);
        incoming.set_nonblocking(false)?;
        let outbox = Arc::new(Mutex::new(Outbox::new(incoming.try_clone()?, manifest.log_bytes_max)));
        let watchdog = Watchdog::start(engine.handle(), incoming.try_clone()?.into(), Arc::clone(&outbox))?;
        let mut environment = Environment { engine, tmp_dir, incoming, outbox, watchdog };
        let outbox = Arc::clone(&environment.outbox);
        environment.engine.set_log(Rc::new(move |line| lock(&outbox).log(line)));
        Ok(environment)
    }

    fn resumed(engine: Engine, manifest: &Manifest, id: u64, socket: OwnedFd) -> anyhow::Result<Environment> {
        let mut environment = Environment::new(engine, manifest, id, socket)?;
        if let Err(error) = environment.engine.resume(&environment.tmp_dir) {
            environment.finish(&[Frame::InitFailed(error)], 1);
        }
        Ok(environment)
    }

    fn serve(mut self) -> anyhow::Result<()> {
        let mut decoder = FrameDecoder::default();
        let mut chunk = vec![0; READ_BYTES];
        loop {
            while let Some(frame) = decoder.next_frame()? {
                let Frame::Invoke { id, deadline_unix_ms, event } = frame else {
                    bail!("the PoP sent a frame that only environments send");
                };
                lock(&self.outbox).budget.refill();
                self.watchdog.arm(deadline_unix_ms);
                let ending = self.engine.invoke(id, deadline_unix_ms, &event);
                let late = self.watchdog.disarm();
                self.answer(ending, late)?;
            }
            match self.incoming.read(&mut chunk) {
                Ok(0) => exit_now(0),
                Ok(length) => decoder.buffer().extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("socket of the environment"),
            }
        }
    }

    /// An isolate that was terminated is not used again, whatever it still answered.
    fn answer(&self, ending: Ending, late: bool) -> anyhow::Result<()> {
        if late {
            self.end(Exiting::Deadline, None);
        }
        match ending {
            Ending::Exiting(exiting, error) => self.end(exiting, error),
            Ending::Result(result) => self.say(&Frame::Result(result)),
            Ending::TooLarge(bytes) => self.say(&Frame::ResultTooLarge { bytes }),
            Ending::Error(error) => self.say(&Frame::Error(error)),
        }
    }

    fn end(&self, exiting: Exiting, error: Option<ErrorPayload>) -> ! {
        let code = match exiting {
            Exiting::Code(code) => code,
            Exiting::OutOfMemory | Exiting::Deadline => 1,
        };
        let error = error.map(Frame::Error);
        let frames: Vec<Frame> = error.into_iter().chain([Frame::Exiting(exiting)]).collect();
        self.finish(&frames, code)
    }

    /// One write for all frames: a PoP that reads an error then sees the end behind it, too.
    fn finish(&self, frames: &[Frame], code: i32) -> ! {
        let mut outbox = lock(&self.outbox);
        for frame in frames {
            // An error over the frame limit is left out; the end is still said.
            let _ = frame.encode(&mut outbox.waiting);
        }
        // A PoP that no longer listens learns the end from the exit.
        let _ = outbox.write_waiting();
        exit_now(code)
    }

    fn say(&self, frame: &Frame) -> anyhow::Result<()> {
        lock(&self.outbox).send(frame).context("socket of the environment")
    }
}

/// Frames on their way to the PoP: log lines wait for the result, so that a
/// short invocation costs one write.
pub(crate) struct Outbox {
    socket: UnixStream,
    waiting: BytesMut,
    budget: LogBudget,
}

impl Outbox {
    fn new(socket: UnixStream, log_bytes_max: usize) -> Outbox {
        Outbox { socket, waiting: BytesMut::with_capacity(READ_BYTES), budget: LogBudget::new(log_bytes_max) }
    }

    fn log(&mut self, line: &[u8]) {
        let waiting = &mut self.waiting;
        self.budget.spend(line, |kept| {
            let frame = Frame::Log(Bytes::copy_from_slice(kept));
            // Over the frame limit only if an operator raised the log limit above it: dropped then.
            let _ = frame.encode(waiting);
        });
        if self.waiting.len() > WAITING_BYTES_MAX {
            // Broken sockets are met by the next result or the watchdog.
            let _ = self.write_waiting();
        }
    }

    fn send(&mut self, frame: &Frame) -> std::io::Result<()> {
        frame.encode(&mut self.waiting).map_err(std::io::Error::other)?;
        self.write_waiting()
    }

    fn write_waiting(&mut self) -> std::io::Result<()> {
        let written = self.socket.write_all(&self.waiting);
        self.waiting.clear();
        written
    }

    /// For the watchdog: never blocks.
    pub(crate) fn send_what_fits(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if let Ok(sent) = send(self.socket.as_raw_fd(), &self.waiting, flags) {
            let _ = self.waiting.split_to(sent);
        }
    }
}

fn lock(outbox: &Mutex<Outbox>) -> std::sync::MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

const READ_BYTES: usize = 64 * 1024;

/// Log text that may wait for the result.
const WAITING_BYTES_MAX: usize = 64 * 1024;
