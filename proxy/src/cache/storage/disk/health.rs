//! Whether writing to the directory works. After a failure the disk is left alone
//! for a while, and the log says so once.

use parking_lot::Mutex;
use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Health(Mutex<Option<Instant>>);

impl Health {
    /// Whether to try writing.
    pub(super) fn may_write(&self) -> bool {
        self.0.lock().is_none_or(|retry_at| Instant::now() >= retry_at)
    }

    pub(super) fn failed(&self, directory: &Path, error: &dyn Display) {
        let first = self.0.lock().replace(Instant::now() + RETRY_AFTER).is_none();
        if first {
            tracing::error!(
                "the cache cannot write to {}: {error}; it keeps to memory and tries again every {} s",
                directory.display(),
                RETRY_AFTER.as_secs()
            );
        }
    }

    pub(super) fn worked(&self, directory: &Path) {
        if self.0.lock().take().is_some() {
            tracing::info!("the cache writes to {} again", directory.display());
        }
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(10);
