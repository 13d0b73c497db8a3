//! How late a process wakes up on this machine now: what other work does to a
//! time that a test measures, and not the program's doing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread that sleeps a millisecond at a time and notes how much longer that took.
#[derive(Debug)]
pub struct Lateness {
    ended: Arc<AtomicBool>,
    sleeper: JoinHandle<Duration>,
}

impl Lateness {
    #[must_use]
    pub fn watch() -> Lateness {
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        Lateness { ended, sleeper: std::thread::spawn(move || sleep_until(&is_over)) }
    }

    /// The latest wake-up of the last moments.
    ///
    /// # Panics
    /// When the sleeper did.
    #[must_use]
    pub fn end(self) -> Duration {
        self.ended.store(true, SeqCst);
        self.sleeper.join().expect("the sleeper does not panic")
    }
}

fn sleep_until(is_over: &AtomicBool) -> Duration {
    let mut seen = VecDeque::new();
    while !is_over.load(SeqCst) {
        let begun = Instant::now();
        std::thread::sleep(NAP);
        seen.push_back((begun, begun.elapsed().saturating_sub(NAP)));
        while seen.front().is_some_and(|(begun, _)| begun.elapsed() > LAST_MOMENTS) {
            seen.pop_front();
        }
    }
    seen.into_iter().map(|(_, late)| late).max().unwrap_or_default()
}

const NAP: Duration = Duration::from_millis(1);
const LAST_MOMENTS: Duration = Duration::from_millis(250);
