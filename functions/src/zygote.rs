//! A zygote: one process per runtime's program and PoP, started again at once
//! when it ends. Templates and environments already forked do not need it.

use crate::control::ControlSocket;
use crate::parent::Parent;
use crate::program::{Engines, Program};
use crate::sys;
use crate::watch::anonymous_bytes_of;
use environment::manifest::LAYERS_DIR;
use environment::{ControlReply, LayerState, Runtime};
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Keeps a zygote running.
#[derive(Debug)]
pub(crate) struct Zygote {
    current: watch::Receiver<Option<Running>>,
    keeper: JoinHandle<()>,
}

/// A zygote that has said it is ready.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) parent: Arc<Parent>,
    /// Its name and version.
    pub(crate) engine: Arc<str>,
    /// Anonymous memory of a process without user code.
    pub(crate) anonymous_bytes: u64,
    /// What of the sandbox this machine gives.
    pub(crate) sandbox: Arc<[LayerState]>,
}

/// Why the zygote does not run.
#[derive(Debug, thiserror::Error)]
pub enum ZygoteError {
    #[error("cannot start {binary}: {source}")]
    Spawn { binary: PathBuf, source: std::io::Error },
    #[error(
        "{library} is not there: Python functions need it; install it beside the selvedge program \
         or set $SELVEDGE_PYTHON to its path"
    )]
    Library { library: PathBuf },
    #[error(
        "{binary} is not there: custom runtimes need it; install it beside the selvedge program \
         or set $SELVEDGE_CUSTOM to its path"
    )]
    Custom { binary: PathBuf },
    #[error("custom runtimes need a layer of the sandbox that this machine does not give: {0}")]
    Needs(String),
    #[error("layers are at {LAYERS_DIR}, which needs the sandbox's files layer: {0}")]
    Layers(String),
    #[error("the sandbox is not whole on this machine: {0}")]
    Sandbox(String),
    #[error("{binary} did not become ready within {} s", READY_TIMEOUT.as_secs())]
    Silent { binary: PathBuf },
    #[error("{binary} ended before it was ready: {status}")]
    Ended { binary: PathBuf, status: String },
}

impl Zygote {
    /// Starts the zygote and waits until it is ready.
    pub(crate) async fn start(program: &Program) -> Result<Zygote, ZygoteError> {
        let first = spawn(program).await?;
        let (publish, current) = watch::channel(Some(first.1.clone()));
        let keeper = tokio::spawn(keep(program.clone(), first, publish));
        Ok(Zygote { current, keeper })
    }

    /// The zygote, or `None` when it is not back within a few seconds.
    pub(crate) async fn running(&self) -> Option<Running> {
        let mut current = self.current.clone();
        let is_up = |zygote: &Option<Running>| zygote.as_ref().is_some_and(|running| running.parent.is_open());
        let found = tokio::time::timeout(READY_TIMEOUT, current.wait_for(is_up)).await.ok()?.ok()?;
        found.clone()
    }

    /// Ends the zygote for good.
    pub(crate) fn stop(&self) {
        self.keeper.abort();
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What of the sandbox this machine gives functions of `runtime`, as their zygote finds it.
///
/// # Errors
/// The zygote does not start.
pub async fn sandbox_layers(
    engines: &Engines,
    runtime: Runtime,
    interpreter: Option<&Path>,
) -> Result<Vec<LayerState>, ZygoteError> {
    let (_process, running) = spawn(&Program::for_function("", (runtime, interpreter), engines)).await?;
    Ok(running.sandbox.to_vec())
}

async fn keep(program: Program, first: (Process, Running), publish: watch::Sender<Option<Running>>) {
    let mut current = Some(first);
    let mut pause = BACKOFF_MIN;
    loop {
        if let Some((mut process, running)) = current.take() {
            let since = Instant::now();
            let status = tokio::select! {
                status = process.ended() => status,
                () = running.parent.closed() => "its control socket closed".to_owned(),
            };
            publish.send_replace(None);
            tracing::error!(status, "zygote ended, starting another");
            pause = if since.elapsed() > BACKOFF_MAX { BACKOFF_MIN } else { (pause * 2).min(BACKOFF_MAX) };
        }
        match spawn(&program).await {
            Ok(next) => {
                publish.send_replace(Some(next.1.clone()));
                current = Some(next);
            }
            Err(error) => {
                tracing::error!(%error, "zygote cannot be started");
                pause = (pause * 2).min(BACKOFF_MAX);
            }
        }
        // At once after a long life, later and later when it does not stay up.
        if pause > BACKOFF_MIN * 2 {
            tokio::time::sleep(pause).await;
        }
    }
}

async fn spawn(program: &Program) -> Result<(Process, Running), ZygoteError> {
    let binary = program.path();
    let failed = |source| ZygoteError::Spawn { binary: binary.to_path_buf(), source };
    program.check()?;
    let (ours, theirs) = ControlSocket::pair().map_err(failed)?;
    let mut command = program.command(theirs.as_raw_fd());
    // Functions must not see the PoP's own variables.
    command.env_clear();
    command.stdin(Stdio::null());
    sys::keep_open(&mut command, &theirs);
    let mut process = Process::start(command).await.map_err(failed)?;
    drop(theirs);
    let (parent, mut notices) = Parent::new(ours);
    let ready = tokio::time::timeout(READY_TIMEOUT, async {
        loop {
            match notices.recv().await {
                Some(ControlReply::ZygoteReady { engine, sandbox, .. }) => return Some((engine, sandbox)),
                Some(_) => {}
                None => return None,
            }
        }
    });
    let (engine, sandbox) = match ready.await {
        Ok(Some(said)) => {
            tracing::info!(engine = said.0, pid = process.pid, "zygote ready");
            said
        }
        Ok(None) => {
            let status = tokio::time::timeout(BACKOFF_MAX, process.ended()).await;
            let status = status.unwrap_or_else(|_| "its control socket closed".into());
            return Err(ZygoteError::Ended { binary: binary.to_path_buf(), status });
        }
        Err(_) => return Err(ZygoteError::Silent { binary: binary.to_path_buf() }),
    };
    let anonymous_bytes = anonymous_bytes_of(process.pid).unwrap_or(0);
    Ok((process, Running { parent: Arc::new(parent), engine: engine.into(), anonymous_bytes, sandbox: sandbox.into() }))
}

/// The zygote's process. Dropping it kills it.
#[derive(Debug)]
struct Process {
    pid: u32,
    pidfd: OwnedFd,
    status: oneshot::Receiver<String>,
}

impl Process {
    /// Starts it from a thread that lives as long as it does: a process that asks to die with its
    /// parent dies with the thread that made it, and the runtime's threads may end any time.
    async fn start(mut command: Command) -> io::Result<Process> {
        let (started, starting) = oneshot::channel();
        let (ended, status) = oneshot::channel();
        let life = move || {
            let spawned = command.spawn().and_then(|child| Ok((sys::pidfd_of(&child)?, child)));
            let (pidfd, mut child) = match spawned {
                Ok(spawned) => spawned,
                Err(error) => return drop(started.send(Err(error))),
            };
            if let Err(Ok((_, pidfd))) = started.send(Ok((child.id(), pidfd))) {
                sys::send_signal(pidfd.as_fd(), Signal::SIGKILL);
            }
            let status = child.wait();
            let _ = ended.send(status.map_or_else(|error| error.to_string(), |status| status.to_string()));
        };
        std::thread::Builder::new().name("zygote".into()).spawn(life)?;
        let (pid, pidfd) = starting.await.map_err(io::Error::other)??;
        Ok(Process { pid, pidfd, status })
    }

    /// Returns its exit status once it has ended.
    async fn ended(&mut self) -> String {
        let status = (&mut self.status).await;
        status.unwrap_or_else(|_| "exit status unknown".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        sys::send_signal(self.pidfd.as_fd(), Signal::SIGKILL);
    }
}

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
