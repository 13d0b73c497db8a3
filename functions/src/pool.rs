//! One function's idle environments and the places for more. Idle ones are used
//! last in, first out, so that the rest can expire; a bounded queue waits when
//! there is neither an idle environment nor a place. `function` makes and
//! discards what the pool holds.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// The places of a whole PoP, shared by its pools.
#[derive(Debug)]
pub(crate) struct Capacity<T> {
    places: Arc<Semaphore>,
    released: Notify,
    pools: Mutex<Vec<Weak<Pool<T>>>>,
}

impl<T> Capacity<T> {
    pub(crate) fn new(environments_max: usize) -> Arc<Capacity<T>> {
        let places = Arc::new(Semaphore::new(environments_max.min(Semaphore::MAX_PERMITS)));
        Arc::new(Capacity { places, released: Notify::new(), pools: Mutex::new(Vec::new()) })
    }

    fn pools(&self) -> Vec<Arc<Pool<T>>> {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    /// Discards the environment that has been idle longest, in whichever pool.
    fn evict(&self) {
        let pools = self.pools();
        let oldest = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool))).min_by_key(|(since, _)| *since);
        if let Some((_, pool)) = oldest {
            let evicted = pool.state.lock().idle.pop_front();
            drop(evicted);
        }
    }

    /// Discards environments idle since before `before`, in all pools.
    pub(crate) fn expire(&self, before: Instant) {
        for pool in self.pools() {
            let expired: Vec<_> = {
                let mut state = pool.state.lock();
                let count = state.idle.iter().take_while(|(_, since)| *since < before).count();
                state.idle.drain(..count).collect()
            };
            drop(expired);
        }
    }
}

/// One function's environments.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    capacity: Arc<Capacity<T>>,
    limits: PoolLimits,
    state: Mutex<State<T>>,
}

/// Bounds of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) environments_max: usize,
    pub(crate) queue_max: usize,
    /// How long one invocation may wait in the queue.
    pub(crate) wait_max: Duration,
}

#[derive(Debug)]
struct State<T> {
    /// Longest idle first.
    idle: VecDeque<(T, Instant)>,
    /// Idle, in use, and being made.
    total: usize,
    /// `None` says: look again.
    waiting: VecDeque<oneshot::Sender<Option<T>>>,
    closed: bool,
}

/// What an invocation got.
#[derive(Debug)]
pub(crate) enum Taken<T> {
    Idle(T),
    /// Make one; it must own the place for as long as it lives.
    Place(Place<T>),
}

/// Why it got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0} invocations are waiting already")]
    QueueFull(usize),
    #[error("no environment became free within {} ms", .0.as_millis())]
    Waited(Duration),
    #[error("the function is being retired")]
    Closed,
}

enum Attempt<T> {
    Taken(Taken<T>),
    Queued { handed: oneshot::Receiver<Option<T>>, capacity_is_short: bool },
}

impl<T> Pool<T> {
    pub(crate) fn new(capacity: &Arc<Capacity<T>>, limits: PoolLimits) -> Arc<Pool<T>> {
        let state = State { idle: VecDeque::new(), total: 0, waiting: VecDeque::new(), closed: false };
        let pool = Arc::new(Pool { capacity: Arc::clone(capacity), limits, state: Mutex::new(state) });
        capacity.pools.lock().push(Arc::downgrade(&pool));
        pool
    }

    /// An idle environment or a place for a new one, after waiting in the queue if need be.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Taken<T>, Refused> {
        let handed = match self.attempt(false)? {
            Attempt::Taken(taken) => return Ok(taken),
            Attempt::Queued { handed, capacity_is_short: false } => Some(handed),
            // Queued again below, once releases are listened to.
            Attempt::Queued { .. } => None,
        };
        let waited = tokio::time::timeout(self.limits.wait_max, self.wait(handed)).await;
        waited.unwrap_or(Err(Refused::Waited(self.limits.wait_max)))
    }

    async fn wait(self: &Arc<Self>, first: Option<oneshot::Receiver<Option<T>>>) -> Result<Taken<T>, Refused> {
        if let Some(handed) = first
            && let Ok(Some(item)) = handed.await
        {
            return Ok(Taken::Idle(item));
        }
        loop {
            let released = self.capacity.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let (handed, capacity_is_short) = match self.attempt(true)? {
                Attempt::Taken(taken) => return Ok(taken),
                Attempt::Queued { handed, capacity_is_short } => (handed, capacity_is_short),
            };
            if capacity_is_short {
                self.capacity.evict();
            }
            tokio::select! {
                biased;
                handed = handed => if let Ok(Some(item)) = handed {
                    return Ok(Taken::Idle(item));
                },
                () = released, if capacity_is_short => {}
            }
        }
    }

    /// Takes, or queues at the end; in front when it has waited before.
    fn attempt(self: &Arc<Self>, waited: bool) -> Result<Attempt<T>, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if let Some((item, _)) = state.idle.pop_back() {
            return Ok(Attempt::Taken(Taken::Idle(item)));
        }
        let has_room = state.total < self.limits.environments_max;
        if has_room && let Ok(permit) = Arc::clone(&self.capacity.places).try_acquire_owned() {
            state.total += 1;
            let place =
                Place { pool: Arc::downgrade(self), capacity: Arc::clone(&self.capacity), permit: Some(permit) };
            return Ok(Attempt::Taken(Taken::Place(place)));
        }
        state.waiting.retain(|waiter| !waiter.is_closed());
        if state.waiting.len() >= self.limits.queue_max {
            return Err(Refused::QueueFull(self.limits.queue_max));
        }
        let (hand, handed) = oneshot::channel();
        if waited {
            state.waiting.push_front(hand);
        } else {
            state.waiting.push_back(hand);
        }
        Ok(Attempt::Queued { handed, capacity_is_short: has_room })
    }

    /// Makes an environment idle, or hands it to the first one waiting.
    pub(crate) fn give_back(&self, item: T) {
        let mut item = Some(item);
        let mut state = self.state.lock();
        while let Some(waiter) = state.waiting.pop_front() {
            match waiter.send(item) {
                Ok(()) => return,
                Err(back) => item = back,
            }
        }
        if let Some(item) = item.take_if(|_| !state.closed) {
            state.idle.push_back((item, Instant::now()));
        }
        drop(state);
        // What is left is dropped here, outside the lock: its place locks the pool.
        drop(item);
    }

    /// Discards idle environments and refuses everyone from now on. Those in use are not touched.
    pub(crate) fn close(&self) {
        let (idle, waiting) = {
            let mut state = self.state.lock();
            state.closed = true;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.waiting))
        };
        drop(waiting);
        drop(idle);
    }

    fn idle_since(&self) -> Option<Instant> {
        self.state.lock().idle.front().map(|(_, since)| *since)
    }
}

/// A place for one environment. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place<T> {
    pool: Weak<Pool<T>>,
    capacity: Arc<Capacity<T>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        drop(self.permit.take());
        if let Some(pool) = self.pool.upgrade() {
            let mut state = pool.state.lock();
            state.total -= 1;
            while let Some(waiter) = state.waiting.pop_front() {
                if waiter.send(None).is_ok() {
                    break;
                }
            }
        }
        self.capacity.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
