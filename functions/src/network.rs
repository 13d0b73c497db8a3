//! The network of environments. They have none of their own: where a socket
//! comes from and where it leads arrives here as a question of the kernel's, is
//! judged by the function's [`NetworkPolicy`] after names were resolved, and is
//! done here on the caller's behalf. One thread for the whole PoP, off the
//! request path.

mod address;
mod call;
mod door;
mod forks;
mod notification;
mod own;
mod policy;
mod serve;

pub(crate) use door::Door;
pub(crate) use forks::Forks;
pub use policy::{AllowedError, NetworkPolicy};

use crate::log::Log;
use crate::parent::Calls;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Answers the network calls of all environments.
#[derive(Debug)]
pub(crate) struct NetworkGuard {
    listeners: mpsc::Sender<Listener>,
}

/// Whose calls arrive at a listener.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) function: Arc<str>,
    pub(crate) policy: NetworkPolicy,
    pub(crate) forks: Forks,
    /// Where connections to the Runtime API go, when it is one environment of a custom runtime.
    pub(crate) door: Option<Door>,
    pub(crate) log: Log,
}

#[derive(Debug)]
struct Listener {
    calls: Calls,
    caller: Caller,
}

impl NetworkGuard {
    /// Starts the thread; it ends when this is dropped.
    pub(crate) fn start() -> io::Result<NetworkGuard> {
        let (listeners, mut incoming) = mpsc::channel::<Listener>(LISTENERS_WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let life = move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                while let Some(Listener { calls, caller }) = incoming.recv().await {
                    tokio::task::spawn_local(serve::serve(calls, caller));
                }
            });
        };
        std::thread::Builder::new().name("network-guard".into()).spawn(life)?;
        Ok(NetworkGuard { listeners })
    }

    /// Answers a new process and its copies once its listener arrives. When none does, the process
    /// has ended or the sandbox has no such layer here, which was said at start-up.
    pub(crate) fn expect(&self, listener: oneshot::Receiver<Calls>, caller: Caller) {
        let listeners = self.listeners.clone();
        tokio::spawn(async move {
            if let Ok(calls) = listener.await {
                // A guard that is gone leaves the call unanswerable: it fails in the environment.
                let _ = listeners.send(Listener { calls, caller }).await;
            }
        });
    }
}

const LISTENERS_WAITING_MAX: usize = 64;
