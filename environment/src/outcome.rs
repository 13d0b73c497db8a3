//! How an invocation can end: a closed list, decided at the fault and mapped to
//! a status in exactly one place (`proxy/src/error.rs`).

use crate::manifest::Language;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The error a runtime reports, in Lambda's own shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorPayload {
    #[serde(rename = "errorType")]
    pub error_type: String,
    #[serde(rename = "errorMessage")]
    pub error_message: String,
    /// Python's runtimes call it `stackTrace`.
    #[serde(default, alias = "stackTrace")]
    pub trace: Vec<String>,
}

impl ErrorPayload {
    /// The error as the runtimes of `language` show it to who invoked them.
    #[must_use]
    pub fn shown(&self, language: Language, request_id: &str) -> Value {
        let ErrorPayload { error_type, error_message, trace } = self;
        match language {
            Language::JavaScript => json!({"errorType": error_type, "errorMessage": error_message, "trace": trace}),
            Language::Python => json!({
                "errorMessage": error_message,
                "errorType": error_type,
                "requestId": request_id,
                "stackTrace": trace,
            }),
            Language::Custom => {
                json!({"errorMessage": error_message, "errorType": error_type, "stackTrace": trace})
            }
        }
    }

    /// The type of [`ErrorPayload::init_timed_out`] and [`ErrorPayload::restore_timed_out`].
    pub const INIT_TIMED_OUT: &str = "Sandbox.Timedout";

    /// The init phase took longer than `limits::INIT_TIMEOUT`, in Lambda's words.
    #[must_use]
    pub fn init_timed_out() -> ErrorPayload {
        let seconds = crate::limits::INIT_TIMEOUT.as_secs_f64();
        ErrorPayload {
            error_type: ErrorPayload::INIT_TIMED_OUT.to_owned(),
            error_message: format!("init phase timed out after {seconds:.2} seconds"),
            trace: Vec::new(),
        }
    }

    /// The `afterRestore` hooks of a copy took longer than `limits::RESTORE_TIMEOUT`.
    #[must_use]
    pub fn restore_timed_out() -> ErrorPayload {
        let seconds = crate::limits::RESTORE_TIMEOUT.as_secs_f64();
        ErrorPayload {
            error_type: ErrorPayload::INIT_TIMED_OUT.to_owned(),
            error_message: format!("afterRestore hooks timed out after {seconds:.2} seconds"),
            trace: Vec::new(),
        }
    }

    /// The init phase needed more than `memory_mb` mebibytes.
    #[must_use]
    pub fn init_out_of_memory(memory_mb: u32) -> ErrorPayload {
        ErrorPayload {
            error_type: "Runtime.OutOfMemory".to_owned(),
            error_message: format!("memory limit of {memory_mb} MB exceeded in the init phase"),
            trace: Vec::new(),
        }
    }

    /// The `afterRestore` hooks of a copy needed more than `memory_mb` mebibytes.
    #[must_use]
    pub fn restore_out_of_memory(memory_mb: u32) -> ErrorPayload {
        ErrorPayload {
            error_type: "Runtime.OutOfMemory".to_owned(),
            error_message: format!("memory limit of {memory_mb} MB exceeded in afterRestore hooks"),
            trace: Vec::new(),
        }
    }
}

/// What Lambda says of a process that ended by itself (AWS: "Troubleshoot execution issues in Lambda").
#[must_use]
pub fn exit_message(reason: &str) -> String {
    if reason == ENDED_WELL {
        return "Runtime exited without providing a reason".to_owned();
    }
    format!("Runtime exited with error: {reason}")
}

/// The reason of a process that ended in good order, and should not have.
const ENDED_WELL: &str = "exit status 0";

/// Why an invocation was not run although nothing is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttle {
    /// What its function has reserved is in use.
    #[error("{max} invocations of the function at one time are reserved, and as many run")]
    Reserved { max: usize },
    /// What other functions have not reserved is in use.
    #[error("{max} invocations at one time are not reserved for other functions, and as many run")]
    Unreserved { max: usize },
    /// No environment was free and none may be made.
    #[error("{0}")]
    NoEnvironment(String),
}

/// How one invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler's result, JSON bytes (`null` when it returned nothing).
    Result(Bytes),
    /// The handler threw, rejected, or called back with an error.
    Threw(ErrorPayload),
    /// The init phase failed: import error, missing handler, init timeout.
    InitFailed(ErrorPayload),
    /// The wall-clock limit, milliseconds.
    TimedOut { timeout_ms: u64 },
    /// The memory limit, mebibytes, and what was seen.
    ExceededMemory { memory_mb: u32, used_mb: u32 },
    /// The process ended by itself: `process.exit`, a signal, an abort.
    Crashed { reason: String },
    /// The result was larger than the limit.
    ResultTooLarge { bytes: usize, limit: usize },
    /// It was not run, because too much runs already.
    Throttled(Throttle),
    /// The caller went away before the handler was done, perhaps before it began.
    Canceled,
}

impl Outcome {
    /// The name that logs, metrics and the access log use.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Outcome::Result(_) => "ok",
            Outcome::Threw(_) => "threw",
            Outcome::InitFailed(_) => "init-failed",
            Outcome::TimedOut { .. } => "timed-out",
            Outcome::ExceededMemory { .. } => "exceeded-memory",
            Outcome::Crashed { .. } => "crashed",
            Outcome::ResultTooLarge { .. } => "result-too-large",
            Outcome::Throttled(_) => "throttled",
            Outcome::Canceled => "canceled",
        }
    }
}
