//! Which stored responses belong to one place, so that all of them can go at once.

use crate::cache::key::PlaceKey;
use parking_lot::Mutex;
use pingora::cache::key::HashBinary;
use std::collections::{HashMap, HashSet};

/// The keys of what is stored, by place.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<PlaceKey, HashSet<HashBinary>>>);

impl Places {
    pub(super) fn add(&self, place: PlaceKey, key: HashBinary) {
        self.0.lock().entry(place).or_default().insert(key);
    }

    pub(super) fn remove(&self, place: PlaceKey, key: &HashBinary) {
        let mut places = self.0.lock();
        if let Some(keys) = places.get_mut(&place) {
            keys.remove(key);
            if keys.is_empty() {
                places.remove(&place);
            }
        }
    }

    /// Forgets a place; its keys.
    pub(super) fn take(&self, place: PlaceKey) -> HashSet<HashBinary> {
        self.0.lock().remove(&place).unwrap_or_default()
    }

    pub(super) fn contains(&self, place: PlaceKey, key: &HashBinary) -> bool {
        self.0.lock().get(&place).is_some_and(|keys| keys.contains(key))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
