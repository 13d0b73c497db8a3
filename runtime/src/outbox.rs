//! Frames on their way to a PoP: log lines wait for the result, so that a short
//! invocation costs one write.

use crate::budget::LogBudget;
use bytes::{Bytes, BytesMut};
use environment::frame::Frame;
use nix::sys::socket::{MsgFlags, send};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What waits, and the socket it goes to.
pub struct Outbox {
    socket: UnixStream,
    waiting: BytesMut,
    budget: LogBudget,
}

impl Outbox {
    /// For the PoP's end of `socket`.
    #[must_use]
    pub fn new(socket: UnixStream, log_bytes_max: usize) -> Outbox {
        Outbox { socket, waiting: BytesMut::with_capacity(WRITE_BYTES), budget: LogBudget::new(log_bytes_max) }
    }

    /// A new invocation starts with the whole budget.
    pub fn refill(&mut self) {
        self.budget.refill();
    }

    /// Keeps one line of the function's log.
    pub fn log(&mut self, line: &[u8]) {
        let waiting = &mut self.waiting;
        self.budget.spend(line, |kept| {
            let frame = Frame::Log(Bytes::copy_from_slice(kept));
            // Over the frame limit only if an operator raised the log limit above it: dropped then.
            let _ = frame.encode(waiting);
        });
        if self.waiting.len() > WAITING_BYTES_MAX {
            // Broken sockets are met by the next result or the watchdog.
            let _ = self.write_waiting();
        }
    }

    /// Where the handler was when it was stopped.
    pub fn stopped(&mut self, text: &[u8]) {
        // A text over the frame limit is left out.
        let _ = Frame::Stopped(Bytes::copy_from_slice(text)).encode(&mut self.waiting);
    }

    /// Writes everything, `frame` last.
    ///
    /// # Errors
    /// The frame is over its limit, or the PoP is gone.
    pub fn send(&mut self, frame: &Frame) -> std::io::Result<()> {
        frame.encode(&mut self.waiting).map_err(std::io::Error::other)?;
        self.write_waiting()
    }

    /// Writes everything, `frames` last, in one write.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_all(&mut self, frames: &[Frame]) -> std::io::Result<()> {
        for frame in frames {
            frame.encode(&mut self.waiting).map_err(std::io::Error::other)?;
        }
        self.write_waiting()
    }

    /// Writes `frames`, as many as are within their limit, behind what waits: in one write, so that a PoP that
    /// reads an error then sees the end behind it, too.
    pub fn send_last(&mut self, frames: &[Frame]) {
        for frame in frames {
            // An error over the frame limit is left out; the end is still said.
            let _ = frame.encode(&mut self.waiting);
        }
        // A PoP that no longer listens learns the end from the exit.
        let _ = self.write_waiting();
    }

    fn write_waiting(&mut self) -> std::io::Result<()> {
        let written = self.socket.write_all(&self.waiting);
        self.waiting.clear();
        written
    }

    /// For the watchdog: never blocks.
    pub fn send_what_fits(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if let Ok(sent) = send(self.socket.as_raw_fd(), &self.waiting, flags) {
            let _ = self.waiting.split_to(sent);
        }
    }
}

/// Locks it whatever became of another holder.
pub fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

const WRITE_BYTES: usize = 64 * 1024;

/// Log text that may wait for the result.
const WAITING_BYTES_MAX: usize = 64 * 1024;
