//! Whether this process computes, or waits: what waits needs to be looked at
//! less often, since its memory grows no faster than it computes.

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::time::{Duration, Instant};

/// The processor time of all threads but the one that looks.
pub(crate) struct Effort {
    looked: Instant,
    used: Duration,
}

impl Effort {
    /// For the thread that looks.
    pub(crate) fn new() -> Effort {
        Effort { looked: Instant::now(), used: of_others() }
    }

    /// Whether so little was computed since the last look that the next may come later.
    pub(crate) fn was_little(&mut self) -> bool {
        let before = std::mem::replace(self, Effort::new());
        self.used.saturating_sub(before.used) < (self.looked - before.looked) / LITTLE
    }
}

fn of_others() -> Duration {
    let used = |who| getrusage(who).map_or(Duration::ZERO, |usage| time(&usage));
    used(UsageWho::RUSAGE_SELF).saturating_sub(used(UsageWho::RUSAGE_THREAD))
}

fn time(usage: &Usage) -> Duration {
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A twentieth of a core: at a gigabyte in a second of computing, a megabyte in 20 ms.
const LITTLE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{TryRecvError, channel};

    #[test]
    fn a_thread_that_spins_is_much_and_one_that_waits_is_little() {
        let (wait, waited) = channel::<()>();
        let spinner = std::thread::spawn(move || while waited.try_recv().is_err_and(|e| e == TryRecvError::Empty) {});
        let mut effort = Effort::new();
        let patience = Instant::now() + Duration::from_secs(20);
        std::thread::sleep(Duration::from_millis(50));
        while effort.was_little() {
            assert!(Instant::now() < patience, "a spinning thread is not seen");
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(wait);
        spinner.join().unwrap();
        effort.was_little();
        std::thread::sleep(Duration::from_millis(50));
        while !effort.was_little() {
            assert!(Instant::now() < patience, "no thread spins any more");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
