//! Which responses were too large to be stored when they came last: they are passed on
//! without going through the store, and nobody waits for them.

use moka::sync::Cache as Moka;
use pingora::cache::key::HashBinary;
use std::time::Duration;

/// Their keys, in whatever variant.
#[derive(Debug)]
pub(super) struct TooLarge(Moka<HashBinary, ()>);

impl TooLarge {
    pub(super) fn new() -> TooLarge {
        TooLarge(Moka::builder().max_capacity(KEYS_MAX).time_to_live(REMEMBERED_FOR).build())
    }

    pub(super) fn add(&self, key: HashBinary) {
        self.0.insert(key, ());
    }

    pub(super) fn has(&self, key: &HashBinary) -> bool {
        self.0.contains_key(key)
    }
}

const KEYS_MAX: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
