//! One run of a handler, as the caller sees it once it is over.

use environment::Outcome;
use std::time::Duration;
use uuid::Uuid;

/// How one invocation went.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request id: in START, END and REPORT, and `context.awsRequestId`.
    pub id: Uuid,
    pub outcome: Outcome,
    /// From the moment the event was written to the environment until its answer was read.
    pub duration: Duration,
    /// Time this invocation spent on making an environment; `None` when an idle one was used.
    pub init: Option<Duration>,
    /// Mebibytes, the most seen; see `watch` for what is counted.
    pub memory_used_mb: u32,
}
