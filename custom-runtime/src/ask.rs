//! What programs ask for over HTTP, and where the reply goes.

use crate::desk::Refused;
use crate::extensions::{self, Wants};
use crate::telemetry::{self, Subscription};
use bytes::Bytes;
use environment::{ErrorPayload, Frame};
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;
use uuid::Uuid;

/// One event for the runtime.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: Uuid,
    pub(crate) deadline_unix_ms: u64,
    pub(crate) event: Bytes,
}

/// One request.
pub(crate) enum Ask {
    Next(Sender<Result<Invocation, Refused>>),
    /// `since` is when the first of it came.
    Answer {
        id: String,
        frame: Frame,
        since: Instant,
        reply: Sender<Result<(), Refused>>,
    },
    InitError {
        error: ErrorPayload,
        reply: Sender<Result<(), Refused>>,
    },
    Register {
        name: String,
        wants: Wants,
        reply: Sender<Result<Uuid, extensions::Refused>>,
    },
    NextEvent {
        id: Uuid,
        reply: Sender<Result<String, extensions::Refused>>,
    },
    ExtensionFailed {
        id: Uuid,
        error: ErrorPayload,
        phase: Phase,
        reply: Sender<Result<(), extensions::Refused>>,
    },
    Subscribe {
        id: Uuid,
        subscription: Subscription,
        reply: Sender<Result<(), NotSubscribed>>,
    },
}

/// When an extension fails, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Init,
    Exit,
}

/// Why an extension may not subscribe.
pub(crate) enum NotSubscribed {
    Extension(extensions::Refused),
    Telemetry(telemetry::Refused),
}
