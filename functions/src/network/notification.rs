//! The kernel's side of a network call: receiving the question, reading what the
//! caller passed, reaching its socket, answering.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// One call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    id: u64,
    /// The calling thread.
    thread: i32,
    pub(super) call: libc::c_long,
    pub(super) arguments: [u64; 6],
}

/// What a listener has.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Call(Notification),
    Nothing,
    /// No process uses the filter any more.
    Over,
}

/// The next call, without waiting.
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<News> {
    let mut waits = [PollFd::new(listener, PollFlags::POLLIN)];
    poll(&mut waits, PollTimeout::ZERO)?;
    let events = waits[0].revents().unwrap_or(PollFlags::empty());
    if !events.contains(PollFlags::POLLIN) {
        return Ok(if events.is_empty() { News::Nothing } else { News::Over });
    }
    // SAFETY: the structure is plain data for which all zeroes is a value, and the kernel wants zeroes.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request takes a pointer to that structure.
    match unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) } {
        0 => Ok(News::Call(Notification {
            id: raw.id,
            thread: raw.pid.cast_signed(),
            call: raw.data.nr.into(),
            arguments: raw.data.args,
        })),
        // The caller was killed in between.
        _ if Errno::last() == Errno::ENOENT || Errno::last() == Errno::EINTR => Ok(News::Nothing),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Notification {
    /// Whether the caller still waits: what was read about it before is then true.
    pub(super) fn is_waiting(&self, listener: BorrowedFd<'_>) -> bool {
        // SAFETY: the request takes a pointer to the id.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const self.id) == 0 }
    }

    /// Ends the call with a value or an error. A caller that is gone needs none.
    pub(super) fn answer(&self, listener: BorrowedFd<'_>, result: Result<i64, Errno>) {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(error) => (0, -(error as i32)),
        };
        let mut response = libc::seccomp_notif_resp { id: self.id, val, error, flags: 0 };
        // SAFETY: the request takes a pointer to that structure.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    }

    /// Lets the kernel do what was asked for: all of it is in the registers that were looked at.
    pub(super) fn go_on(&self, listener: BorrowedFd<'_>) {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("a small flag");
        let mut response = libc::seccomp_notif_resp { id: self.id, val: 0, error: 0, flags };
        // SAFETY: the request takes a pointer to that structure.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    }

    /// Ends the call with a descriptor of `socket` in the caller, if it has room for one.
    pub(super) fn answer_with(&self, listener: BorrowedFd<'_>, socket: &OwnedFd, close_on_exec: libc::c_int) {
        let request = libc::seccomp_notif_addfd {
            id: self.id,
            flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).expect("a small flag"),
            srcfd: socket.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: close_on_exec.cast_unsigned(),
        };
        // SAFETY: the request takes a pointer to that structure.
        let added = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
        if added < 0 {
            self.answer(listener, Err(Errno::last()));
        }
    }

    /// Puts `socket` in the place of the caller's own, under the same number and with the same flags.
    pub(super) fn exchange(&self, listener: BorrowedFd<'_>, socket: &OwnedFd) -> Result<(), Errno> {
        let number = RawFd::try_from(self.arguments[0] & 0xffff_ffff).map_err(|_| Errno::EBADF)?;
        let request = libc::seccomp_notif_addfd {
            id: self.id,
            flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SETFD).expect("a small flag"),
            srcfd: socket.as_raw_fd().cast_unsigned(),
            newfd: number.cast_unsigned(),
            newfd_flags: self.close_on_exec(number)?.cast_unsigned(),
        };
        // SAFETY: the request takes a pointer to that structure.
        let added = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
        if added < 0 { Err(Errno::last()) } else { Ok(()) }
    }

    /// `O_CLOEXEC` if the caller's descriptor has it.
    fn close_on_exec(&self, number: RawFd) -> Result<libc::c_int, Errno> {
        let about =
            std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.thread)).map_err(|_| Errno::EBADF)?;
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok()).ok_or(Errno::EBADF)?;
        Ok(flags & libc::O_CLOEXEC)
    }

    /// Bytes of the caller's memory, at most `length`; the call fails when not all can be read.
    pub(super) fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0_u8; length];
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
        let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
        // SAFETY: the local vector is a live buffer of that length; the remote address is only used in
        // the other process, where the kernel checks it.
        let read = unsafe { libc::process_vm_readv(self.thread, &raw const local, 1, &raw const remote, 1, 0) };
        match usize::try_from(read) {
            Ok(count) if count == length => Ok(bytes),
            _ => Err(Errno::EFAULT),
        }
    }

    /// The caller's own socket: another descriptor of the same one.
    pub(super) fn descriptor(&self, listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let number = RawFd::try_from(self.arguments[0] & 0xffff_ffff).map_err(|_| Errno::EBADF)?;
        let process = open(libc::SYS_pidfd_open, i64::from(self.process()?), 0)?;
        if !self.is_waiting(listener) {
            return Err(Errno::ESRCH);
        }
        open(libc::SYS_pidfd_getfd, process.as_fd().as_raw_fd().into(), number.into())
    }

    /// The process of the calling thread.
    fn process(&self) -> Result<i32, Errno> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.thread)).map_err(|_| Errno::ESRCH)?;
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
        line.and_then(|number| number.trim().parse().ok()).ok_or(Errno::ESRCH)
    }
}

/// `pidfd_open` or `pidfd_getfd`.
fn open(call: libc::c_long, first: i64, second: i64) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only.
    let answer = unsafe { libc::syscall(call, first, second, 0) };
    match RawFd::try_from(answer) {
        // SAFETY: the kernel has just made this descriptor for this call; nobody else owns it.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(Errno::last()),
    }
}

/// The network namespace of a socket, by a number that no other has.
pub(super) fn network_of(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of_val(&cookie)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the value and its length are live locals, and the length is the value's.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(got).map(|_| cookie)
}

/// A socket of the machine's own network, of the kind the caller asked for.
pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only.
    let number = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if number < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel has just made this descriptor for this call; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Forgets the peer of a datagram socket.
pub(super) fn disconnect(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let nobody =
        libc::sockaddr { sa_family: libc::AF_UNSPEC.cast_unsigned().try_into().unwrap_or(0), sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of_val(&nobody)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the address is a live structure of the given length.
    Errno::result(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) }).map(drop)
}
