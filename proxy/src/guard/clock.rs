//! The clock of one connection: a timer that moves from deadline to deadline. Making
//! one for each wait would take and release a lock of the runtime every time.

use std::pin::Pin;
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, used for one wait after the other.
#[derive(Debug)]
pub(crate) struct Clock {
    sleep: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { sleep: Box::pin(sleep_until(Instant::now())) }
    }

    /// `None` when `work` is not done by `deadline`. Moving to a later deadline is cheap.
    pub(crate) async fn by<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        self.sleep.as_mut().reset(deadline);
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep.as_mut() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_deadline() {
        let mut clock = Clock::new();
        let started = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(clock.by(started + 10 * second, async { 1 }).await, Some(1));
        assert_eq!(clock.by(started + second, sleep(9 * second)).await, None);
        assert_eq!(started.elapsed(), second);
        assert_eq!(clock.by(started + 5 * second, sleep(3 * second)).await, Some(()));
        assert_eq!(clock.by(started + 6 * second, sleep(3 * second)).await, None);
        assert_eq!(started.elapsed(), 6 * second);
    }
}
