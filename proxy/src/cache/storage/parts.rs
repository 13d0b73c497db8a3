//! Which parts of a response are stored, for requests that a part of one of them is
//! enough for. It is a memory of what was stored here: what is not stored any more is
//! found out, and what a process before this one stored is found by its own range.

use super::Store;
use crate::cache::part::{Part, PartOf, Wanted};
use http::StatusCode;
use moka::sync::Cache as Moka;
use parking_lot::Mutex;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::storage::HitHandler;
use pingora::cache::{CacheKey, CacheMeta};
use std::collections::VecDeque;
use std::sync::Arc;

/// The parts of every whole, by the whole's key.
#[derive(Debug)]
pub(super) struct Parts(Moka<HashBinary, Arc<Mutex<Known>>>);

/// Newest first.
type Known = VecDeque<(Part, HashBinary)>;

impl Parts {
    pub(super) fn new() -> Parts {
        Parts(Moka::builder().max_capacity(WHOLES_MAX).build())
    }

    /// A part is stored under a key.
    pub(super) fn add(&self, whole: HashBinary, part: Part, key: HashBinary) {
        let known = self.0.get_with(whole, Arc::default);
        let mut known = known.lock();
        known.retain(|(_, other)| *other != key);
        known.push_front((part, key));
        known.truncate(PARTS_MAX);
    }

    /// The keys of those that have all that is wanted, newest first.
    pub(super) fn with(&self, whole: &HashBinary, wanted: Wanted) -> Vec<HashBinary> {
        let Some(known) = self.0.get(whole) else { return Vec::new() };
        let known = known.lock();
        known.iter().filter(|(part, _)| part.has(wanted)).map(|(_, key)| *key).collect()
    }

    /// A part turned out to be gone.
    pub(super) fn forget(&self, whole: &HashBinary, key: &HashBinary) {
        if let Some(known) = self.0.get(whole) {
            known.lock().retain(|(_, other)| other != key);
        }
    }
}

impl Store {
    /// What answers a request for a part: the whole, a part that has it, or what its own range brought.
    pub(super) async fn find_part(&self, key: &CacheKey, of: &PartOf) -> Option<(CacheMeta, HitHandler)> {
        let whole = of.whole(key);
        // What the fetch of the whole is far from yet is sooner here by itself.
        let far = self.filling_of(&whole, None).is_some_and(|filling| filling.is_far_from(of.wanted));
        if !far && let Some(found) = self.find(whole).await {
            return Some(found);
        }
        for stored in self.parts.with(&whole, of.wanted) {
            match self.find(stored).await {
                Some(found) if of.is_of(found.0.headers()) => return Some(found),
                Some(_) => {}
                None => self.parts.forget(&whole, &stored),
            }
        }
        let found = self.find(key.combined_bin()).await;
        found.filter(|(meta, _)| of.is_of(meta.headers()))
    }

    /// Where a response is kept, in its variant and in whatever one: it may be the whole
    /// although a part was asked for.
    pub(super) fn keeps_at(&self, key: &CacheKey, meta: &CacheMeta) -> (HashBinary, HashBinary) {
        let own = key.combined_bin();
        let Some(of) = PartOf::of(key) else { return (own, key.primary_bin()) };
        if meta.response_header().status != StatusCode::PARTIAL_CONTENT {
            return (of.whole(key), of.primary());
        }
        if let Some(part) = Part::of(meta.headers()) {
            self.parts.add(of.whole(key), part, own);
        }
        (own, key.primary_bin())
    }

    /// Where what was found for this key may be.
    pub(super) fn found_at(&self, key: &CacheKey) -> Vec<HashBinary> {
        let own = key.combined_bin();
        let Some(of) = PartOf::of(key) else { return vec![own] };
        let whole = of.whole(key);
        let mut keys = self.parts.with(&whole, of.wanted);
        keys.extend([whole, own]);
        keys.dedup();
        keys
    }
}

/// How many responses are remembered to be stored in parts, and how many parts of each.
const WHOLES_MAX: u64 = 100_000;
const PARTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_part_that_has_it_all_comes_first() {
        let (parts, whole) = (Parts::new(), [0; 16]);
        for (key, (first, last)) in [(0, 9), (5, 20), (0, 99)].into_iter().enumerate() {
            parts.add(whole, Part { first, last, whole: 100 }, [u8::try_from(key).unwrap(); 16]);
        }
        assert_eq!(parts.with(&whole, Wanted::Between(5, 9)), [[2; 16], [1; 16], [0; 16]]);
        assert_eq!(parts.with(&whole, Wanted::Between(9, 10)), [[2; 16], [1; 16]]);
        assert_eq!(parts.with(&whole, Wanted::Last(1)), [[2; 16]]);
        parts.forget(&whole, &[2; 16]);
        assert_eq!(parts.with(&whole, Wanted::Last(1)), [[0; 16]; 0]);
        assert_eq!(parts.with(&[1; 16], Wanted::Between(5, 9)), [[0; 16]; 0]);
    }

    #[test]
    fn a_whole_has_so_many_parts_at_most() {
        let (parts, whole) = (Parts::new(), [0; 16]);
        for key in 0..=u8::try_from(PARTS_MAX).unwrap() {
            parts.add(whole, Part { first: 0, last: 9, whole: 10 }, [key; 16]);
            parts.add(whole, Part { first: 0, last: 9, whole: 10 }, [key; 16]);
        }
        let with = parts.with(&whole, Wanted::Between(0, 0));
        assert!(with.len() == PARTS_MAX && !with.contains(&[0; 16]), "{with:?}");
    }
}
