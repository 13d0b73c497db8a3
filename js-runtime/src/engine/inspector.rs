//! The engine's side of debugging: sessions of debuggers, opened from any thread
//! and served on the engine's own. V8 serves them while the handler waits, while
//! it runs (by interrupts) and while it is stopped at a breakpoint; between two
//! invocations the environment asks for it here. Which limits are suspended then
//! is said by a [`Suspension`]. Sockets are the environment's affair.

use super::Engine;
use deno_core::futures::StreamExt;
use deno_core::futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use deno_core::{InspectorMsg, InspectorSessionChannels, InspectorSessionKind, InspectorSessionProxy};
use environment::Suspension;
use std::pin::pin;
use std::sync::Arc;

/// Opens sessions on one engine.
#[derive(Clone)]
pub struct Inspector {
    sessions: UnboundedSender<InspectorSessionProxy>,
}

/// What a debugger says. Dropping it ends the session; an engine that the session has stopped goes on.
pub struct ToEngine(UnboundedSender<String>);

/// What the engine says to it.
pub struct FromEngine(UnboundedReceiver<InspectorMsg>);

impl Inspector {
    /// Opens one. The engine takes unbounded channels only; what bounds them is the socket they are
    /// filled from, and a debugger that reads what it asked for.
    #[must_use]
    pub fn open(&self) -> (ToEngine, FromEngine) {
        let (to, rx) = unbounded();
        let (tx, from) = unbounded();
        let proxy = InspectorSessionProxy {
            channels: InspectorSessionChannels::Regular { tx, rx },
            kind: InspectorSessionKind::NonBlocking { wait_for_disconnect: false },
        };
        // Fails only when the engine is gone, and then the channels are closed with the proxy.
        let _ = self.sessions.unbounded_send(proxy);
        (ToEngine(to), FromEngine(from))
    }
}

impl ToEngine {
    /// One message of the protocol, JSON.
    pub fn send(&self, message: String) {
        // An engine that is gone answers nothing; the process is about to end.
        let _ = self.0.unbounded_send(message);
    }
}

impl FromEngine {
    /// The next message of the protocol; `None` when the session is over.
    pub async fn next(&mut self) -> Option<String> {
        self.0.next().await.map(|message| message.content)
    }
}

impl Engine {
    /// Lets debuggers in, in an environment that is not copied, before the function is loaded. The
    /// limits of waiting follow `suspension`; whoever opens sessions keeps it.
    pub fn inspect(&mut self, suspension: Arc<Suspension>) -> Inspector {
        self.runtime.maybe_init_inspector();
        self.suspension = Some(suspension);
        Inspector { sessions: self.runtime.inspector().get_session_sender() }
    }

    /// Serves debuggers until `done`. Nothing of the handler runs but what they evaluate.
    pub fn idle<T>(&mut self, done: impl Future<Output = T>) -> T {
        let tokio = self.tokio.take().expect("an engine always has a runtime");
        let output = tokio.block_on(async {
            let mut done = pin!(done);
            std::future::poll_fn(|context| {
                self.runtime.inspector().poll_sessions_from_event_loop(context);
                self.runtime.v8_isolate().perform_microtask_checkpoint();
                done.as_mut().poll(context)
            })
            .await
        });
        self.tokio = Some(tokio);
        output
    }

    pub(super) fn are_limits_suspended(&self) -> bool {
        self.suspension.as_ref().is_some_and(|suspension| suspension.holds())
    }
}
