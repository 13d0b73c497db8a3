//! The clock of a request body that comes over HTTP/2, where Pingora has none for the
//! gaps between its pieces. `listen` runs it beside the request; `edge` says when the
//! body is waited for and when some of it came.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    static UPLOAD: Upload;
}

/// One request's body, while it is waited for. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    waited_since: Arc<Mutex<Option<Instant>>>,
}

impl Upload {
    /// Runs a request. `None` when its body made no progress for `limit` while it was
    /// waited for: the request is dropped then, which resets its stream.
    pub(crate) async fn watch<T>(limit: Duration, request: impl Future<Output = T>) -> Option<T> {
        let upload = Upload::default();
        tokio::select! {
            done = UPLOAD.scope(upload.clone(), request) => Some(done),
            () = upload.stalls(limit) => None,
        }
    }

    async fn stalls(&self, limit: Duration) {
        loop {
            let since = *self.waited_since.lock();
            let end = since.unwrap_or_else(Instant::now) + limit;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// The origin is ready for the body, or took a piece of it and is ready for the next.
pub(crate) fn waits() {
    set(Some(Instant::now()));
}

/// The body is there whole, or nobody waits for more of it.
pub(crate) fn ended() {
    set(None);
}

/// Outside of [`Upload::watch`] nothing needs to be noted.
fn set(since: Option<Instant>) {
    let _ = UPLOAD.try_with(|upload| *upload.waited_since.lock() = since);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_its_request() {
        let started = Instant::now();
        let request = async {
            for _ in 0..3 {
                waits();
                sleep(LIMIT - Duration::from_secs(1)).await;
            }
            waits();
            std::future::pending::<()>().await;
        };
        assert_eq!(Upload::watch(LIMIT, request).await, None);
        assert_eq!(started.elapsed(), 3 * (LIMIT - Duration::from_secs(1)) + LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn neither_a_slow_function_before_nor_a_slow_origin_after_is_a_stall() {
        let request = async {
            sleep(10 * LIMIT).await;
            waits();
            ended();
            sleep(10 * LIMIT).await;
        };
        assert_eq!(Upload::watch(LIMIT, request).await, Some(()));
    }
}
