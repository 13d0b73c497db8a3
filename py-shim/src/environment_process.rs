//! An execution environment: frames from and to the PoP. Idle means blocked in a
//! read, attached to the interpreter: no other thread of the handler runs
//! meanwhile, as in Lambda.

use crate::notes::{self, Notes};
use crate::plan::plan;
use crate::stopper::{Doing, StopEnvironment};
use crate::template::{lock, parse};
use environment::frame::{Exiting, Frame, FrameDecoder};
use environment::limits::{INIT_TIMEOUT, RESTORE_TIMEOUT};
use environment::{ErrorPayload, Manifest};
use nix::sys::signal::Signal;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use runtime::{Outbox, Resident, Watchdog, Watched, deadline_in};
use sandbox::{Cell, exit_now, restore_signals};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What an environment is made of.
pub(crate) struct Born {
    pub(crate) id: u64,
    pub(crate) socket: OwnedFd,
    pub(crate) cell: Cell,
    /// Memory that the zygote had, and that no function answers for.
    pub(crate) shared_bytes: u64,
    pub(crate) started: Instant,
}

/// The process of one environment.
#[pyclass(frozen)]
pub(crate) struct EnvironmentProcess {
    manifest: Manifest,
    tmp_dir: PathBuf,
    incoming: Mutex<(UnixStream, FrameDecoder)>,
    outbox: Arc<Mutex<Outbox>>,
    watchdog: Watchdog,
    doing: Arc<AtomicU8>,
    started: Instant,
    /// Where the stack of the handler is to be written.
    notes_fd: i32,
}

impl EnvironmentProcess {
    /// Enters what an environment has alone of the sandbox, and starts its watchdog.
    pub(crate) fn new(born: Born, manifest: Manifest) -> PyResult<EnvironmentProcess> {
        // For the operator's `ps` and `top`.
        let _ = nix::sys::prctl::set_name(c"py-environment");
        let Born { id, socket, cell, shared_bytes, started } = born;
        restore_signals()?;
        let resident = Resident::new(shared_bytes, manifest.memory_mb).ok();
        // A group of its own and not a session, for the reason that `js-runtime` has.
        let own = nix::unistd::Pid::from_raw(0);
        nix::unistd::setpgid(own, own).map_err(std::io::Error::from)?;
        // The PoP may have stopped this process when it and the template end: it must see that.
        nix::sys::prctl::set_pdeathsig(Signal::SIGCONT).map_err(std::io::Error::from)?;
        let entered = cell.enter_environment(&manifest, id);
        let tmp_dir = entered.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        let outbox = Arc::new(Mutex::new(Outbox::new(stream.try_clone()?, manifest.log_bytes_max)));
        let doing = Arc::new(AtomicU8::new(Doing::Invocation as u8));
        let (notes, write) = Notes::open()?;
        let stopper = StopEnvironment {
            notes,
            outbox: Arc::clone(&outbox),
            doing: Arc::clone(&doing),
            memory_mb: manifest.memory_mb,
        };
        let watchdog = Watchdog::start(Watched {
            stopper: Box::new(stopper),
            socket: stream.try_clone()?.into(),
            outbox: Arc::clone(&outbox),
            resident,
            suspension: None,
        })?;
        let incoming = Mutex::new((stream, FrameDecoder::default()));
        let notes_fd = notes::keep_open(write);
        Ok(EnvironmentProcess { manifest, tmp_dir, incoming, outbox, watchdog, doing, started, notes_fd })
    }

    /// Ends the process in good order, with what is still to be said.
    fn end(&self, exiting: Exiting, error: Option<ErrorPayload>) -> ! {
        let code = match exiting {
            Exiting::Code(code) => code,
            Exiting::Signal(_) | Exiting::OutOfMemory | Exiting::Deadline => 1,
        };
        let error = error.map(Frame::Error);
        let frames: Vec<Frame> = error.into_iter().chain([Frame::Exiting(exiting)]).collect();
        lock(&self.outbox).send_last(&frames);
        exit_now(code)
    }

    /// The invocation is over: what came after a limit does not count.
    fn answer(&self, frame: &Frame) -> PyResult<()> {
        if let Some(reached) = self.watchdog.disarm() {
            self.end(reached, None);
        }
        Ok(lock(&self.outbox).send(frame)?)
    }
}

#[pymethods]
impl EnvironmentProcess {
    /// The function, as JSON.
    fn plan(&self) -> String {
        plan(&self.manifest, &self.tmp_dir)
    }

    /// What `TMPDIR` says.
    #[getter]
    fn tmp_dir(&self) -> String {
        self.tmp_dir.display().to_string()
    }

    /// The signal that asks for the stack, and the descriptor that it is written to.
    fn notes(&self) -> (i32, i32) {
        (notes::SIGNAL, self.notes_fd)
    }

    /// The init phase begins: this environment loads the code itself.
    fn begin_init(&self) {
        self.doing.store(Doing::Init as u8, SeqCst);
        self.watchdog.arm(deadline_in(INIT_TIMEOUT.saturating_sub(self.started.elapsed())));
    }

    /// The hooks of a copy begin.
    fn begin_restore(&self) {
        self.doing.store(Doing::Restore as u8, SeqCst);
        self.watchdog.arm(deadline_in(RESTORE_TIMEOUT));
    }

    /// What came before the first invocation is over: the PoP is told. With an error the process ends.
    fn ready(&self, error: Option<&str>) -> PyResult<()> {
        let _ = self.watchdog.disarm();
        self.doing.store(Doing::Invocation as u8, SeqCst);
        if let Some(error) = error {
            lock(&self.outbox).send_last(&[Frame::InitFailed(parse(error)?)]);
            exit_now(1);
        }
        let init_ms = self.started.elapsed().as_secs_f64() * 1e3;
        Ok(lock(&self.outbox).send(&Frame::Ready { init_ms })?)
    }

    /// The next invocation: its id, its deadline in Unix milliseconds, its event. Ends the process when
    /// the PoP is gone.
    fn next<'py>(&self, python: Python<'py>) -> PyResult<(String, u64, Bound<'py, PyBytes>)> {
        let mut incoming = lock(&self.incoming);
        let (stream, decoder) = &mut *incoming;
        let mut chunk = [0; READ_BYTES];
        loop {
            let frame = decoder.next_frame().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            match frame {
                Some(Frame::Invoke { id, deadline_unix_ms, event }) => {
                    lock(&self.outbox).refill();
                    self.watchdog.arm(deadline_unix_ms);
                    return Ok((id.to_string(), deadline_unix_ms, PyBytes::new(python, &event)));
                }
                Some(_) => return Err(PyRuntimeError::new_err("the PoP sent a frame that only environments send")),
                None => match stream.read(&mut chunk) {
                    Ok(0) => exit_now(0),
                    Ok(length) => decoder.buffer().extend_from_slice(&chunk[..length]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    /// A line of the function's log.
    fn log(&self, line: &[u8]) {
        lock(&self.outbox).log(line);
    }

    /// The handler's result.
    fn result(&self, result: &[u8]) -> PyResult<()> {
        if result.len() > self.manifest.result_bytes_max {
            return self.answer(&Frame::ResultTooLarge { bytes: u64::try_from(result.len())? });
        }
        self.answer(&Frame::Result(result.to_vec().into()))
    }

    /// The handler failed.
    fn error(&self, error: &str) -> PyResult<()> {
        self.answer(&Frame::Error(parse(error)?))
    }

    /// The handler ends its process: `sys.exit`, `os._exit`.
    fn exit(&self, code: i32) {
        let reached = self.watchdog.disarm();
        self.end(reached.unwrap_or(Exiting::Code(code)), None)
    }
}

const READ_BYTES: usize = 16 * 1024;
