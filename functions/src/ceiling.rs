//! How many invocations run at one time, where that is bounded by more than the number of
//! environments: what one function has reserved, all of its versions together, and what
//! those reservations leave for the rest (AWS: "Understanding Lambda function scaling").
//! Whoever finds no place here is throttled at once. `function` asks; the control plane
//! says what is reserved.

use environment::Throttle;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// The bounds of a PoP.
#[derive(Debug)]
pub(crate) struct Ceilings {
    /// Of all functions.
    total: usize,
    rest: Arc<Places>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    reserved: BTreeMap<String, usize>,
    functions: HashMap<String, Weak<Ceiling>>,
}

/// One function's bound, shared by its versions.
#[derive(Debug)]
pub(crate) struct Ceiling {
    /// What it has reserved, if it has.
    own: Places,
    /// Provisioned environments of its versions, which no other function can use.
    held: AtomicUsize,
    rest: Arc<Places>,
}

/// A number of places, [`UNBOUNDED`] or fewer, and how many are taken.
#[derive(Debug)]
struct Places {
    max: AtomicUsize,
    taken: AtomicUsize,
}

/// One invocation's place. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Admission {
    ceiling: Arc<Ceiling>,
    /// It also has one of those that are nobody's own.
    of_rest: bool,
}

impl Ceilings {
    pub(crate) fn new(total: usize) -> Ceilings {
        Ceilings { total, rest: Arc::new(Places::new(UNBOUNDED)), known: Mutex::default() }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// The function's, with as many provisioned environments more.
    pub(crate) fn join(&self, function: &str, provisioned: usize) -> Arc<Ceiling> {
        let mut known = self.known.lock();
        known.functions.retain(|_, ceiling| ceiling.strong_count() > 0);
        let found = known.functions.get(function).and_then(Weak::upgrade);
        let ceiling = found.unwrap_or_else(|| {
            let own = Places::new(known.reserved.get(function).copied().unwrap_or(UNBOUNDED));
            let ceiling = Arc::new(Ceiling { own, held: AtomicUsize::new(0), rest: Arc::clone(&self.rest) });
            known.functions.insert(function.to_owned(), Arc::downgrade(&ceiling));
            ceiling
        });
        ceiling.held.fetch_add(provisioned, Ordering::Relaxed);
        self.share_out(&known);
        ceiling
    }

    /// Takes back what `join` added.
    pub(crate) fn leave(&self, ceiling: &Ceiling, provisioned: usize) {
        ceiling.held.fetch_sub(provisioned, Ordering::Relaxed);
        self.share_out(&self.known.lock());
    }

    /// These functions have reserved so many invocations at one time, and no others.
    pub(crate) fn reserve(&self, reserved: BTreeMap<String, usize>) {
        let mut known = self.known.lock();
        known.reserved = reserved;
        for (name, ceiling) in &known.functions {
            let Some(ceiling) = ceiling.upgrade() else { continue };
            let max = known.reserved.get(name).copied().unwrap_or(UNBOUNDED);
            ceiling.own.max.store(max, Ordering::Relaxed);
        }
        self.share_out(&known);
    }

    /// The rest has what nobody keeps for itself; without any reservation it is not bounded, and
    /// who finds no environment waits for one.
    fn share_out(&self, known: &Known) {
        if known.reserved.is_empty() {
            self.rest.max.store(UNBOUNDED, Ordering::Relaxed);
            return;
        }
        let mut kept: usize = known.reserved.values().sum();
        for (name, ceiling) in &known.functions {
            let Some(ceiling) = ceiling.upgrade().filter(|_| !known.reserved.contains_key(name)) else { continue };
            kept += ceiling.held.load(Ordering::Relaxed);
        }
        self.rest.max.store(self.total.saturating_sub(kept), Ordering::Relaxed);
    }
}

impl Ceiling {
    /// A place for one invocation.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Admission, Throttle> {
        let before = match self.own.take() {
            Ok(before) => before,
            Err(max) => return Err(Throttle::Reserved { max }),
        };
        let is_kept = self.own.is_bounded() || before < self.held.load(Ordering::Relaxed);
        if is_kept {
            return Ok(Admission { ceiling: Arc::clone(self), of_rest: false });
        }
        match self.rest.take() {
            Ok(_) => Ok(Admission { ceiling: Arc::clone(self), of_rest: true }),
            Err(max) => {
                self.own.free();
                Err(Throttle::Unreserved { max })
            }
        }
    }
}

impl Places {
    fn new(max: usize) -> Places {
        Places { max: AtomicUsize::new(max), taken: AtomicUsize::new(0) }
    }

    fn is_bounded(&self) -> bool {
        self.max.load(Ordering::Relaxed) != UNBOUNDED
    }

    /// How many were taken before, or how many there are.
    fn take(&self) -> Result<usize, usize> {
        let max = self.max.load(Ordering::Relaxed);
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before < max {
            return Ok(before);
        }
        self.free();
        Err(max)
    }

    fn free(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.ceiling.own.free();
        if self.of_rest {
            self.ceiling.rest.free();
        }
    }
}

const UNBOUNDED: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(ceilings: &Ceilings, all: &[(&str, usize)]) {
        ceilings.reserve(all.iter().map(|(name, max)| ((*name).to_owned(), *max)).collect());
    }

    #[test]
    fn versions_share_what_their_function_has_reserved() {
        let ceilings = Ceilings::new(100);
        let (one, two) = (ceilings.join("f", 0), ceilings.join("f", 0));
        let before = one.admit().unwrap();
        reserved(&ceilings, &[("f", 2)]);
        // What ran before the reservation counts in it.
        let second = two.admit().unwrap();
        assert_eq!(one.admit().unwrap_err(), Throttle::Reserved { max: 2 });
        drop((before, second));
        assert!(one.admit().is_ok());
        reserved(&ceilings, &[("f", 0)]);
        assert_eq!(two.admit().unwrap_err(), Throttle::Reserved { max: 0 });
        reserved(&ceilings, &[]);
        assert!(two.admit().is_ok());
    }

    #[test]
    fn the_rest_has_what_is_neither_reserved_nor_provisioned() {
        let ceilings = Ceilings::new(10);
        let (rich, warm, other) = (ceilings.join("rich", 0), ceilings.join("warm", 3), ceilings.join("other", 0));
        let all: Vec<Admission> = (0..20).map(|_| other.admit().unwrap()).collect();
        drop(all);
        reserved(&ceilings, &[("rich", 4)]);
        let mut running: Vec<Admission> = (0..3).map(|_| other.admit().unwrap()).collect();
        assert_eq!(other.admit().unwrap_err(), Throttle::Unreserved { max: 3 });
        // The reserved and the provisioned ones are there all the same.
        running.extend((0..4).map(|_| rich.admit().unwrap()));
        running.extend((0..3).map(|_| warm.admit().unwrap()));
        assert_eq!(warm.admit().unwrap_err(), Throttle::Unreserved { max: 3 });
        drop(running);
        ceilings.leave(&warm, 3);
        let running: Vec<Admission> = (0..6).map(|_| other.admit().unwrap()).collect();
        assert_eq!(running.len(), 6);
        assert!(other.admit().is_err() && ceilings.total() == 10);
    }
}
