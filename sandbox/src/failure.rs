//! Errors of the system with what was being done: a sandbox that cannot be
//! entered must say at which step.

use std::fmt::Display;
use std::io;

/// For `map_err`: keeps the kind of error and says what failed.
pub(crate) fn during<E: Into<io::Error>>(what: impl Display) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    }
}
