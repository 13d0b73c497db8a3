//! The places of a whole PoP: how many environments there may be, and which one
//! goes when a function without any needs a place.

use super::Pool;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Shared by the pools of all functions.
#[derive(Debug)]
pub(crate) struct Capacity<T> {
    places: Arc<Semaphore>,
    /// Told whenever a place is freed.
    pub(super) released: Notify,
    pools: Mutex<Vec<Weak<Pool<T>>>>,
}

impl<T> Capacity<T> {
    pub(crate) fn new(environments_max: usize) -> Arc<Capacity<T>> {
        let places = Arc::new(Semaphore::new(environments_max.min(Semaphore::MAX_PERMITS)));
        Arc::new(Capacity { places, released: Notify::new(), pools: Mutex::new(Vec::new()) })
    }

    /// Discards environments that were idle for too long at `now`, in all pools.
    pub(crate) fn expire(&self, now: Instant) {
        for pool in self.pools() {
            drop(pool.pop_expired(now));
        }
    }

    pub(super) fn join(&self, pool: &Arc<Pool<T>>) {
        self.pools.lock().push(Arc::downgrade(pool));
    }

    pub(super) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Discards the environment that has been idle longest, in whichever pool.
    pub(super) fn evict(&self) {
        let pools = self.pools();
        let oldest = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool))).min_by_key(|(since, _)| *since);
        if let Some((_, pool)) = oldest {
            drop(pool.pop_oldest());
        }
    }

    fn pools(&self) -> Vec<Arc<Pool<T>>> {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.places.available_permits()
    }
}
