//! What a function's log says of an invocation that failed.

use crate::log_lines::{self, Failure};
use bytes::BytesMut;
use environment::outcome::exit_message;
use environment::{ErrorPayload, Outcome};
use uuid::Uuid;

/// Appends the lines Lambda writes about a failure; the handler's own errors are logged by its runtime.
pub(crate) fn put_failure(out: &mut BytesMut, id: Uuid, outcome: &Outcome) -> Option<Failure> {
    let error = |out: &mut BytesMut, message: &str, kind: &str| {
        log_lines::put_line(out, format!("RequestId: {id} Error: {message}").as_bytes());
        log_lines::put_line(out, kind.as_bytes());
        Some(Failure::Error(kind.to_owned()))
    };
    match outcome {
        Outcome::Result(_) | Outcome::Threw(_) | Outcome::Throttled(_) | Outcome::Canceled => None,
        Outcome::TimedOut { timeout_ms } => {
            #[expect(clippy::cast_precision_loss, reason = "a timeout has few digits")]
            let seconds = *timeout_ms as f64 / 1000.0;
            log_lines::put_notice(out, id, &format!("Task timed out after {seconds:.2} seconds"));
            Some(Failure::Timeout)
        }
        Outcome::InitFailed(ErrorPayload { error_type, error_message, .. }) => error(out, error_message, error_type),
        Outcome::ExceededMemory { memory_mb, used_mb } => {
            let message = format!("memory limit of {memory_mb} MB exceeded, {used_mb} MB used");
            error(out, &message, "Runtime.OutOfMemory")
        }
        Outcome::Crashed { reason } => error(out, &exit_message(reason), "Runtime.ExitError"),
        Outcome::ResultTooLarge { bytes, limit } => {
            let message = format!("result of {bytes} bytes is over the limit of {limit} bytes");
            error(out, &message, "Function.ResponseSizeTooLarge")
        }
    }
}

/// Appends where the handler was when it was stopped at a limit, a line for each frame of its stack; that
/// nobody knows when the environment did not say.
pub(crate) fn put_stopped(out: &mut BytesMut, id: Uuid, text: Option<&[u8]>, language: &str) {
    let silent = format!("{language} stack {SILENT}");
    let text = text.unwrap_or(silent.as_bytes());
    let text = &text[..text.len().min(STOPPED_BYTES_MAX)];
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if index == 0 {
            out.extend_from_slice(format!("RequestId: {id} ").as_bytes());
        }
        log_lines::put_line(out, line);
    }
}

const SILENT: &str = "is not known: the environment ended without a word";
const STOPPED_BYTES_MAX: usize = 16 * 1024;
