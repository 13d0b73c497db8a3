//! Which processor an environment runs on: that of the thread which waits for it,
//! while nobody else waits for one. Then neither of the two ways to it and back
//! wakes a processor that sleeps, which costs more than a short handler does. Beside
//! other invocations, and from the first look of `watch` on, it runs wherever the
//! system puts it.

use super::threads;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Of one environment.
#[derive(Debug, Default)]
pub(crate) struct Near {
    kept_on: Option<usize>,
    running: Option<Running>,
}

impl Near {
    /// An invocation begins: process `pid` is about to be woken by this thread.
    pub(crate) fn begin(&mut self, pid: i32) {
        let running = Running::begin();
        let here = if running.is_alone && USUAL.is_some() { sched_getcpu().ok() } else { None };
        self.running = Some(running);
        if here != self.kept_on {
            self.keep(pid, here);
        }
    }

    /// It runs for longer.
    pub(crate) fn let_go(&mut self, pid: i32) {
        if self.kept_on.is_some() {
            self.keep(pid, None);
        }
    }

    /// The invocation is over.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    fn keep(&mut self, pid: i32, on: Option<usize>) {
        let Some(usual) = *USUAL else { return };
        let only = on.and_then(|cpu| {
            let mut only = CpuSet::new();
            only.set(cpu).ok().map(|()| only)
        });
        // A process that is gone is met by whoever waits for it.
        if let Some(only) = only {
            let _ = sched_setaffinity(Pid::from_raw(pid), &only);
        } else {
            // Threads that it made meanwhile are kept where it was.
            for thread in threads(pid) {
                let _ = sched_setaffinity(Pid::from_raw(thread), &usual);
            }
        }
        self.kept_on = on;
    }
}

/// One invocation of this process.
#[derive(Debug)]
struct Running {
    is_alone: bool,
}

impl Running {
    fn begin() -> Running {
        Running { is_alone: RUNNING.fetch_add(1, Relaxed) == 0 }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Relaxed);
    }
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Where this process may run, if that is more than one processor.
static USUAL: LazyLock<Option<CpuSet>> = LazyLock::new(|| {
    let usual = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let count = (0..CpuSet::count()).filter(|cpu| usual.is_set(*cpu).unwrap_or(false)).count();
    (count > 1).then_some(usual)
});

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn processors(pid: i32) -> usize {
        let set = sched_getaffinity(Pid::from_raw(pid)).unwrap();
        (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap()).count()
    }

    #[test]
    fn threads_made_meanwhile_are_let_go_too() {
        if USUAL.is_none() {
            return;
        }
        let (told, tells) = std::sync::mpsc::channel::<()>();
        let (id, ids) = std::sync::mpsc::channel();
        let main = std::thread::spawn(move || {
            let own = nix::unistd::gettid().as_raw();
            let mut near = Near { kept_on: None, running: None };
            near.keep(own, sched_getcpu().ok());
            let made = std::thread::spawn(move || {
                id.send(nix::unistd::gettid().as_raw()).unwrap();
                let _ = tells.recv();
            });
            let made_id = ids.recv().unwrap();
            assert_eq!(processors(made_id), 1);
            near.let_go(i32::try_from(std::process::id()).unwrap());
            assert!(processors(made_id) > 1 && processors(own) > 1);
            drop(told);
            made.join().unwrap();
        });
        main.join().unwrap();
    }

    #[test]
    fn the_only_invocation_runs_where_it_is_waited_for_until_it_is_let_go() {
        if USUAL.is_none() {
            return;
        }
        let everywhere = processors(0);
        let mut children = [0, 1].map(|_| Command::new("sleep").arg("60").spawn().unwrap());
        let pids = children.each_ref().map(|child| i32::try_from(child.id()).unwrap());
        let (mut first, mut second) = (Near::default(), Near::default());
        first.begin(pids[0]);
        second.begin(pids[1]);
        assert_eq!(pids.map(processors), [1, everywhere]);
        first.let_go(pids[0]);
        assert_eq!(processors(pids[0]), everywhere);
        first.end();
        second.end();
        second.begin(pids[1]);
        assert_eq!(processors(pids[1]), 1);
        first.begin(pids[0]);
        assert_eq!(processors(pids[0]), everywhere);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
