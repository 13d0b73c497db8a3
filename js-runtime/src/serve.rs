//! An execution environment: one invocation at a time from the PoP's socket to
//! the engine and back. Idle means blocked in a read: nothing of the handler
//! runs between invocations, as in Lambda.

use crate::debuggers;
use crate::template::{Order, Zygote};
use crate::watched::readable;
use anyhow::{Context, bail};
use environment::frame::{Exiting, Frame, FrameDecoder};
use environment::limits::{INIT_TIMEOUT, RESTORE_TIMEOUT};
use environment::{ErrorPayload, Manifest, Suspension};
use js_runtime::engine::{Ending, Engine};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use runtime::{Outbox, Resident, Watchdog, Watched, deadline_in, init_error, lock, restore_error};
use sandbox::{Cell, Entry, exit_now, restore_signals};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What an environment is made of.
pub(crate) struct Birth {
    pub(crate) engine: Engine,
    pub(crate) id: u64,
    pub(crate) socket: OwnedFd,
    pub(crate) cell: Cell,
    /// Memory that the zygote had, and that no function answers for.
    pub(crate) shared_bytes: u64,
}

/// For a fork of a template: the code is loaded already.
pub(crate) fn run(birth: Birth, manifest: &Manifest) -> anyhow::Result<()> {
    let environment = Environment::resumed(birth, manifest)?;
    environment.serve()
}

/// For a fork of a template whose function has `afterRestore` hooks: they run first, and the PoP is told.
pub(crate) fn restore_and_run(birth: Birth, manifest: &Manifest) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut environment = Environment::new(birth, manifest)?;
    environment.watchdog.arm(deadline_in(RESTORE_TIMEOUT));
    let resumed = environment.engine.resume(&environment.tmp_dir);
    let reached = environment.watchdog.disarm();
    let error = restore_error(resumed.err(), reached, manifest.memory_mb);
    if let Some(error) = error {
        environment.finish(&[Frame::InitFailed(error)], 1);
    }
    environment.say(&Frame::Ready { init_ms: started.elapsed().as_secs_f64() * 1e3 })?;
    environment.serve()
}

/// For a fork of the zygote: enters the sandbox and loads the code itself.
pub(crate) fn load_and_run(zygote: Zygote, order: Order) -> anyhow::Result<()> {
    let started = Instant::now();
    let Zygote { engine, shared_bytes } = zygote;
    let Order { id, mut manifest, socket, mut cell, zygote } = order;
    cell.enter(Entry { id, own: None, zygote, kept: &[socket.as_fd()] }, &mut manifest)?;
    let mut environment = Environment::resumed(Birth { engine, id, socket, cell, shared_bytes }, &manifest)?;
    environment.let_debuggers_in()?;
    environment.watchdog.arm(deadline_in(INIT_TIMEOUT.saturating_sub(started.elapsed())));
    let loaded = environment.engine.load(&manifest);
    let reached = environment.watchdog.disarm();
    if let Some(error) = init_error(loaded.err(), reached, manifest.memory_mb) {
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
    /// Where debuggers may attach.
    suspension: Option<Arc<Suspension>>,
}

impl Environment {
    fn new(birth: Birth, manifest: &Manifest) -> anyhow::Result<Environment> {
        // For the operator's `ps` and `top`.
        let _ = nix::sys::prctl::set_name(c"js-environment");
        let Birth { engine, id, socket, cell, shared_bytes } = birth;
        restore_signals()?;
        let resident = Resident::new(shared_bytes, manifest.memory_mb).ok();
        // A group of its own, not a session: the kernel shares the processor out between sessions first,
        // and all environments together shall weigh as much as the PoP, not each of them.
        nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0)).context("new group")?;
        // The PoP may have stopped this process when it and the template end: it must see that.
        nix::sys::prctl::set_pdeathsig(Signal::SIGCONT).context("signal at the parent's end")?;
        let tmp_dir = cell.enter_environment(manifest, id)?;
        let incoming = UnixStream::from(socket);
        incoming.set_nonblocking(false)?;
        let outbox = Arc::new(Mutex::new(Outbox::new(incoming.try_clone()?, manifest.log_bytes_max)));
        let suspension = manifest.inspected.is_some().then(Arc::default);
        let watchdog = Watchdog::start(Watched {
            stopper: Box::new(engine.stopper()),
            socket: incoming.try_clone()?.into(),
            outbox: Arc::clone(&outbox),
            resident,
            suspension: suspension.clone(),
        })?;
        let mut environment = Environment { engine, tmp_dir, incoming, outbox, watchdog, suspension };
        let (log, note) = (Arc::clone(&environment.outbox), Arc::clone(&environment.outbox));
        environment.engine.set_log(Rc::new(move |line| lock(&log).log(line)));
        environment.engine.set_stop_sink(Rc::new(move |text| {
            let mut outbox = lock(&note);
            outbox.stopped(text);
            // At once: the process may not get to say anything more.
            outbox.send_what_fits();
        }));
        Ok(environment)
    }

    fn resumed(birth: Birth, manifest: &Manifest) -> anyhow::Result<Environment> {
        let mut environment = Environment::new(birth, manifest)?;
        if let Err(error) = environment.engine.resume(&environment.tmp_dir) {
            environment.finish(&[Frame::InitFailed(error)], 1);
        }
        Ok(environment)
    }

    /// Before there is user code: whoever attaches in time can debug what a module does while it is loaded, too.
    fn let_debuggers_in(&mut self) -> anyhow::Result<()> {
        let Some(suspension) = &self.suspension else { return Ok(()) };
        let socket = debuggers::receive(&self.incoming).context("socket of the inspector")?;
        debuggers::serve(socket, self.engine.inspect(Arc::clone(suspension)), Arc::clone(suspension))
    }

    fn serve(mut self) -> anyhow::Result<()> {
        let mut decoder = FrameDecoder::default();
        // Small at first: each page of it is one more that this copy of a process has to itself.
        let mut chunk = vec![0; READ_BYTES_FIRST];
        loop {
            while let Some(frame) = decoder.next_frame()? {
                let Frame::Invoke { id, deadline_unix_ms, event } = frame else {
                    bail!("the PoP sent a frame that only environments send");
                };
                lock(&self.outbox).refill();
                self.suspension.iter().for_each(|suspension| suspension.begin());
                self.watchdog.arm(deadline_unix_ms);
                let ending = self.engine.invoke(id, deadline_unix_ms, &event);
                let reached = self.watchdog.disarm();
                self.answer(ending, reached)?;
            }
            match self.read(&mut chunk) {
                Ok(0) => exit_now(0),
                Ok(length) => {
                    decoder.buffer().extend_from_slice(&chunk[..length]);
                    if length == READ_BYTES_FIRST {
                        chunk.resize(READ_BYTES, 0);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("socket of the environment"),
            }
        }
    }

    /// Waits in `poll`: a blocking read would also wake whenever the PoP takes a result out of the socket.
    /// Where debuggers may attach, they are served meanwhile.
    fn read(&mut self, chunk: &mut [u8]) -> std::io::Result<usize> {
        if self.suspension.is_some() {
            let incoming = self.incoming.try_clone()?;
            self.engine.idle(readable(incoming))?;
        } else {
            poll(&mut [PollFd::new(self.incoming.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        }
        self.incoming.read(chunk)
    }

    /// An isolate that was terminated is not used again, whatever it still answered.
    fn answer(&self, ending: Ending, reached: Option<Exiting>) -> anyhow::Result<()> {
        if let Some(exiting) = reached {
            self.end(exiting, None);
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
            Exiting::Signal(_) | Exiting::OutOfMemory | Exiting::Deadline => 1,
        };
        let error = error.map(Frame::Error);
        let frames: Vec<Frame> = error.into_iter().chain([Frame::Exiting(exiting)]).collect();
        self.finish(&frames, code)
    }

    fn finish(&self, frames: &[Frame], code: i32) -> ! {
        lock(&self.outbox).send_last(frames);
        exit_now(code)
    }

    fn say(&self, frame: &Frame) -> anyhow::Result<()> {
        lock(&self.outbox).send(frame).context("socket of the environment")
    }
}

const READ_BYTES_FIRST: usize = 4 * 1024;
const READ_BYTES: usize = 64 * 1024;
