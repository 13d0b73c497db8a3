//! Frames from the PoP, read without waiting on a socket that is otherwise
//! written to with waiting.

use crate::watched::watch;
use environment::{Frame, FrameDecoder};
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The reading end.
pub(crate) struct Frames {
    socket: AsyncFd<OwnedFd>,
    decoder: FrameDecoder,
}

impl Frames {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Frames> {
        Ok(Frames { socket: watch(socket.into())?, decoder: FrameDecoder::default() })
    }

    /// The next one; `None` when the PoP is gone. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            let read = |socket: &OwnedFd| Ok(recv(socket.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT)?);
            let length = self.socket.async_io(Interest::READABLE, read).await?;
            if length == 0 {
                return Ok(None);
            }
            self.decoder.buffer().extend_from_slice(&chunk[..length]);
        }
    }
}

const CHUNK_BYTES: usize = 64 * 1024;
