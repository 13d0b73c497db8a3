//! Which objects are on disk and how much room they take, kept in memory: about
//! 200 bytes each. Knows no files; what it drops is for its caller to remove.

use crate::cache::key::PlaceKey;
use crate::cache::storage::places::Places;
use lru::LruCache;
use parking_lot::Mutex;
use pingora::cache::key::HashBinary;
use std::collections::{HashMap, HashSet};

/// One object on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache::storage) struct Entry {
    pub(super) place: PlaceKey,
    /// Each record written has another.
    pub(in crate::cache::storage) version: u64,
    /// The number of the body's file, if it has one.
    pub(super) body: Option<u64>,
    /// Bytes of the body.
    pub(in crate::cache::storage) length: u64,
    /// Bytes that its files take.
    pub(super) bytes: u64,
}

/// Files of an object that is no longer in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache::storage) struct Removed {
    pub(super) key: HashBinary,
    pub(super) body: Option<u64>,
}

/// The index, least recently used first. What memory holds counts as used.
pub(super) struct Index {
    state: Mutex<State>,
    bytes_max: u64,
    above: Above,
}

/// The tier above.
pub(in crate::cache::storage) struct Above {
    /// Whether it has an object.
    pub(in crate::cache::storage) holds: Box<dyn Fn(&HashBinary) -> bool + Send + Sync>,
    /// Hears where an object was that made room for others.
    pub(in crate::cache::storage) hears_of_evicted: Box<dyn Fn(PlaceKey) + Send + Sync>,
}

struct State {
    entries: LruCache<HashBinary, Entry>,
    places: Places,
    /// Objects being written. One that is taken out of here is not kept.
    coming: HashMap<HashBinary, (u64, PlaceKey)>,
    stored_bytes: u64,
    unfinished_bytes: u64,
    /// What changed before the directory was read; `None` once it was.
    opening: Option<Opening>,
}

#[derive(Default)]
struct Opening {
    keys: HashSet<HashBinary>,
    places: HashSet<PlaceKey>,
}

impl Index {
    pub(super) fn new(bytes_max: u64, above: Above) -> Index {
        let state = State {
            entries: LruCache::unbounded(),
            places: Places::default(),
            coming: HashMap::new(),
            stored_bytes: 0,
            unfinished_bytes: 0,
            opening: Some(Opening::default()),
        };
        Index { state: Mutex::new(state), bytes_max, above }
    }

    /// The object, which becomes the most recently used.
    pub(super) fn find(&self, key: &HashBinary) -> Option<Entry> {
        self.state.lock().entries.get(key).copied()
    }

    pub(super) fn peek(&self, key: &HashBinary) -> Option<Entry> {
        self.state.lock().entries.peek(key).copied()
    }

    /// Announces an object; `false` as long as the directory is being read.
    pub(super) fn expect(&self, key: HashBinary, place: PlaceKey, write: u64) -> bool {
        let mut state = self.state.lock();
        if state.opening.is_none() {
            state.coming.insert(key, (write, place));
        }
        state.opening.is_none()
    }

    /// Whether an object that was announced is still wanted.
    pub(super) fn expects(&self, key: &HashBinary, write: u64) -> bool {
        self.state.lock().expects(key, write)
    }

    /// The announced object does not come.
    pub(super) fn unexpect(&self, key: &HashBinary, write: u64) {
        let mut state = self.state.lock();
        if state.expects(key, write) {
            state.coming.remove(key);
        }
    }

    /// Takes room for an object being written. What must go for it is in the answer;
    /// `None` when that would not be enough.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Vec<Removed>> {
        let mut state = self.state.lock();
        if state.unfinished_bytes + bytes > self.bytes_max {
            return None;
        }
        state.unfinished_bytes += bytes;
        Some(self.shrink(&mut state))
    }

    /// Gives back room of an object that was not kept.
    pub(super) fn release(&self, bytes: u64) {
        self.state.lock().unfinished_bytes -= bytes;
    }

    /// Takes in an object that was announced as `entry.version` and for which `entry.bytes`
    /// were reserved; the one it replaces. `Err`: it is not wanted any more.
    pub(super) fn commit(&self, key: HashBinary, entry: Entry) -> Result<Option<Removed>, ()> {
        let mut state = self.state.lock();
        if !state.expects(&key, entry.version) {
            return Err(());
        }
        state.coming.remove(&key);
        state.unfinished_bytes -= entry.bytes;
        let old = state.take(&key);
        state.add(key, entry);
        Ok(old)
    }

    /// Replaces the record of an object, if it still is `version`.
    pub(super) fn refresh(&self, key: &HashBinary, version: u64, entry: Entry) -> bool {
        let mut state = self.state.lock();
        let Some(old) = state.entries.get_mut(key).filter(|old| old.version == version) else { return false };
        let freed = std::mem::replace(old, entry).bytes;
        state.stored_bytes = state.stored_bytes + entry.bytes - freed;
        true
    }

    /// Drops an object.
    pub(super) fn forget(&self, key: &HashBinary) -> Option<Removed> {
        let mut state = self.state.lock();
        if let Some(opening) = &mut state.opening {
            opening.keys.insert(*key);
        }
        state.coming.remove(key);
        state.take(key)
    }

    /// Drops an object, if it still is `version`.
    pub(super) fn forget_version(&self, key: &HashBinary, version: u64) -> Option<Removed> {
        let mut state = self.state.lock();
        let same = state.entries.peek(key).is_some_and(|entry| entry.version == version);
        same.then(|| state.take(key)).flatten()
    }

    /// Drops all objects of a place, those on their way among them; whether the directory
    /// is still being read, so that there may be more.
    pub(super) fn forget_place(&self, place: PlaceKey) -> (Vec<Removed>, bool) {
        let mut state = self.state.lock();
        let on_their_way = state.coming.extract_if(|_, (_, of)| *of == place);
        let mut removed: Vec<Removed> = on_their_way.map(|(key, _)| Removed { key, body: None }).collect();
        let keys = state.places.take(place);
        removed.extend(keys.iter().filter_map(|key| state.take(key)));
        if let Some(opening) = &mut state.opening {
            opening.places.insert(place);
        }
        (removed, state.opening.is_some())
    }

    /// Takes in what the directory holds, the least recently used first; what must go.
    pub(super) fn fill(&self, found: Vec<(HashBinary, Entry)>) -> Vec<Removed> {
        let mut state = self.state.lock();
        let Some(opening) = state.opening.take() else { return Vec::new() };
        let mut removed = Vec::new();
        for (key, entry) in found {
            if opening.keys.contains(&key) || opening.places.contains(&entry.place) {
                removed.push(Removed { key, body: entry.body });
            } else {
                state.add(key, entry);
            }
        }
        removed.extend(self.shrink(&mut state));
        removed
    }

    /// Objects, and bytes that they take.
    pub(super) fn size(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.entries.len(), state.stored_bytes)
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().opening.is_none()
    }

    #[cfg(test)]
    pub(super) fn unfinished_bytes(&self) -> u64 {
        self.state.lock().unfinished_bytes
    }

    fn shrink(&self, state: &mut State) -> Vec<Removed> {
        let mut removed = Vec::new();
        let mut spared = 0;
        while state.stored_bytes + state.unfinished_bytes > self.bytes_max {
            let Some((oldest, place)) = state.entries.peek_lru().map(|(key, entry)| (*key, entry.place)) else {
                break;
            };
            if spared < SPARED_MAX && (self.above.holds)(&oldest) {
                state.entries.promote(&oldest);
                spared += 1;
            } else {
                (self.above.hears_of_evicted)(place);
                removed.extend(state.take(&oldest));
            }
        }
        removed
    }
}

impl State {
    fn expects(&self, key: &HashBinary, write: u64) -> bool {
        self.coming.get(key).is_some_and(|(coming, _)| *coming == write)
    }

    fn add(&mut self, key: HashBinary, entry: Entry) {
        self.stored_bytes += entry.bytes;
        self.places.add(entry.place, key);
        self.entries.put(key, entry);
    }

    fn take(&mut self, key: &HashBinary) -> Option<Removed> {
        let entry = self.entries.pop(key)?;
        self.stored_bytes -= entry.bytes;
        self.places.remove(entry.place, key);
        Some(Removed { key: *key, body: entry.body })
    }
}

/// Objects in memory that are passed over, each time room is made, before even such a one goes.
const SPARED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// An index below a tier that has what begins with 99, and a count of what is evicted.
    fn below(bytes_max: u64) -> (Index, Arc<AtomicU64>) {
        let evicted = Arc::new(AtomicU64::new(0));
        let heard = Arc::clone(&evicted);
        let above = Above {
            holds: Box::new(|key| key[0] == 99),
            hears_of_evicted: Box::new(move |_| {
                heard.fetch_add(1, Ordering::Relaxed);
            }),
        };
        (Index::new(bytes_max, above), evicted)
    }

    fn index() -> Index {
        let (index, _) = below(100);
        assert!(index.fill(Vec::new()).is_empty());
        index
    }

    fn entry(nth: u8, version: u64, bytes: u64) -> Entry {
        Entry { place: PlaceKey::of([nth; 16]), version, body: Some(version), length: bytes, bytes }
    }

    fn store(index: &Index, nth: u8, version: u64, bytes: u64) -> Vec<u8> {
        let removed = index.reserve(bytes).unwrap();
        assert!(index.expect([nth; 16], PlaceKey::of([nth; 16]), version));
        index.commit([nth; 16], entry(nth, version, bytes)).unwrap();
        removed.into_iter().map(|removed| removed.key[0]).collect()
    }

    #[test]
    fn the_least_recently_used_make_room_but_what_memory_holds_is_spared() {
        let (index, evicted) = below(100);
        index.fill(Vec::new());
        for nth in [99, 1, 2] {
            assert!(store(&index, nth, 1, 30).is_empty());
        }
        index.find(&[1; 16]);
        assert_eq!(store(&index, 3, 1, 30), [2]);
        assert_eq!(store(&index, 4, 1, 70), [1, 3]);
        assert_eq!(index.size(), (2, 100));
        assert_eq!(store(&index, 5, 1, 100), [4, 99], "spared, but not for ever");
        assert_eq!(evicted.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused_and_nothing_goes_for_it() {
        let index = index();
        store(&index, 1, 1, 50);
        assert_eq!(index.reserve(101), None);
        assert_eq!(index.reserve(60).unwrap().len(), 1);
        assert_eq!(index.reserve(41), None);
        index.release(60);
        assert_eq!((index.size(), index.unfinished_bytes()), ((0, 0), 0));
    }

    #[test]
    fn what_is_dropped_while_it_comes_is_not_kept() {
        let index = index();
        let place = PlaceKey::of([1; 16]);
        index.reserve(10).unwrap();
        index.expect([1; 16], place, 7);
        assert_eq!(index.forget_place(place), (vec![Removed { key: [1; 16], body: None }], false));
        assert!(index.commit([1; 16], entry(1, 7, 10)).is_err());
        index.expect([1; 16], place, 8);
        index.expect([1; 16], place, 9);
        assert!(index.commit([1; 16], entry(1, 8, 10)).is_err(), "another write of the key came after it");
        assert!(index.commit([1; 16], entry(1, 9, 10)).is_ok());
        assert_eq!(index.forget_version(&[1; 16], 8), None);
        assert!(index.refresh(&[1; 16], 9, Entry { bytes: 12, ..entry(1, 10, 12) }));
        assert!(!index.refresh(&[1; 16], 9, entry(1, 11, 10)));
        assert_eq!(index.size(), (1, 12));
    }

    #[test]
    fn what_changed_while_the_directory_was_read_counts() {
        let (index, _) = below(100);
        assert!(!index.expect([1; 16], PlaceKey::of([1; 16]), 1), "nothing is written before");
        index.forget(&[1; 16]);
        assert!(index.forget_place(PlaceKey::of([2; 16])).1);
        let found = (1..=5).map(|nth| ([nth; 16], entry(nth, 1, 40))).collect();
        let removed: Vec<u8> = index.fill(found).into_iter().map(|removed| removed.key[0]).collect();
        assert_eq!(removed, [1, 2, 3]);
        assert_eq!(index.size(), (2, 80));
    }
}
