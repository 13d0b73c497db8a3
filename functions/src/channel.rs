//! The PoP's end of an environment's socket. It is watched for what comes, and
//! for room only while there is none: the kernel tells a watcher of room about
//! every read of the other end, which would wake the PoP in the middle of each
//! invocation for nothing.

use crate::sys::{send_packet, watch_socket};
use bytes::{Buf, BytesMut};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: AsyncFd<UnixStream>,
}

impl Channel {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Channel> {
        socket.set_nonblocking(true)?;
        Ok(Channel { socket: watch_socket(socket, Interest::READABLE)? })
    }

    /// Another descriptor of it.
    pub(crate) fn duplicate(&self) -> io::Result<UnixStream> {
        self.socket.get_ref().try_clone()
    }

    /// Appends what is there, 0 bytes at the end. Makes no system call unless the socket has news.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there.
    pub(crate) fn try_read(&self, into: &mut BytesMut) -> io::Result<usize> {
        self.socket.try_io(Interest::READABLE, |socket| read(socket, into))
    }

    /// Waits for bytes and appends them; 0 at the end.
    pub(crate) async fn read(&self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            let mut ready = self.socket.readable().await?;
            let Ok(read) = ready.try_io(|socket| read(socket.get_ref(), into)) else { continue };
            let read = read?;
            if (1..READ_BYTES).contains(&read) {
                // That was all: the next look would find nothing.
                ready.clear_ready();
            }
            return Ok(read);
        }
    }

    /// Writes `bytes`, which are short, with `descriptor` attached. Before anything else is written.
    pub(crate) fn send_attached(&self, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
        send_packet(self.socket.get_ref().as_fd(), bytes, &[descriptor])
    }

    /// Writes some of `out`, which must have some, and removes that.
    pub(crate) async fn write(&self, out: &mut BytesMut) -> io::Result<usize> {
        let written = match self.socket.get_ref().write(out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.write_when_there_is_room(out).await?,
            written => written?,
        };
        out.advance(written);
        Ok(written)
    }

    async fn write_when_there_is_room(&self, out: &[u8]) -> io::Result<usize> {
        let watched = watch_socket(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?;
        watched.async_io(Interest::WRITABLE, |mut socket| socket.write(out)).await
    }
}

fn read(mut socket: &UnixStream, into: &mut BytesMut) -> io::Result<usize> {
    CHUNK.with_borrow_mut(|chunk| {
        let read = socket.read(chunk)?;
        into.extend_from_slice(&chunk[..read]);
        Ok(read)
    })
}

thread_local! {
    /// Where bytes are read to before it is known how many they are.
    static CHUNK: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_the_socket_takes_arrives_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, theirs) = (Channel::new(ours).unwrap(), Channel::new(theirs).unwrap());
        let sent: Vec<u8> = (0..3_000_000_u32).map(|nth| nth.to_le_bytes()[1]).collect();
        let mut out = BytesMut::from(&sent[..]);
        let mut received = BytesMut::new();
        let write = async {
            while !out.is_empty() {
                ours.write(&mut out).await.unwrap();
            }
            drop(ours);
        };
        let read = async { while theirs.read(&mut received).await.unwrap() > 0 {} };
        tokio::join!(write, read);
        assert!(received == sent);
    }

    #[tokio::test]
    async fn a_look_says_whether_something_is_there_or_it_is_the_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Channel::new(ours).unwrap();
        let mut read = BytesMut::new();
        assert_eq!(ours.try_read(&mut read).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"a").unwrap();
        assert_eq!(ours.read(&mut read).await.unwrap(), 1);
        assert_eq!(ours.try_read(&mut read).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"b").unwrap();
        drop(theirs);
        assert_eq!((ours.read(&mut read).await.unwrap(), &read[..]), (1, &b"ab"[..]));
        assert_eq!(ours.try_read(&mut read).unwrap(), 0);
        assert_eq!(ours.read(&mut read).await.unwrap(), 0);
    }
}
