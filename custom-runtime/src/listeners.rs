//! The extensions that wait for an event, and the events they are given.

use crate::api::trace;
use crate::extensions::{Extensions, Refused};
use environment::Manifest;
use environment::frame::Reason;
use environment::limits::SHUTDOWN_MAX;
use serde_json::json;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use uuid::Uuid;

type Reply = oneshot::Sender<Result<String, Refused>>;

/// Who waits, by extension.
pub(crate) struct Listeners {
    arn: String,
    waiting: HashMap<Uuid, Reply>,
    /// The last event, for those who had still to do when it came.
    last: HashMap<Uuid, String>,
}

impl Listeners {
    pub(crate) fn new(manifest: &Manifest) -> Listeners {
        let arn = manifest.invoked_function_arn.clone();
        Listeners { arn, waiting: HashMap::new(), last: HashMap::new() }
    }

    /// An extension asks for the next event.
    pub(crate) fn listen(&mut self, extensions: &mut Extensions, id: Uuid, reply: Reply) {
        // Whoever has hung up meanwhile gets no reply.
        if let Some(event) = self.last.remove(&id) {
            let _ = reply.send(Ok(event));
            return;
        }
        match extensions.ask(id) {
            Ok(()) => drop(self.waiting.insert(id, reply)),
            Err(refused) => {
                let _ = reply.send(Err(refused));
            }
        }
    }

    /// An invocation begins, and all of them wait.
    pub(crate) fn invoke(&mut self, extensions: &mut Extensions, (id, deadline_unix_ms): (Uuid, u64)) {
        for extension in extensions.invoke() {
            let event = json!({
                "eventType": "INVOKE",
                "deadlineMs": deadline_unix_ms,
                "requestId": id.to_string(),
                "invokedFunctionArn": self.arn,
                "tracing": {"type": "X-Amzn-Trace-Id", "value": trace(id, deadline_unix_ms)},
            });
            let told = self.waiting.remove(&extension).is_some_and(|reply| reply.send(Ok(event.to_string())).is_ok());
            if !told {
                // It has hung up, and has nothing to do for this one.
                let _ = extensions.ask(extension);
            }
        }
    }

    /// The environment ends.
    pub(crate) fn shut_down(&mut self, extensions: &mut Extensions, reason: Reason) {
        let deadline = SystemTime::now() + SHUTDOWN_MAX;
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let deadline_ms = u64::try_from(deadline_ms).unwrap_or(u64::MAX);
        for extension in extensions.shut_down() {
            let event =
                json!({"eventType": "SHUTDOWN", "shutdownReason": reason.id(), "deadlineMs": deadline_ms}).to_string();
            let told = self.waiting.remove(&extension).is_some_and(|reply| reply.send(Ok(event.clone())).is_ok());
            if !told {
                self.last.insert(extension, event);
            }
        }
    }
}
