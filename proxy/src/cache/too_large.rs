//! Which responses were too large to be stored when they came last: those of them that
//! do not say their length are passed on without going through the store, and nobody
//! waits for any. [`storage`](super::storage) finds out, [`collapse`](super::collapse) asks.

use moka::sync::Cache as Moka;
use pingora::cache::key::HashBinary;
use std::time::Duration;

/// Their keys, in whatever variant.
#[derive(Debug)]
pub(crate) struct TooLarge(Moka<HashBinary, ()>);

impl TooLarge {
    pub(crate) fn new() -> TooLarge {
        TooLarge(Moka::builder().max_capacity(KEYS_MAX).time_to_live(REMEMBERED_FOR).build())
    }

    pub(crate) fn add(&self, key: HashBinary) {
        self.0.insert(key, ());
    }

    pub(crate) fn has(&self, key: &HashBinary) -> bool {
        self.0.contains_key(key)
    }

    /// What comes now is not.
    pub(crate) fn forget(&self, key: &HashBinary) {
        if self.has(key) {
            self.0.invalidate(key);
        }
    }
}

const KEYS_MAX: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
