//! Which requests wait for another one's fetch: Pingora's lock table, except for
//! keys whose last response could not have served them. Waiting for such a one
//! only makes the viewers of a page that is not cached queue up.

use super::changes::Changes;
use super::too_large::TooLarge;
use moka::sync::Cache as Moka;
use pingora::cache::CacheKey;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::lock::{CacheKeyLock, CacheLock, LockStatus, Locked, WritePermit};
use std::sync::Arc;
use std::time::Duration;

/// The lock table of the cache.
pub(crate) struct Collapse {
    locks: CacheLock,
    /// Keys whose requests do not wait for each other.
    alone: Moka<HashBinary, ()>,
    changes: Arc<Changes>,
    too_large: Arc<TooLarge>,
}

impl Collapse {
    pub(crate) fn new(changes: Arc<Changes>, too_large: Arc<TooLarge>) -> Collapse {
        let alone = Moka::builder().max_capacity(ALONE_MAX).time_to_live(ALONE_FOR).build();
        Collapse { locks: CacheLock::new(LOCK_AGE_MAX), alone, changes, too_large }
    }

    /// The response of this key serves those who wait for it.
    pub(crate) fn together(&self, key: &CacheKey) {
        let key = key.primary_bin();
        if self.alone.contains_key(&key) {
            self.alone.invalidate(&key);
        }
    }

    /// It serves nobody but the one who asked.
    pub(crate) fn alone(&self, key: &CacheKey) {
        self.alone.insert(key.primary_bin(), ());
    }
}

impl Collapse {
    fn lock_together(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        let permit = match self.locks.lock(key, stale_writer) {
            Locked::Write(permit) => permit,
            waits => return waits,
        };
        if !self.changes.came_since_look(&key.combined_bin()) {
            return Locked::Write(permit);
        }
        // The response of the last one who held this lock came after this request had
        // looked for it: it is to look again, as one who waited and need wait no more.
        let looks_again = self.locks.lock(key, stale_writer);
        self.locks.release(key, permit, LockStatus::Done);
        looks_again
    }
}

impl CacheKeyLock for Collapse {
    fn lock(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        let primary = key.primary_bin();
        if !self.alone.contains_key(&primary) && !self.too_large.has(&primary) {
            return self.lock_together(key, stale_writer);
        }
        let mut mark = http::Extensions::new();
        mark.insert(Alone);
        let (permit, _) = WritePermit::new(LOCK_AGE_MAX, stale_writer, mark);
        Locked::Write(permit)
    }

    fn release(&self, key: &CacheKey, mut permit: WritePermit, reason: LockStatus) {
        if permit.extensions().get::<Alone>().is_some() {
            // It is not in the table, where another request may hold the same key.
            return permit.unlock(reason);
        }
        self.locks.release(key, permit, reason);
    }
}

/// Marks a permit that nobody waits for.
#[derive(Clone, Copy, Debug)]
struct Alone;

/// How long one fetcher may keep others waiting before a second one is let through.
const LOCK_AGE_MAX: Duration = Duration::from_secs(30);

/// How many keys are remembered as not worth waiting for, and how long.
const ALONE_MAX: u64 = 100_000;
const ALONE_FOR: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn collapse() -> Collapse {
        Collapse::new(Arc::new(Changes::new()), Arc::new(TooLarge::new()))
    }

    fn release(collapse: &Collapse, key: &CacheKey, locked: Locked) {
        let Locked::Write(permit) = locked else { panic!("a reader has nothing to release") };
        collapse.release(key, permit, LockStatus::Done);
    }

    #[test]
    fn one_fetches_and_others_wait_until_it_is_done() {
        let (collapse, key) = (collapse(), CacheKey::new("a", ""));
        let first = collapse.lock(&key, false);
        assert!(first.is_write());
        assert!(!collapse.lock(&key, false).is_write());
        release(&collapse, &key, first);
        let next = collapse.lock(&key, false);
        assert!(next.is_write());
        release(&collapse, &key, next);
    }

    #[test]
    fn nobody_waits_for_a_response_that_serves_one() {
        let (collapse, key) = (collapse(), CacheKey::new("a", ""));
        let waited_for = collapse.lock(&key, false);
        collapse.alone(&key);
        let (one, two) = (collapse.lock(&key, false), collapse.lock(&key, false));
        assert!(one.is_write() && two.is_write());
        collapse.together(&key);
        release(&collapse, &key, one);
        release(&collapse, &key, two);
        // Neither took the place of the one that others wait for.
        assert!(!collapse.lock(&key, false).is_write());
        release(&collapse, &key, waited_for);
    }
}
