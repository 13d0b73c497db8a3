//! Whether a response came between a request's look into the store and its turn at
//! the lock of the key: then it is to look again before it asks the origin.
//! [`storage`](super::storage) notes looks and changes, [`collapse`](super::collapse) asks.
//!
//! Pingora looks and then locks without giving up its thread in between, and has
//! nothing in which the one could leave word for the other. So the thread keeps its
//! last look. Should that ever be another request's, the answer is no, and what
//! happens is what would happen without this file: a second fetch.

use pingora::cache::key::HashBinary;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static LAST_LOOK: Cell<Option<Look>> = const { Cell::new(None) };
}

/// What was there when a look began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    key: HashBinary,
    changes: u64,
}

/// How often what is stored changed. Keys share counters: a change of one may make a
/// request for another look twice.
#[derive(Debug)]
pub(crate) struct Changes(Box<[AtomicU64]>);

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Something new is stored under a key.
    pub(crate) fn add(&self, key: &HashBinary) {
        self.of(key).fetch_add(1, Ordering::AcqRel);
    }

    /// A look for a key begins.
    pub(crate) fn look(&self, key: &HashBinary) -> Look {
        Look { key: *key, changes: self.of(key).load(Ordering::Acquire) }
    }

    /// The look is over; a lock may follow.
    pub(crate) fn looked(look: Look) {
        LAST_LOOK.set(Some(look));
    }

    /// Whether something came for this key since the look that was just over began.
    pub(crate) fn came_since_look(&self, key: &HashBinary) -> bool {
        let look = LAST_LOOK.take().filter(|look| look.key == *key);
        look.is_some_and(|look| self.of(key).load(Ordering::Acquire) != look.changes)
    }

    fn of(&self, key: &HashBinary) -> &AtomicU64 {
        &self.0[usize::from(u16::from_be_bytes([key[0], key[1]])) % COUNTERS]
    }
}

const COUNTERS: usize = 4096;
