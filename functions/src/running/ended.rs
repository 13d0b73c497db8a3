//! How an invocation ends, and how far one can come before.

use environment::Outcome;
use environment::limits::RESULT_BYTES_MAX;

/// How it ended, and whether the environment can be used again.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) reusable: bool,
    pub(super) lost: Option<Lost>,
}

/// How far an invocation had come whose process was killed from outside or crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The handler had not been started.
    Before,
    /// The handler had been started and had not written anything.
    Silent,
}

/// How far an invocation has come.
pub(super) enum Turn {
    /// There is an answer, and the environment has still to do.
    Answered,
    Over(Ended),
}

/// What whoever invoked waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The answer: what extensions do afterwards is not waited for.
    Answered,
    /// The end, with the whole log.
    Over,
}

impl Ended {
    pub(super) fn broken(reason: String) -> Ended {
        Ended { outcome: Outcome::Crashed { reason }, reusable: false, lost: None }
    }
}

pub(super) fn too_large(bytes: usize) -> Outcome {
    Outcome::ResultTooLarge { bytes, limit: RESULT_BYTES_MAX }
}
