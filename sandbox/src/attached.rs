//! What comes from a Unix socket with a descriptor attached.

use crate::fork::adopt;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Reads into `bytes`. Says how many were read, 0 at the end, and what was attached: at most two descriptors.
///
/// # Errors
/// The socket's.
pub fn receive_attached(socket: &impl AsRawFd, bytes: &mut [u8], flags: MsgFlags) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; 2]);
    loop {
        let mut parts = [IoSliceMut::new(bytes)];
        let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) => {
                let mut attached = Vec::new();
                for part in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(numbers) = part {
                        attached.extend(numbers.into_iter().map(adopt));
                    }
                }
                return Ok((message.bytes, attached));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
