//! Where connections to the Runtime API come in: the function's programs connect
//! to it through the PoP, which hands the other ends over.

use crate::watched::watch;
use anyhow::bail;
use environment::{Frame, FrameDecoder};
use nix::sys::socket::MsgFlags;
use sandbox::receive_attached;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The inside of a door.
pub(crate) struct Door {
    socket: OwnedFd,
}

impl Door {
    /// Waits for the first frame on an environment's socket, which brings it.
    pub(crate) fn receive(stream: &UnixStream) -> anyhow::Result<Door> {
        let mut frame = [0; FRAME_BYTES];
        let (length, mut attached) = receive_attached(stream, &mut frame, MsgFlags::MSG_WAITALL)?;
        let mut decoder = FrameDecoder::default();
        decoder.buffer().extend_from_slice(&frame[..length]);
        match (decoder.next_frame()?, attached.pop()) {
            (Some(Frame::Door), Some(socket)) => Ok(Door { socket }),
            (first, _) => bail!("the first frame is {first:?}"),
        }
    }

    /// Connections as they come. Must be called inside a tokio runtime.
    pub(crate) fn open(self) -> io::Result<Open> {
        Ok(Open { socket: watch(self.socket)? })
    }
}

/// A door that is watched.
pub(crate) struct Open {
    socket: AsyncFd<OwnedFd>,
}

impl Open {
    /// The next connection.
    pub(crate) async fn next(&self) -> io::Result<Arrival> {
        loop {
            let read = |socket: &OwnedFd| {
                let mut kind = [0];
                let (length, attached) = receive_attached(socket, &mut kind, MsgFlags::MSG_DONTWAIT)?;
                Ok::<_, io::Error>((length, kind, attached))
            };
            let (length, kind, attached) = self.socket.async_io(Interest::READABLE, read).await?;
            let mut ends = attached.into_iter().map(connection);
            match (kind, ends.next().transpose()?, ends.next().transpose()?) {
                _ if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                ([TO_API], Some(caller), None) => return Ok(Arrival::Api(caller)),
                ([_], Some(caller), Some(listener)) => return Ok(Arrival::Inside { caller, listener }),
                // No descriptor was left for it: whoever connects sees it closed.
                _ => {}
            }
        }
    }
}

/// What comes in.
pub(crate) enum Arrival {
    /// Of a client of the Runtime API.
    Api(tokio::net::TcpStream),
    /// Of one program that connects to another which listens: both ends, to be made one.
    Inside { caller: tokio::net::TcpStream, listener: tokio::net::TcpStream },
}

fn connection(descriptor: OwnedFd) -> io::Result<tokio::net::TcpStream> {
    let connection = TcpStream::from(descriptor);
    connection.set_nonblocking(true)?;
    connection.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(connection)
}

/// What the PoP says of a connection that is to the Runtime API.
const TO_API: u8 = 0;

/// Of a frame that says no more than its kind.
const FRAME_BYTES: usize = 5;
