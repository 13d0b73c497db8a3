//! One function's idle environments and the places for more. Idle ones are used
//! last in, first out, so that the rest can expire; a bounded queue waits when
//! there is neither an idle environment nor a place. `function` makes and
//! discards what the pool holds; `provision` fills it ahead of use.

mod burst;
mod capacity;

use burst::Burst;
pub(crate) use capacity::Capacity;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

/// One function's environments.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    capacity: Arc<Capacity<T>>,
    limits: PoolLimits,
    state: Mutex<State<T>>,
    /// Told whenever a place is freed, and at the end.
    fewer: Notify,
}

/// Bounds of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) environments_max: usize,
    /// New ones within `BURST_PERIOD`.
    pub(crate) burst: u32,
    /// Neither expired nor evicted; made by [`Pool::reserve`].
    pub(crate) provisioned: usize,
    /// Zero: an environment is used once.
    pub(crate) idle_max: Duration,
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
    burst: Burst,
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
    Queued(Queued<T>),
}

struct Queued<T> {
    handed: oneshot::Receiver<Option<T>>,
    missing: Missing,
}

/// What a new environment would need.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// One fewer of the function's own.
    Room,
    /// A place of the PoP.
    Capacity,
    /// A later moment.
    Burst(Instant),
}

impl<T> Pool<T> {
    pub(crate) fn new(capacity: &Arc<Capacity<T>>, limits: PoolLimits) -> Arc<Pool<T>> {
        let burst = Burst::new(limits.burst, Instant::now());
        let state = State { idle: VecDeque::new(), total: 0, waiting: VecDeque::new(), burst, closed: false };
        let (capacity, state) = (Arc::clone(capacity), Mutex::new(state));
        let pool = Arc::new(Pool { capacity, limits, state, fewer: Notify::new() });
        pool.capacity.join(&pool);
        pool
    }

    /// An idle environment or a place for a new one, after waiting in the queue if need be.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Taken<T>, Refused> {
        let queued = match self.attempt(Turn::Last)? {
            Attempt::Taken(taken) => return Ok(taken),
            // Queued again below, once releases are listened to.
            Attempt::Queued(Queued { missing: Missing::Capacity, .. }) => None,
            Attempt::Queued(queued) => Some(queued),
        };
        let waited = tokio::time::timeout(self.limits.wait_max, Box::pin(self.wait(queued))).await;
        waited.unwrap_or(Err(Refused::Waited(self.limits.wait_max)))
    }

    async fn wait(self: &Arc<Self>, mut first: Option<Queued<T>>) -> Result<Taken<T>, Refused> {
        loop {
            let released = self.capacity.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let Queued { handed, missing } = match first.take() {
                Some(queued) => queued,
                None => match self.attempt(Turn::First)? {
                    Attempt::Taken(taken) => return Ok(taken),
                    Attempt::Queued(queued) => queued,
                },
            };
            if missing == Missing::Capacity {
                self.capacity.evict();
            }
            let later = match missing {
                Missing::Burst(at) => at,
                Missing::Room | Missing::Capacity => Instant::now() + self.limits.wait_max,
            };
            tokio::select! {
                biased;
                handed = handed => if let Ok(Some(item)) = handed {
                    return Ok(Taken::Idle(item));
                },
                () = released, if missing == Missing::Capacity => {}
                () = tokio::time::sleep_until(later.into()) => {}
            }
        }
    }

    fn attempt(self: &Arc<Self>, turn: Turn) -> Result<Attempt<T>, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if let Some((item, _)) = state.idle.pop_back() {
            return Ok(Attempt::Taken(Taken::Idle(item)));
        }
        let missing = match self.place(&mut state) {
            Ok(place) => return Ok(Attempt::Taken(Taken::Place(place))),
            Err(missing) => missing,
        };
        state.waiting.retain(|waiter| !waiter.is_closed());
        if state.waiting.len() >= self.limits.queue_max {
            return Err(Refused::QueueFull(self.limits.queue_max));
        }
        let (hand, handed) = oneshot::channel();
        match turn {
            Turn::First => state.waiting.push_front(hand),
            Turn::Last => state.waiting.push_back(hand),
        }
        Ok(Attempt::Queued(Queued { handed, missing }))
    }

    fn place(self: &Arc<Self>, state: &mut State<T>) -> Result<Place<T>, Missing> {
        if state.total >= self.limits.environments_max {
            return Err(Missing::Room);
        }
        if !state.burst.spend(Instant::now()) {
            let ahead = state.waiting.iter().filter(|waiter| !waiter.is_closed()).count();
            return Err(Missing::Burst(state.burst.next(ahead)));
        }
        let Some(permit) = self.capacity.permit() else {
            state.burst.refund();
            return Err(Missing::Capacity);
        };
        state.total += 1;
        Ok(Place { pool: Arc::downgrade(self), capacity: Arc::clone(&self.capacity), permit: Some(permit) })
    }

    /// A place for a provisioned environment; `None` when there are enough, or the pool is closed.
    pub(crate) async fn reserve(self: &Arc<Self>) -> Option<Place<T>> {
        loop {
            let released = self.capacity.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.closed || state.total >= self.limits.provisioned {
                    return None;
                }
                if let Some(permit) = self.capacity.permit() {
                    state.total += 1;
                    let capacity = Arc::clone(&self.capacity);
                    return Some(Place { pool: Arc::downgrade(self), capacity, permit: Some(permit) });
                }
            }
            self.capacity.evict();
            released.await;
        }
    }

    /// Returns once there are fewer environments than before, or the pool is closed.
    pub(crate) async fn shrunk(&self) {
        self.fewer.notified().await;
    }

    /// Takes back an environment after an invocation: discards it when it may be used only once.
    pub(crate) fn give_back(&self, item: T) {
        if self.limits.idle_max.is_zero() {
            drop(item);
        } else {
            self.put(item);
        }
    }

    /// Makes an environment idle, or hands it to the first one waiting.
    pub(crate) fn put(&self, item: T) {
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
        self.fewer.notify_one();
        self.capacity.released.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Whether there is no environment, not even one being made.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().total == 0
    }

    /// Idle, in use, and being made.
    pub(crate) fn total(&self) -> usize {
        self.state.lock().total
    }

    /// Since when its longest idle environment is; `None` when it can spare none.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let spare = state.total > self.limits.provisioned;
        state.idle.front().filter(|_| spare).map(|(_, since)| *since)
    }

    /// Discards idle ones that `is_usable` no longer finds usable.
    pub(crate) fn discard(&self, mut is_usable: impl FnMut(&mut T) -> bool) {
        let mut gone = Vec::new();
        {
            let mut state = self.state.lock();
            let mut index = 0;
            while let Some((item, _)) = state.idle.get_mut(index) {
                if is_usable(item) {
                    index += 1;
                } else {
                    gone.extend(state.idle.remove(index));
                }
            }
        }
        drop(gone);
    }

    /// Takes out the longest idle one.
    fn pop_oldest(&self) -> Option<T> {
        self.state.lock().idle.pop_front().map(|(item, _)| item)
    }

    /// Takes out those that were idle for too long at `now`, except provisioned ones.
    fn pop_expired(&self, now: Instant) -> Vec<(T, Instant)> {
        let mut state = self.state.lock();
        let spare = state.total.saturating_sub(self.limits.provisioned);
        let is_over = |since: Instant| now.saturating_duration_since(since) >= self.limits.idle_max;
        let count = state.idle.iter().take(spare).take_while(|(_, since)| is_over(*since)).count();
        state.idle.drain(..count).collect()
    }
}

/// Where an invocation queues: in front when it has waited before.
#[derive(Clone, Copy)]
enum Turn {
    First,
    Last,
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
            drop(state);
            pool.fewer.notify_one();
        }
        self.capacity.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
