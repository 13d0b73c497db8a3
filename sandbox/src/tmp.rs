//! `/tmp` of an environment: a memory file system with a quota, made by the
//! keeper ahead of need and handed to whichever environment asks next. It is
//! attached nowhere but in that environment, and gone when that ends.

use crate::failure::during;
use crate::fork::adopt;
use crate::mount::{self, Mode};
use environment::limits::TMP_FILES_PER_MB;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, setsockopt,
    socketpair, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What every `/tmp` of a function is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Mebibytes.
    pub(crate) tmp_mb: u32,
    /// The user the environments run as, in the namespace of whoever mounts.
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// A new `/tmp`. Kept out of swap where the kernel lets this process ask for that.
pub(crate) fn make(quota: Quota) -> io::Result<OwnedFd> {
    mount::memory_file_system(&options(quota, Swap::Never), Mode::Data)
        .or_else(|_| mount::memory_file_system(&options(quota, Swap::Allowed), Mode::Data))
}

/// Why the content of a `/tmp` may reach a disk; `None` when it cannot.
pub(crate) fn reaches_disk(quota: Quota) -> Option<String> {
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let swap = swaps.lines().skip(1).find_map(|line| line.split_whitespace().next())?.to_owned();
    let refused = mount::memory_file_system(&options(quota, Swap::Never), Mode::Data).err()?;
    Some(format!("swap is on ({swap}) and memory cannot be kept out of it: {refused}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Swap {
    Never,
    Allowed,
}

fn options(quota: Quota, swap: Swap) -> Vec<(&'static std::ffi::CStr, String)> {
    let mut options = vec![
        (c"size", format!("{}m", quota.tmp_mb)),
        (c"nr_inodes", (quota.tmp_mb * TMP_FILES_PER_MB).to_string()),
        (c"mode", "0700".to_owned()),
        (c"uid", quota.user.to_string()),
        (c"gid", quota.group.to_string()),
    ];
    if swap == Swap::Never {
        options.push((c"noswap", String::new()));
    }
    options
}

/// Where spares wait: the keeper's end, and the end that environments take from.
pub(crate) fn queue() -> io::Result<(OwnedFd, OwnedFd)> {
    let (keeper, environments) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(during("queue of /tmp"))?;
    setsockopt(&keeper, sockopt::SndBuf, &QUEUE_BYTES).map_err(during("queue of /tmp"))?;
    Ok((keeper, environments))
}

/// Adds one. False when the queue is full.
pub(crate) fn offer(queue: BorrowedFd<'_>, spare: BorrowedFd<'_>) -> io::Result<bool> {
    let numbers = [spare.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&numbers)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(queue.as_raw_fd(), &[IoSlice::new(&[0])], &rights, flags, None) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes one, waiting for the keeper if none is ready.
pub(crate) fn take(queue: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = cmsg_space!([RawFd; 1]);
    loop {
        let mut parts = [IoSliceMut::new(&mut byte)];
        match recvmsg::<()>(queue.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) => {
                let found = message.cmsgs()?.find_map(|part| match part {
                    ControlMessageOwned::ScmRights(numbers) => numbers.first().copied().map(adopt),
                    _ => None,
                });
                return found.ok_or_else(|| io::Error::other("the keeper of the namespaces is gone"));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(during("taking a /tmp")(error)),
        }
    }
}

/// Room for a handful of spares: the kernel counts about a kilobyte for each.
const QUEUE_BYTES: usize = 16 * 1024;
