//! Waiting for a condition, never for a time: a bounded loop that every test shares.

use std::future::Future;
use std::time::{Duration, Instant};

/// The longest a test waits for anything before it fails.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Returns what `condition` found; panics with `what` after [`WAIT_MAX`].
///
/// # Panics
/// When the condition never holds.
pub async fn wait_for<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while started.elapsed() < WAIT_MAX {
        ticks.tick().await;
        if let Some(found) = condition().await {
            return found;
        }
    }
    panic!("waited {WAIT_MAX:?} in vain for {what}");
}
