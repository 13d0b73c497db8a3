//! A control socket: JSON packets to and from a zygote or template, descriptors
//! attached where `environment::control` says so. Order and meaning of the
//! messages are `parent`'s.

use crate::sys;
use environment::{ControlReply, ControlRequest};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// The PoP's end of a control socket.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    socket: AsyncFd<OwnedFd>,
}

/// A reply and the descriptor that came with it.
pub(crate) type Received = (ControlReply, Option<OwnedFd>);

impl ControlSocket {
    /// A connected pair: our end, and the end to hand over.
    pub(crate) fn pair() -> io::Result<(ControlSocket, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        Ok((ControlSocket { socket: sys::watch_descriptor(ours)? }, theirs))
    }

    /// Sends one request.
    pub(crate) async fn send(&self, request: &ControlRequest, attached: BorrowedFd<'_>) -> io::Result<()> {
        let bytes = serde_json::to_vec(request)?;
        if bytes.len() > PACKET_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "request is larger than a packet"));
        }
        loop {
            let mut ready = self.socket.writable().await?;
            if let Ok(sent) = ready.try_io(|socket| sys::send_packet(socket.as_fd(), &bytes, &[attached])) {
                return sent;
            }
        }
    }

    /// The next reply, or `None` once the other end is closed.
    pub(crate) async fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Option<Received>> {
        buffer.resize(PACKET_BYTES_MAX, 0);
        loop {
            let mut ready = self.socket.readable().await?;
            let Ok(packet) = ready.try_io(|socket| sys::receive_packet(socket.as_fd(), buffer)) else { continue };
            let packet = match packet {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                other => other?,
            };
            if packet.length == 0 {
                return Ok(None);
            }
            let reply = serde_json::from_slice(&buffer[..packet.length])?;
            return Ok(Some((reply, packet.attached)));
        }
    }
}

/// Bytes of a packet: below the default send buffer of a Unix socket.
const PACKET_BYTES_MAX: usize = 128 * 1024;
