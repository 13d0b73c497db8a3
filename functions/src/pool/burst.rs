//! How fast one function's environments may become more: an allowance that is
//! full at first and comes back evenly, as in Lambda, without adding up beyond
//! its size.

use environment::limits::BURST_PERIOD;
use std::time::{Duration, Instant};

/// The allowance.
#[derive(Debug)]
pub(super) struct Burst {
    size: f64,
    left: f64,
    counted: Instant,
}

impl Burst {
    /// A full allowance of `size` new environments in each period.
    pub(super) fn new(size: u32, now: Instant) -> Burst {
        Burst { size: size.into(), left: size.into(), counted: now }
    }

    /// Uses one, if there is one.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.counted);
        self.counted = now;
        self.left = (self.left + elapsed.as_secs_f64() * self.per_second()).min(self.size);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }

    /// Gives back what was spent for nothing.
    pub(super) fn refund(&mut self) {
        self.left = (self.left + 1.0).min(self.size);
    }

    /// When the one after `ahead` others is there; to be asked after a refusal.
    pub(super) fn next(&self, ahead: usize) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "a queue has few")]
        let missing = ahead as f64 + 1.0 - self.left;
        let wait = Duration::try_from_secs_f64(missing.max(0.0) / self.per_second()).unwrap_or(BURST_PERIOD);
        self.counted + wait + ROUNDING
    }

    fn per_second(&self) -> f64 {
        self.size / BURST_PERIOD.as_secs_f64()
    }
}

/// So that what is looked for is there in spite of fractions.
const ROUNDING: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(burst: &mut Burst, now: Instant) -> usize {
        (0..10_000).take_while(|_| burst.spend(now)).count()
    }

    #[test]
    fn the_allowance_comes_back_evenly_and_never_exceeds_its_size() {
        let start = Instant::now();
        let mut burst = Burst::new(1_000, start);
        assert_eq!(spent(&mut burst, start), 1_000);
        assert_eq!(spent(&mut burst, start + Duration::from_secs(1)), 100);
        assert_eq!(spent(&mut burst, start + Duration::from_secs(100)), 1_000);
    }

    #[test]
    fn the_next_one_is_there_when_said() {
        let start = Instant::now();
        let mut burst = Burst::new(10, start);
        assert_eq!(spent(&mut burst, start), 10);
        let (first, third) = (burst.next(0), burst.next(2));
        assert!(first > start + Duration::from_millis(999) && first < start + Duration::from_millis(1_010));
        assert!(third > start + Duration::from_millis(2_999) && third < start + Duration::from_millis(3_010));
        assert!(!burst.spend(start + Duration::from_millis(500)));
        assert!(burst.spend(first));
    }
}
