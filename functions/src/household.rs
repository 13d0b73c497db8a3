//! The processes of an environment that has more than one: a custom runtime's.
//! They are alone in a namespace, whose own `/proc` lists them, and in one
//! process group that none of them can leave. `parent` and `watch` count and
//! stop them together.

use crate::sys::{page_bytes, ticks_per_second};
use crate::watch::anonymous_pages;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

/// Everybody in the namespaces of one process.
#[derive(Debug)]
pub(crate) struct Household {
    /// The first of them, in the PoP's own pid namespace, and the group's number.
    group: Pid,
    /// The directory of the processes, as they see it.
    proc: File,
}

impl Household {
    /// Of process `pid`, which is in its own root by now.
    pub(crate) fn of(pid: i32) -> io::Result<Household> {
        Ok(Household { group: Pid::from_raw(pid), proc: File::open(format!("/proc/{pid}/root/proc"))? })
    }

    /// Stops them, or lets them go on. Nothing happens when they are gone.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    /// Anonymous memory of all of them but the keeper, which is not the function's.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        let pages = |name: &PathBuf| anonymous_pages(&std::fs::read(name.join("statm")).ok()?);
        let programs = self.each().into_iter().filter(|name| !name.ends_with(KEEPER));
        programs.filter_map(|name| pages(&name)).sum::<u64>() * page_bytes()
    }

    /// Processor time of all of them, and of those that ended; `None` when nobody is left.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let used = |name: &PathBuf| ticks(&std::fs::read_to_string(name.join("stat")).ok()?);
        let all: Vec<u64> = self.each().iter().filter_map(used).collect();
        let micros = all.iter().sum::<u64>().saturating_mul(1_000_000) / ticks_per_second();
        (!all.is_empty()).then(|| Duration::from_micros(micros))
    }

    fn each(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(format!("/proc/self/fd/{}", self.proc.as_raw_fd())) else {
            return Vec::new();
        };
        let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        entries
            .filter_map(Result::ok)
            .filter(|entry| is_process(&entry.file_name()))
            .map(|entry| entry.path())
            .collect()
    }
}

/// What a process used and those of its children that it has waited for: fields 14 to 17, after a name that may
/// hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

/// The first process of a pid namespace.
const KEEPER: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_waited_for_time_is_counted_whatever_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 90 80 0 0 11 22 300 4000 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(4333));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn a_process_counts_itself() {
        let own = Household { group: Pid::this(), proc: File::open("/proc").unwrap() };
        let touched = std::hint::black_box(vec![1_u8; 64 * 1024 * 1024]);
        assert!(own.anonymous_bytes() >= 60 * 1024 * 1024);
        assert!(own.cpu_time().unwrap() > Duration::ZERO);
        drop(touched);
    }
}
