//! What the control plane asks of the running edge, and how the edge answers. The edge's
//! end of the channel is the program's.

use crate::error::{ApiError, Code};
use deployment::Added;
use tokio::sync::{mpsc, oneshot};

/// One thing to do, and where to say how it went: the error is a sentence for the client.
#[derive(Debug)]
pub enum Order {
    /// Run what the configuration file says together with this, and nothing else of ours.
    Apply { added: Added, done: oneshot::Sender<Result<(), String>> },
    /// Take responses of a distribution out of the cache.
    Invalidate { distribution: String, items: Vec<String>, done: oneshot::Sender<Result<(), String>> },
}

/// The asking end.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    sender: mpsc::Sender<Order>,
}

impl Orders {
    pub(crate) fn new(sender: mpsc::Sender<Order>) -> Orders {
        Orders { sender }
    }

    /// Returns once the edge runs it. Blocks.
    pub(crate) fn apply(&self, added: Added) -> Result<(), String> {
        self.ask(|done| Order::Apply { added, done })
    }

    /// Returns once it has taken effect. Blocks.
    pub(crate) fn invalidate(&self, distribution: String, items: Vec<String>) -> Result<(), ApiError> {
        let asked = self.ask(|done| Order::Invalidate { distribution, items, done });
        asked.map_err(|reason| ApiError::new(Code::INVALID_ARGUMENT, reason))
    }

    fn ask(&self, order: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Order) -> Result<(), String> {
        let (done, wait) = oneshot::channel();
        let stopping = || "the edge is stopping".to_owned();
        self.sender.blocking_send(order(done)).map_err(|_| stopping())?;
        wait.blocking_recv().map_err(|_| stopping())?
    }
}
