//! The socket between a PoP and a zygote or template: one JSON message per
//! `SOCK_SEQPACKET` packet, at most one descriptor attached to each.

use crate::attached::receive_attached;
use crate::fork::adopt;
use crate::request::{Packet, Request};
use environment::{ControlReply, ErrorPayload};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// This process's end of a control socket.
pub struct Control {
    socket: OwnedFd,
}

impl Control {
    /// Takes over `socket` and makes it blocking: a zygote or template has nothing else to do.
    ///
    /// # Errors
    /// It is no open descriptor.
    pub fn new(socket: OwnedFd) -> io::Result<Control> {
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
        fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Control { socket })
    }

    /// Moves it to the descriptor `number`, which nothing else has.
    pub(crate) fn move_to(&mut self, number: RawFd) -> io::Result<()> {
        let moved = adopt(fcntl(&self.socket, FcntlArg::F_DUPFD_CLOEXEC(number))?);
        if moved.as_raw_fd() != number {
            return Err(io::Error::other(format!("descriptor {number} is in use")));
        }
        self.socket = moved;
        Ok(())
    }

    /// The next request with its descriptor; `None` when the PoP is gone.
    pub(crate) fn receive(&self) -> io::Result<Option<(Request, Option<OwnedFd>)>> {
        let Some(length) = self.next_length()? else { return Ok(None) };
        let mut packet = Packet(vec![0; length]);
        match receive_attached(&self.socket, &mut packet.0, MsgFlags::empty()) {
            Ok((_, mut attached)) => Ok(Some((Request::read(packet)?, attached.pop()))),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next packet. Pages that are written to between two forks are copied: a buffer
    /// for the largest would cost more than the fork's own request.
    fn next_length(&self) -> io::Result<Option<usize>> {
        loop {
            match recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
                Ok(length) if length > REQUEST_BYTES_MAX => {
                    let what = format!("control request is over the limit of {REQUEST_BYTES_MAX} bytes");
                    return Err(io::Error::other(what));
                }
                Ok(length) => return Ok(Some(length)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends `reply`, with `descriptor` attached when there is one.
    ///
    /// # Errors
    /// The PoP is gone, or the reply does not fit a packet.
    pub fn send(&self, reply: &ControlReply, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let packet = serde_json::to_vec(reply)?;
        let parts = [IoSlice::new(&packet)];
        let numbers: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let attached = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), &parts, attached, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A log line that fits one packet.
#[must_use]
pub fn fit_line(line: &[u8]) -> String {
    let mut line = String::from_utf8_lossy(line).into_owned();
    cut(&mut line, TEXT_BYTES_MAX);
    line
}

/// `error` cut to what fits one packet whatever the handler's module threw.
#[must_use]
pub fn fit_packet(mut error: ErrorPayload) -> ErrorPayload {
    cut(&mut error.error_type, TEXT_BYTES_MAX);
    cut(&mut error.error_message, TEXT_BYTES_MAX);
    error.trace.truncate(TRACE_LINES_MAX);
    for line in &mut error.trace {
        cut(line, TRACE_LINE_BYTES_MAX);
    }
    error
}

/// Cuts `text` to at most `bytes_max`, between characters.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// A manifest: paths, names and 4 KiB of variables, escaped.
const REQUEST_BYTES_MAX: usize = 128 * 1024;

/// A packet must fit the socket's send buffer (208 KiB unless the system says otherwise) even
/// when JSON doubles it.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const TRACE_LINES_MAX: usize = 32;
const TRACE_LINE_BYTES_MAX: usize = 1024;
