//! Where the handler is: the interpreter's fault handler writes the stack of the
//! main thread to a pipe when a signal asks for it, whatever that thread does.
//! Read by the thread that watches the limits.

use crate::OWN_FILES;
use crate::engine::signal_thread;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{gettid, pipe2, read};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The reading end, and whom to ask.
pub(crate) struct Notes {
    read: OwnedFd,
    main_thread: i32,
}

impl Notes {
    /// For the main thread, on which this is called; and the end that its fault handler writes to.
    pub(crate) fn open() -> io::Result<(Notes, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok((Notes { read, main_thread: gettid().as_raw() }, write))
    }

    /// The stack as text for the log: one line that says what the others are, or why there are none.
    pub(crate) fn ask(&self) -> String {
        signal_thread(self.main_thread, SIGNAL);
        let mut said = Vec::new();
        let mut patience = FIRST_WORD_MS;
        let mut chunk = [0; 4096];
        while said.len() < TEXT_BYTES_MAX && self.is_readable(patience) {
            match read(self.read.as_fd(), &mut chunk) {
                Ok(length) if length > 0 => said.extend_from_slice(&chunk[..length]),
                _ => break,
            }
            patience = NEXT_WORD_MS;
        }
        note(&String::from_utf8_lossy(&said))
    }

    fn is_readable(&self, patience_ms: u8) -> bool {
        let mut waits = [PollFd::new(self.read.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::from(patience_ms)).is_ok_and(|ready| ready > 0)
    }
}

/// The number of the end that is written to, for the fault handler. It stays open until the process ends.
pub(crate) fn keep_open(write: OwnedFd) -> i32 {
    let number = write.as_raw_fd();
    std::mem::forget(write);
    number
}

/// Without the header and the runtime's own frames.
fn note(said: &str) -> String {
    let own = format!("  File \"{OWN_FILES}");
    let frames: Vec<&str> =
        said.lines().filter(|line| line.starts_with("  File ") && !line.starts_with(&own)).collect();
    match (said.is_empty(), frames.is_empty()) {
        (true, _) => "Python stack is not known: the handler's thread does not take signals".to_owned(),
        (false, true) => {
            "Python stack is not known: no function of the handler was on it when it was stopped".to_owned()
        }
        (false, false) => format!("Python stack when it was stopped:\n{}", frames.join("\n")),
    }
}

/// A signal that no handler is likely to use for itself.
pub(crate) const SIGNAL: i32 = 62;

/// Together below the supervisor's grace.
const FIRST_WORD_MS: u8 = 12;
const NEXT_WORD_MS: u8 = 2;
const TEXT_BYTES_MAX: usize = 16 * 1024;
