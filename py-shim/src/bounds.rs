//! The address space that a function's processes may use.

use nix::sys::resource::{Resource, setrlimit};
use std::fs;
use std::io;

/// For a process that enters the sandbox: what it has, the function's memory, and room for stacks of threads
/// and for what is mapped and never touched. An allocation beyond that fails in Python, as a `MemoryError`,
/// where the watch over resident memory would not have seen it yet.
pub(crate) fn bound_address_space(memory_mb: u32) -> io::Result<()> {
    let most = now()? + (u64::from(memory_mb) + ROOM_MB) * 1024 * 1024;
    Ok(setrlimit(Resource::RLIMIT_AS, most, most)?)
}

fn now() -> io::Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_ascii_whitespace().next().and_then(|pages| pages.parse::<u64>().ok());
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.and_then(|bytes| u64::try_from(bytes).ok());
    Ok(pages.ok_or_else(|| io::Error::other("/proc/self/statm cannot be parsed"))? * page.unwrap_or(4096))
}

/// 64 threads have stacks of 8 MB each.
const ROOM_MB: u64 = 1_024;
