//! What comes before a first invocation: its limit and the errors it ends with.
//! `connection` and `template` wait for it.

use crate::log_lines::Start;
use crate::template::BuildError;
use environment::control::EXIT_OUT_OF_MEMORY;
use environment::limits::{INIT_TIMEOUT, RESTORE_TIMEOUT};
use environment::outcome::exit_message;
use environment::{ErrorPayload, Exit};
use libc::SIGKILL;
use std::time::Duration;

/// What an environment does before its first invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It loads the function's module.
    Init,
    /// A copy that runs the function's `afterRestore` hooks.
    Restore,
}

impl Phase {
    pub(crate) fn limit(self) -> Duration {
        match self {
            Phase::Init => INIT_TIMEOUT,
            Phase::Restore => RESTORE_TIMEOUT,
        }
    }

    pub(crate) fn timed_out(self) -> ErrorPayload {
        match self {
            Phase::Init => ErrorPayload::init_timed_out(),
            Phase::Restore => ErrorPayload::restore_timed_out(),
        }
    }

    pub(crate) fn out_of_memory(self, memory_mb: u32) -> ErrorPayload {
        match self {
            Phase::Init => ErrorPayload::init_out_of_memory(memory_mb),
            Phase::Restore => ErrorPayload::restore_out_of_memory(memory_mb),
        }
    }

    /// How an invocation that waited this long for it came to its environment.
    pub(crate) fn start(self, took: Duration) -> Start {
        match self {
            Phase::Init => Start::Init(took),
            Phase::Restore => Start::Restore(took),
        }
    }

    /// Why the process ended before it was ready.
    pub(crate) fn ended(self, exit: Option<Exit>, memory_mb: u32) -> BuildError {
        let error = match exit {
            // Without a report its parent was killed, too.
            Some(Exit::Signal(SIGKILL)) | None => return BuildError::Lost,
            Some(Exit::Code(EXIT_OUT_OF_MEMORY)) => self.out_of_memory(memory_mb),
            Some(exit) => return self.broken(&exit_message(&exit.to_string())),
        };
        self.failed(error)
    }

    pub(crate) fn broken(self, message: &str) -> BuildError {
        let (error_type, error_message) = ("Runtime.ExitError".into(), message.to_owned());
        self.failed(ErrorPayload { error_type, error_message, trace: Vec::new() })
    }

    pub(crate) fn failed(self, error: ErrorPayload) -> BuildError {
        match self {
            Phase::Init => BuildError::Init(error),
            Phase::Restore => BuildError::Restore(error),
        }
    }
}
