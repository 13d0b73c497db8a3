//! CPU time in proportion to memory: 1,769 MB is one core, as in Lambda. Every
//! environment has an allowance that comes back at its share and holds a burst;
//! one that has used more is stopped until that is paid back. The processor
//! clock is read only at the looks of `watch`, so that an invocation shorter
//! than the first look costs nothing here and is not counted.
//!
//! A stopped process cannot end by itself when the PoP is gone: the kernel
//! continues it when its parent ends, which is when the PoP ends; one whose
//! parent has ended is not stopped.

use crate::parent::Child;
use environment::limits::{CORE_MB, CPU_BURST};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How much CPU time environments get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuShare {
    /// In proportion to their memory.
    ByMemory,
    /// As much as the system gives them.
    Unlimited,
}

/// Holds one environment to its share.
#[derive(Debug)]
pub(crate) struct Pace {
    allowance: Option<Allowance>,
    parent_closed: watch::Receiver<bool>,
    /// Whether the running invocation was looked at before.
    seen: bool,
    stopped_until: Option<Instant>,
}

impl Pace {
    /// For an environment whose parent's end is told by `parent_closed`.
    pub(crate) fn new(share: CpuShare, memory_mb: u32, parent_closed: watch::Receiver<bool>) -> Pace {
        let allowance = (share == CpuShare::ByMemory && memory_mb < CORE_MB).then(|| Allowance::of(memory_mb));
        Pace { allowance, parent_closed, seen: false, stopped_until: None }
    }

    /// One look at an invocation that began at `started` and should answer before `deadline`. Returns
    /// when the next look is due, if the environment is stopped.
    pub(crate) fn look(&mut self, child: &Child, started: Instant, deadline: Instant) -> Option<Instant> {
        let now = Instant::now();
        let allowance = self.allowance.as_mut()?;
        if let Some(until) = self.stopped_until {
            if now < until {
                return Some(until);
            }
            child.go_on();
            self.stopped_until = None;
            return None;
        }
        // From its deadline on it runs, so that it can end politely.
        if now >= deadline || *self.parent_closed.borrow() {
            return None;
        }
        let used_max = if self.seen { Duration::MAX } else { now - started };
        self.seen = true;
        let pause = allowance.charge(child.cpu_time()?, used_max, now);
        if pause.is_zero() {
            return None;
        }
        child.stop();
        self.stopped_until = Some((now + pause).min(deadline));
        self.stopped_until
    }

    /// The invocation is over.
    pub(crate) fn release(&mut self, child: &Child) {
        self.seen = false;
        if self.stopped_until.take().is_some() {
            child.go_on();
        }
    }
}

/// CPU time an environment may use.
#[derive(Debug)]
struct Allowance {
    /// Cores.
    share: f64,
    /// Seconds; below zero after it used more.
    left: f64,
    counted: Option<Instant>,
    /// The process's clock when it was read last.
    read: Duration,
}

impl Allowance {
    fn of(memory_mb: u32) -> Allowance {
        let share = f64::from(memory_mb) / f64::from(CORE_MB);
        Allowance { share, left: CPU_BURST.as_secs_f64(), counted: None, read: Duration::ZERO }
    }

    /// Counts what was used until `now`, when the process's clock is at `clock`: at most `used_max`, for
    /// the clock also ran in short invocations that nobody looked at. Returns how long it must pause.
    fn charge(&mut self, clock: Duration, used_max: Duration, now: Instant) -> Duration {
        let elapsed = self.counted.map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
        let used = clock.saturating_sub(self.read).min(used_max);
        self.counted = Some(now);
        self.read = clock;
        self.left = (self.left + elapsed.as_secs_f64() * self.share).min(CPU_BURST.as_secs_f64()) - used.as_secs_f64();
        Duration::try_from_secs_f64((-self.left).max(0.0) / self.share).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A handler that always spins, looked at every 5 ms: how much CPU time it gets in `wall`.
    fn spin(allowance: &mut Allowance, wall: Duration) -> Duration {
        let start = Instant::now();
        let (mut now, mut clock) = (start, allowance.read);
        let begun = clock;
        while now - start < wall {
            now += 5 * MS;
            clock += 5 * MS;
            now += allowance.charge(clock, Duration::MAX, now);
        }
        clock - begun
    }

    #[test]
    fn a_spinning_handler_gets_the_burst_and_its_share() {
        for (memory_mb, expected_ms) in [(128, 100 + 724), (512, 100 + 2_894), (1_768, 100 + 9_994)] {
            let got = spin(&mut Allowance::of(memory_mb), Duration::from_secs(10)).as_millis();
            assert!(got.abs_diff(expected_ms) <= expected_ms / 20, "{memory_mb} MB: {got} ms, not {expected_ms}");
        }
    }

    #[test]
    fn the_burst_comes_back_but_does_not_add_up() {
        let mut allowance = Allowance::of(128);
        let start = Instant::now();
        assert!(allowance.charge(100 * MS, Duration::MAX, start).is_zero());
        assert!(!allowance.charge(105 * MS, Duration::MAX, start + 5 * MS).is_zero());
        let hour = start + Duration::from_secs(3600);
        assert!(allowance.charge(205 * MS, Duration::MAX, hour).is_zero());
        assert!(allowance.charge(210 * MS, Duration::MAX, hour + 5 * MS) > 50 * MS);
    }

    #[test]
    fn what_short_invocations_used_is_not_counted_later() {
        let mut allowance = Allowance::of(128);
        let pause = allowance.charge(Duration::from_secs(60), 6 * MS, Instant::now());
        assert_eq!(pause, Duration::ZERO);
        assert!(allowance.left > 0.09, "{allowance:?}");
    }
}
