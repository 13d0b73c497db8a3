//! Sockets of a cell's own network, for the PoP, which puts one in the place of
//! a program's that is to listen. The keeper makes them: it is in that network
//! and under no filter. One byte asks for one, whose kind it says; one byte
//! answers, with the socket attached or the system's error.

use crate::failure::during;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socket, socketpair,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The keeper's end, and the PoP's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(during("sockets"))
}

/// Answers one request. False when nobody will ask again.
pub(crate) fn answer(asked: BorrowedFd<'_>) -> io::Result<bool> {
    let mut kind = [0];
    match recv(asked.as_raw_fd(), &mut kind, MsgFlags::MSG_DONTWAIT) {
        Ok(1..) => {}
        Ok(0) | Err(Errno::ECONNRESET) => return Ok(false),
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let family = if kind == [6] { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let (word, made) = match socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None) {
        Ok(made) => (0, Some(made)),
        Err(error) => (u8::try_from(error as i32).unwrap_or(u8::MAX), None),
    };
    let numbers: Vec<RawFd> = made.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let attached = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(asked.as_raw_fd(), &[IoSlice::new(&[word])], attached, flags, None) {
        // Who asks without reading gets nothing.
        Ok(_) | Err(Errno::EAGAIN) => Ok(true),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
