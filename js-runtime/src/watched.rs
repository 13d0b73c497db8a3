//! A socket that tokio watches for something to read: its safe wrapper does not
//! promise that descriptors stay open.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until something can be read, or it is the end. Must be called inside a tokio runtime.
pub(crate) async fn readable(socket: UnixStream) -> io::Result<()> {
    // SAFETY: a `UnixStream` is open and names one file description until it is dropped, with the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)?;
    watched.readable().await.map(drop)
}
