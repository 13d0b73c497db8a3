//! Capabilities, descriptors, variables and bounds: what a process has from its
//! parent and gives up for good.
#![allow(unsafe_code)]

use crate::failure::during;
use environment::limits::{DESCRIPTORS_MAX, TASKS_MAX};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Whether the process may do what only the system's administrator may. False
/// for a root user that a container has taken the capabilities from.
pub(crate) fn is_administrator() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let needed = 1 << CAP_SYS_ADMIN | 1 << CAP_SETUID | 1 << CAP_SETGID;
    nix::unistd::geteuid().is_root() && held & needed == needed
}

/// Gives up every capability.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    set_capabilities(0).map_err(during("giving up capabilities"))
}

/// Gives up every capability but the one that mounts.
pub(crate) fn keep_mounting_only() -> io::Result<()> {
    set_capabilities(1 << CAP_SYS_ADMIN).map_err(during("giving up capabilities"))
}

fn set_capabilities(low: u32) -> io::Result<()> {
    let header = [LINUX_CAPABILITY_VERSION_3, 0];
    // Effective, permitted and inheritable, of the lower and the upper 32.
    let data = [low, low, 0, 0, 0, 0];
    // SAFETY: the header and the data have the layout of version 3: two words, and two times three.
    let answer = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every descriptor above the standard streams but `kept`.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept.into_iter().filter(|number| *number > 2) {
        close_range(first, number - 1)?;
        first = number + 1;
    }
    close_range(first, RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: integers only. Whoever owned one of these descriptors is never dropped: the callers
    // go on with what they kept, or end.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer < 0 { Err(during("closing descriptors")(io::Error::last_os_error())) } else { Ok(()) }
}

/// Empties the block of variables.
pub(crate) fn clear_variables() {
    // SAFETY: there is one thread, and nothing holds a pointer into the block.
    let _ = unsafe { libc::clearenv() };
}

/// Replaces the machine's name in a namespace of one's own. One that cannot be replaced is no harm.
pub(crate) fn hide_host_name() {
    let name = c"localhost";
    // SAFETY: the name is a live string of the given length.
    let _ = unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) };
}

/// Room for descriptors above what user code may ever open.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(during("descriptor limit"))?;
    if hard <= DESCRIPTORS_NEEDED {
        let what = format!("the hard limit of {hard} descriptors is too low, {DESCRIPTORS_NEEDED} are needed");
        return Err(io::Error::other(what));
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS_NEEDED * 2), hard).map_err(during("descriptor limit"))
}

/// The bounds of a template, inherited by its environments. Address space is not bounded: an
/// engine reserves gigabytes that it never touches.
pub(crate) fn set_bounds() -> io::Result<()> {
    let descriptors = DESCRIPTORS_MAX;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(during("core limit"))?;
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).map_err(during("descriptor limit"))?;
    bound_tasks(TASKS_MAX)
}

/// Bounds processes and threads of this user in this user namespace.
pub(crate) fn bound_tasks(most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).map_err(during("task limit"))?;
    setrlimit(Resource::RLIMIT_NPROC, most.min(hard), most.min(hard)).map_err(during("task limit"))
}

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SYS_ADMIN: u32 = 21;
const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The numbers of [`crate::cell`] and a few more.
const DESCRIPTORS_NEEDED: u64 = 2_048;
