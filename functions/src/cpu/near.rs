//! Which processor an environment runs on, with all its processes: that of the thread which waits for it,
//! while nobody else waits for one. Then neither of the two ways to it and back
//! wakes a processor that sleeps, which costs more than a short handler does. Beside
//! other invocations, and from the first look of `watch` on, it runs wherever the
//! system puts it.

use super::{Tasks, threads};
use crate::household::Household;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Of one environment.
#[derive(Debug, Default)]
pub(crate) struct Near {
    kept_on: Option<usize>,
    running: Option<Running>,
    /// Threads of a household when they were last looked for.
    threads: Vec<i32>,
}

impl Near {
    /// An invocation begins: they are about to be woken by this thread.
    pub(crate) fn begin(&mut self, tasks: Tasks<'_>) {
        let running = Running::begin();
        let here = if running.is_alone && USUAL.is_some() { sched_getcpu().ok() } else { None };
        self.running = Some(running);
        if here != self.kept_on {
            self.keep(tasks, here);
        }
    }

    /// It runs for longer.
    pub(crate) fn let_go(&mut self, tasks: Tasks<'_>) {
        if self.kept_on.is_some() {
            self.keep(tasks, None);
        }
    }

    /// The invocation is over.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    fn keep(&mut self, tasks: Tasks<'_>, on: Option<usize>) {
        let Some(usual) = *USUAL else { return };
        let only = on.and_then(|cpu| {
            let mut only = CpuSet::new();
            only.set(cpu).ok().map(|()| only)
        });
        match (tasks.household, only) {
            (None, Some(only)) => put([tasks.pid], &only),
            // Threads that it made meanwhile are kept where it was.
            (None, None) => put(threads(tasks.pid), &usual),
            (Some(household), only) => self.keep_all(household, only, &usual),
        }
        self.kept_on = on;
    }

    /// Looking for all threads takes longer than a short invocation gains: those that are made meanwhile begin where
    /// their makers are, and are found when all are let go.
    fn keep_all(&mut self, household: &Household, only: Option<CpuSet>, usual: &CpuSet) {
        if only.is_none() || self.threads.is_empty() {
            self.threads = household.threads();
        }
        let theirs = self.threads.iter().copied().filter(|thread| household.has(*thread));
        put(theirs, only.as_ref().unwrap_or(usual));
    }
}

/// One that is gone is met by whoever waits for it.
fn put(threads: impl IntoIterator<Item = i32>, place: &CpuSet) {
    for thread in threads {
        let _ = sched_setaffinity(Pid::from_raw(thread), place);
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
            let mut near = Near::default();
            near.keep(Tasks { pid: own, household: None }, sched_getcpu().ok());
            let made = std::thread::spawn(move || {
                id.send(nix::unistd::gettid().as_raw()).unwrap();
                let _ = tells.recv();
            });
            let made_id = ids.recv().unwrap();
            assert_eq!(processors(made_id), 1);
            near.let_go(Tasks { pid: i32::try_from(std::process::id()).unwrap(), household: None });
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
        let tasks = pids.map(|pid| Tasks { pid, household: None });
        let (mut first, mut second) = (Near::default(), Near::default());
        first.begin(tasks[0]);
        second.begin(tasks[1]);
        assert_eq!(pids.map(processors), [1, everywhere]);
        first.let_go(tasks[0]);
        assert_eq!(processors(pids[0]), everywhere);
        first.end();
        second.end();
        second.begin(tasks[1]);
        assert_eq!(processors(pids[1]), 1);
        first.begin(tasks[0]);
        assert_eq!(processors(pids[0]), everywhere);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
