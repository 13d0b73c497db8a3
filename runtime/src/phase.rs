//! Why an init phase or the hooks of a copy failed: a limit that was reached
//! counts more than what came of it.

use environment::ErrorPayload;
use environment::frame::Exiting;

/// The error of an init phase, if it failed.
#[must_use]
pub fn init_error(error: Option<ErrorPayload>, reached: Option<Exiting>, memory_mb: u32) -> Option<ErrorPayload> {
    match reached {
        Some(Exiting::Deadline) => Some(ErrorPayload::init_timed_out()),
        Some(Exiting::OutOfMemory) => Some(ErrorPayload::init_out_of_memory(memory_mb)),
        Some(Exiting::Code(_) | Exiting::Signal(_)) | None => error,
    }
}

/// The same of the hooks that a copy runs first.
#[must_use]
pub fn restore_error(error: Option<ErrorPayload>, reached: Option<Exiting>, memory_mb: u32) -> Option<ErrorPayload> {
    match reached {
        Some(Exiting::Deadline) => Some(ErrorPayload::restore_timed_out()),
        Some(Exiting::OutOfMemory) => Some(ErrorPayload::restore_out_of_memory(memory_mb)),
        Some(Exiting::Code(_) | Exiting::Signal(_)) | None => error,
    }
}
