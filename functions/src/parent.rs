//! A process that forks on request, a zygote or a template, seen from the PoP:
//! each request meets its reply, each child its exit. Used by `zygote`,
//! `template` and `function`.

use crate::control::{ControlSocket, Received};
use crate::cpu::Tasks;
use crate::household::Household;
use crate::sys;
use environment::{ControlReply, ControlRequest, Exit};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// A forking process. Dropping it closes its control socket, at which it ends.
#[derive(Debug)]
pub(crate) struct Parent {
    routes: Arc<Routes>,
    turns: Semaphore,
    closed: watch::Receiver<bool>,
    reader: JoinHandle<()>,
}

/// What a parent says about itself, not about a child.
pub(crate) type Notices = mpsc::Receiver<ControlReply>;

/// Why a process was not forked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForkError {
    #[error("the forking process is gone")]
    Gone,
    #[error("the forking process refused: {0}")]
    Refused(String),
    #[error("the forking process did not answer within {} s", FORK_TIMEOUT.as_secs())]
    Silent,
    #[error("cannot send to the forking process: {0}")]
    Send(#[from] io::Error),
}

impl Parent {
    /// Starts reading replies from `socket`.
    pub(crate) fn new(socket: ControlSocket) -> (Parent, Notices) {
        let (forks, exits, listeners, sockets) = Default::default();
        let routes = Arc::new(Routes { socket, forks, exits, listeners, sockets });
        let (close, closed) = watch::channel(false);
        let (notify, notices) = mpsc::channel(NOTICES_MAX);
        let reader = tokio::spawn(read(Arc::clone(&routes), notify, close));
        (Parent { routes, turns: Semaphore::new(FORKS_AT_ONCE), closed, reader }, notices)
    }

    /// Whether the process still has its socket open.
    pub(crate) fn is_open(&self) -> bool {
        !*self.closed.borrow()
    }

    /// Returns once the process has closed its socket.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the reader is gone, which is the same.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Turns true when the process closes its socket; ends in an error when this end is dropped.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.clone()
    }

    /// Asks for a child with the request's `id`, which must be new.
    pub(crate) async fn fork(
        &self,
        id: u64,
        request: &ControlRequest,
        attached: BorrowedFd<'_>,
    ) -> Result<Child, ForkError> {
        // The process forks one after the other: the wait for a turn is not its silence.
        let _turn = self.turns.acquire().await.map_err(|_| ForkError::Gone)?;
        let (answer, answered) = oneshot::channel();
        let (hear, listener) = oneshot::channel();
        self.routes.forks.lock().insert(id, answer);
        self.routes.listeners.lock().insert(id, hear);
        let forked = async {
            if let Err(error) = self.routes.socket.send(request, attached).await {
                if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
                    return Err(ForkError::Send(error));
                }
                // Whoever asks again must not meet this one.
                self.closed().await;
                return Err(ForkError::Gone);
            }
            let mut closed = self.closed.clone();
            tokio::select! {
                biased;
                answer = answered => answer.map_err(|_| ForkError::Gone)?,
                _ = closed.wait_for(|closed| *closed) => Err(ForkError::Gone),
            }
        };
        let result = tokio::time::timeout(FORK_TIMEOUT, forked).await.unwrap_or(Err(ForkError::Silent));
        self.routes.forks.lock().remove(&id);
        match result {
            Ok(mut child) => {
                child.listener = Some(listener);
                Ok(child)
            }
            Err(error) => {
                self.routes.listeners.lock().remove(&id);
                Err(error)
            }
        }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A forked process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    /// In the PoP's own pid namespace.
    pub(crate) pid: i32,
    pidfd: Arc<OwnedFd>,
    /// Everybody it will start, where it may: they end with it.
    pub(crate) household: Option<Arc<Household>>,
    /// Somebody else ends it.
    is_let_go: bool,
    exited: Option<oneshot::Receiver<Exit>>,
    /// Where the network calls of a zygote's child arrive, once it says so.
    pub(crate) listener: Option<oneshot::Receiver<Calls>>,
}

/// Where the network calls of a process arrive.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) listener: OwnedFd,
    /// Where its keeper is asked for sockets of its own network, if it may listen there.
    pub(crate) sockets: Option<OwnedFd>,
}

/// A process that another part of the PoP owns.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) pid: i32,
    pidfd: Arc<OwnedFd>,
}

impl Handle {
    /// Kills it now.
    pub(crate) fn kill(&self) {
        sys::send_signal(self.pidfd.as_fd(), Signal::SIGKILL);
    }
}

impl Child {
    /// It and everybody it has started.
    pub(crate) fn tasks(&self) -> Tasks<'_> {
        Tasks { pid: self.pid, household: self.household.as_deref() }
    }

    /// For whoever does not own it.
    pub(crate) fn handle(&self) -> Handle {
        Handle { pid: self.pid, pidfd: Arc::clone(&self.pidfd) }
    }

    /// Kills it now.
    pub(crate) fn kill(&self) {
        sys::send_signal(self.pidfd.as_fd(), Signal::SIGKILL);
    }

    /// Leaves its end to whoever has its handle.
    pub(crate) fn let_go(&mut self) {
        self.is_let_go = true;
    }

    /// Stops it until [`Child::go_on`].
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Ends a stop.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        match &self.household {
            // One that is gone and was reaped may have left its number to somebody else's group.
            Some(household) if sys::is_alive(self.pidfd.as_fd()) => household.signal(signal),
            Some(_) => {}
            None => sys::send_signal(self.pidfd.as_fd(), signal),
        }
    }

    /// CPU time it used; `None` when it is gone.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        match &self.household {
            Some(household) => household.cpu_time(),
            None => sys::cpu_time(self.pid),
        }
    }

    /// How it ended, when its parent says so within a moment.
    pub(crate) async fn exit(&mut self) -> Option<Exit> {
        let exited = self.exited.take()?;
        tokio::time::timeout(EXIT_REPORT_TIMEOUT, exited).await.ok()?.ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_let_go {
            self.kill();
        }
    }
}

#[derive(Debug)]
struct Routes {
    socket: ControlSocket,
    forks: Mutex<HashMap<u64, oneshot::Sender<Result<Child, ForkError>>>>,
    exits: Mutex<HashMap<u64, oneshot::Sender<Exit>>>,
    listeners: Mutex<HashMap<u64, oneshot::Sender<Calls>>>,
    /// What comes before a listener.
    sockets: Mutex<HashMap<u64, OwnedFd>>,
}

async fn read(routes: Arc<Routes>, notices: mpsc::Sender<ControlReply>, close: watch::Sender<bool>) {
    let mut buffer = Vec::new();
    loop {
        match routes.socket.receive(&mut buffer).await {
            Ok(Some(received)) => routes.deliver(received, &notices),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "control socket broke");
                break;
            }
        }
    }
    close.send_replace(true);
    routes.forks.lock().clear();
    routes.exits.lock().clear();
    routes.listeners.lock().clear();
    routes.sockets.lock().clear();
}

impl Routes {
    fn deliver(&self, (reply, attached): Received, notices: &mpsc::Sender<ControlReply>) {
        match reply {
            ControlReply::Forked { id, pid } => self.deliver_fork(id, pid, attached),
            ControlReply::ForkFailed { id, reason } => {
                if let Some(answer) = self.forks.lock().remove(&id) {
                    let _ = answer.send(Err(ForkError::Refused(reason)));
                }
            }
            ControlReply::Exited { id, exit, memory_max_kb, cpu_ms } => {
                tracing::debug!(id, %exit, memory_max_kb, cpu_ms, "child exited");
                self.listeners.lock().remove(&id);
                self.sockets.lock().remove(&id);
                if let Some(exited) = self.exits.lock().remove(&id) {
                    let _ = exited.send(exit);
                }
            }
            ControlReply::Listening { id } => {
                let sockets = self.sockets.lock().remove(&id);
                if let (Some(hear), Some(listener)) = (self.listeners.lock().remove(&id), attached) {
                    let _ = hear.send(Calls { listener, sockets });
                }
            }
            ControlReply::Sockets { id } => {
                if let Some(sockets) = attached {
                    self.sockets.lock().insert(id, sockets);
                }
            }
            notice => {
                if notices.try_send(notice).is_err() {
                    tracing::debug!("a notice from a forking process was not wanted");
                }
            }
        }
    }

    fn deliver_fork(&self, id: u64, pid: i32, attached: Option<OwnedFd>) {
        let answer = self.forks.lock().remove(&id);
        let Some(pidfd) = attached else {
            if let Some(answer) = answer {
                let _ = answer.send(Err(ForkError::Refused("no pidfd was attached".into())));
            }
            return;
        };
        let (exit, exited) = oneshot::channel();
        self.exits.lock().insert(id, exit);
        let pid = pid_behind(&pidfd).unwrap_or(pid);
        let child = Child {
            pid,
            pidfd: Arc::new(pidfd),
            exited: Some(exited),
            household: None,
            is_let_go: false,
            listener: None,
        };
        // Nobody waits any more: dropping the child kills it.
        if let Some(answer) = answer {
            let _ = answer.send(Ok(child));
        }
    }
}

/// The pid in our namespace; the one in the reply is from the parent's.
fn pid_behind(pidfd: &OwnedFd) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Enough that the process never waits for the next request.
const FORKS_AT_ONCE: usize = 8;
const FORK_TIMEOUT: Duration = Duration::from_secs(5);
const EXIT_REPORT_TIMEOUT: Duration = Duration::from_millis(250);
/// Module-level log lines of a template and its verdict wait here.
const NOTICES_MAX: usize = 4096;
