//! The process calls that the safe wrappers lack: fork, pidfds, reaping with
//! resource use, adopting descriptors, ending at once.
#![allow(unsafe_code)]

use environment::Exit;
use nix::unistd::{ForkResult, Pid};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

/// Which side of a fork this is: the child with what it was given, or its parent.
pub(crate) enum Forked<T> {
    Child(T),
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Which side of a plain fork this is.
pub(crate) enum Side {
    Child,
    Parent(i32),
}

/// A child that ended and was reaped.
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    pub(crate) exit: Exit,
    pub(crate) memory_max_kb: u64,
    pub(crate) cpu_ms: u64,
}

/// Threads of this process: directories in a directory, each a link to it besides its own two.
pub fn thread_count() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2))
}

/// Forks. Refuses when this process has a second thread: its locks would stay
/// held for ever in the child. The pidfd is opened before anybody can reap.
pub(crate) fn fork() -> io::Result<Forked<()>> {
    check_threads()?;
    match fork_again()? {
        Side::Child => Ok(Forked::Child(())),
        Side::Parent(pid) => match pidfd_open(pid) {
            Ok(pidfd) => Ok(Forked::Parent { pid, pidfd }),
            Err(error) => {
                // The PoP could neither watch nor kill it. It is reaped like any other child.
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
                Err(error)
            }
        },
    }
}

/// Whether this process may fork.
pub(crate) fn check_threads() -> io::Result<()> {
    match thread_count()? {
        1 => Ok(()),
        threads => Err(io::Error::other(format!("a process with {threads} threads cannot be forked, only one with 1"))),
    }
}

/// Forks a process that has one thread: callers have checked, or come from a fork themselves and
/// started none since.
pub(crate) fn fork_again() -> io::Result<Side> {
    // SAFETY: there is exactly one thread, so the child's copy of every lock and allocator structure
    // is consistent and the child may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(Side::Child),
        ForkResult::Parent { child } => Ok(Side::Parent(child.as_raw())),
    }
}

/// A descriptor of a process: this one's child that nobody has reaped, or its parent.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(adopt(RawFd::try_from(descriptor).expect("descriptors are ints")))
}

/// Takes ownership of a descriptor that arrived as a number: in an argument or
/// in a control message.
pub fn adopt(descriptor: RawFd) -> OwnedFd {
    // SAFETY: callers pass a number that was handed to this process for it alone and that
    // nothing else in the process owns.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// One ended child, or `None` when none is waiting.
pub(crate) fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is a plain C structure for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right types.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    if pid <= 0 {
        return None;
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    let micros = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
    Some(Reaped {
        pid,
        exit,
        memory_max_kb: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        cpu_ms: (micros(usage.ru_utime) + micros(usage.ru_stime)) / 1_000,
    })
}

/// Ends the process without running destructors: V8's must not run while the
/// isolate is busy, and a fork must not flush what its parent buffered.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and needs nothing.
    unsafe { libc::_exit(code) }
}
