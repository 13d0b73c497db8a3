//! The processes of an environment that has more than one: a custom runtime's.
//! They are alone in a namespace, whose own `/proc` lists them, and in one
//! process group that none of them can leave. `parent` and `watch` count and
//! stop them together.

use crate::cpu::threads;
use crate::sys::{self, page_bytes, ticks_per_second};
use crate::watch::anonymous_pages;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgid};
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
    /// The first process of their namespace, in the PoP's own: whoever loses its parent becomes its child.
    keeper: Option<i32>,
}

impl Household {
    /// Of process `pid`, which is in its own root by now.
    pub(crate) fn of(pid: i32) -> io::Result<Household> {
        let proc = File::open(format!("/proc/{pid}/root/proc"))?;
        Ok(Household { group: Pid::from_raw(pid), proc, keeper: keeper(pid) })
    }

    /// Stops them, or lets them go on. Nothing happens when they are gone.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    /// Sets the nice value of each thread of theirs.
    pub(crate) fn set_nice(&self, nice: i32) {
        sys::set_nice_of_group(self.group.as_raw(), nice);
    }

    /// Whether a thread is one of theirs.
    pub(crate) fn has(&self, thread: i32) -> bool {
        getpgid(Some(Pid::from_raw(thread))).is_ok_and(|group| group == self.group)
    }

    /// Their threads in the PoP's own namespace: who was started by whom, from the first of them and the keeper on.
    pub(crate) fn threads(&self) -> Vec<i32> {
        let mut processes: Vec<i32> = [self.group.as_raw()].into_iter().chain(self.keeper).collect();
        let mut found = Vec::new();
        let mut next = 0;
        while let Some(process) = processes.get(next).copied() {
            next += 1;
            for thread in threads(process) {
                processes.extend(children(process, thread).into_iter().filter(|child| self.has(*child)));
                found.push(thread);
            }
            if processes.len() > PROCESSES_MAX {
                break;
            }
        }
        found.retain(|thread| self.has(*thread));
        found
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

/// Those that one thread of a process has started, or taken over.
fn children(process: i32, thread: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The first process of the namespace of `pid`: made right before it, by the same zygote, which has taken both over.
fn keeper(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let zygote: i32 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(pid)?;
    let is_first = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_ascii_whitespace().next_back() == Some("1") && namespace(*pid).as_ref() == Some(&own)
    };
    children(zygote, zygote).into_iter().rev().find(is_first)
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

/// Beyond what an environment may have.
const PROCESSES_MAX: usize = 1_024;

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
        let own = Household { group: Pid::this(), proc: File::open("/proc").unwrap(), keeper: None };
        let touched = std::hint::black_box(vec![1_u8; 64 * 1024 * 1024]);
        assert!(own.anonymous_bytes() >= 60 * 1024 * 1024);
        assert!(own.cpu_time().unwrap() > Duration::ZERO);
        drop(touched);
    }

    #[test]
    fn all_processes_of_a_group_are_found_and_weighed_together() {
        use std::os::unix::process::CommandExt;
        let script = "sleep 60 & sh -c 'sleep 60; true' & wait";
        let mut first = std::process::Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap();
        let group = i32::try_from(first.id()).unwrap();
        let all = Household { group: Pid::from_raw(group), proc: File::open("/proc").unwrap(), keeper: None };
        let began = std::time::Instant::now();
        while all.threads().len() < 4 && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let threads = all.threads();
        assert_eq!(threads.len(), 4, "{threads:?}");
        assert!(threads.iter().all(|thread| all.has(*thread)) && !all.has(Pid::this().as_raw()));
        all.set_nice(19);
        for thread in threads {
            let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
            assert_eq!(stat.rsplit_once(") ").unwrap().1.split(' ').nth(16), Some("19"), "{stat}");
        }
        all.signal(Signal::SIGKILL);
        first.wait().unwrap();
    }
}
