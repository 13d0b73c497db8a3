//! The system calls that need `unsafe`: packets with attached descriptors,
//! signals by pidfd, nice values, and a descriptor left open across `exec`. Everything else
//! in this crate is safe code.

#![allow(unsafe_code)]

use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A packet of a `SOCK_SEQPACKET` socket. Length 0 is the end of the connection.
pub(crate) struct Packet {
    pub(crate) length: usize,
    pub(crate) attached: Option<OwnedFd>,
}

/// Sends one packet, without blocking.
pub(crate) fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], attached: &[BorrowedFd<'_>]) -> io::Result<()> {
    let descriptors: Vec<RawFd> = attached.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let messages = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], messages, flags, None)?;
    Ok(())
}

/// Receives one packet, without blocking. A packet that does not fit is an error.
pub(crate) fn receive_packet(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Packet> {
    let mut space = cmsg_space!([RawFd; 4]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let mut attached = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            // SAFETY: the kernel has just made these descriptors for this call; nobody else owns them.
            attached.extend(descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "packet is larger than the buffer"));
    }
    let length = message.bytes;
    Ok(Packet { length, attached: attached.into_iter().next() })
}

/// Sends a signal to the process behind a pidfd. A process that is already gone is no error.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) {
    // SAFETY: no memory is passed; the descriptor is open for the duration of the call.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        );
    }
}

/// Whether the process behind a pidfd has not ended.
pub(crate) fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    let mut waits = [PollFd::new(pidfd, PollFlags::POLLIN)];
    poll(&mut waits, PollTimeout::ZERO).is_ok_and(|ready| ready == 0)
}

/// CPU time that all threads of a process used; `None` when it is gone.
pub(crate) fn cpu_time(pid: i32) -> Option<Duration> {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to live locals of the right types.
    let read = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0 && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    read.then(|| Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Sets the nice value of a thread, 0 for the calling one. Says whether it was allowed.
pub(crate) fn set_nice(thread: i32, nice: i32) -> bool {
    let Ok(thread) = libc::id_t::try_from(thread) else { return false };
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, nice) == 0 }
}

/// The same for every thread of every process of a group.
pub(crate) fn set_nice_of_group(group: i32, nice: i32) -> bool {
    let Ok(group) = libc::id_t::try_from(group) else { return false };
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PGRP, group, nice) == 0 }
}

/// The nice value of the calling thread.
pub(crate) fn own_nice() -> i32 {
    // SAFETY: no memory is passed. -1 is also an error, of which there is none for oneself.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// A pidfd of this process's own child, which must not have been waited for yet.
pub(crate) fn pidfd_of(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0_u32) };
    match RawFd::try_from(opened) {
        // SAFETY: the kernel has just made this descriptor for this call; nobody else owns it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Leaves `descriptor` open in the program that `command` starts, under the same number.
pub(crate) fn keep_open(command: &mut Command, descriptor: &OwnedFd) {
    let raw = descriptor.as_raw_fd();
    let clear = move || {
        // SAFETY: fcntl is async-signal-safe and changes only this child's descriptor flags.
        match unsafe { libc::fcntl(raw, libc::F_SETFD, 0) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: `clear` runs between fork and exec and only calls fcntl.
    unsafe { command.pre_exec(clear) };
}

/// Registers a descriptor with the runtime's poller.
pub(crate) fn watch_descriptor(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and names one file description until it is dropped, with the `AsyncFd`.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Registers a socket with the runtime's poller, for one direction.
pub(crate) fn watch_socket(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: as above, of a `UnixStream`.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}

/// In how many parts of a second the kernel counts processor time.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: no memory is passed.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// Bytes of a memory page.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: no memory is passed.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}
