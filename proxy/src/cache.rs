//! The HTTP cache: where responses are kept ([`storage`]), under which key
//! ([`key`]) and for how long ([`policy`]). It knows no hooks; `edge` calls it.

pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod storage;

use pingora::cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora::cache::{CacheOptionOverrides, HttpCache};
use std::time::Duration;
use storage::Store;

/// The PoP's cache: one store and one lock table for as long as the process lives.
pub(crate) struct Cache {
    pub(crate) store: &'static Store,
    lock: &'static CacheKeyLockImpl,
}

impl Cache {
    /// A cache of `bytes`, of objects up to `object_bytes_max`. Pingora wants both
    /// for `'static`, so they are leaked: make one per process.
    pub(crate) fn new(bytes: u64, object_bytes_max: u64) -> Cache {
        let lock: &'static CacheKeyLockImpl = Box::leak(CacheLock::new_boxed(LOCK_AGE_MAX));
        Cache { store: Box::leak(Box::new(Store::new(bytes, object_bytes_max))), lock }
    }

    /// Turns caching on for one request.
    pub(crate) fn enable(&self, cache: &mut HttpCache) {
        let mut overrides = CacheOptionOverrides::default();
        overrides.wait_timeout = Some(LOCK_WAIT_MAX);
        cache.enable(self.store, None, None, Some(self.lock), Some(overrides));
    }
}

/// How long one fetcher may keep others waiting before a second one is let through.
const LOCK_AGE_MAX: Duration = Duration::from_secs(30);

/// How long one viewer waits for the fetchers of others before it goes to the origin itself.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
