//! Where cached responses are kept: moka, weighed in bytes, holds the complete
//! ones; a table beside it holds those being fetched, readable while they fill.
//! Only Pingora's cache calls it.

mod filling;
mod object;
mod places;

use crate::cache::key::PlaceKey;
use async_trait::async_trait;
use filling::{Filling, FillingReader};
use moka::notification::RemovalCause;
use moka::sync::Cache as Moka;
use object::{Object, ObjectReader, StoredMeta};
use parking_lot::Mutex;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::storage::{
    HandleMiss, HitHandler, MissFinishType, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage,
};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{CacheKey, CacheMeta};
use pingora::{Error, ErrorType, Result};
use places::Places;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of the cache.
pub(crate) struct Store {
    objects: Moka<HashBinary, Arc<Object>>,
    places: Arc<Places>,
    /// What is being fetched now; a key may have several fetchers.
    filling: Mutex<HashMap<HashBinary, Vec<Arc<Filling>>>>,
    last_write: AtomicU64,
    object_bytes_max: u64,
}

impl Store {
    pub(crate) fn new(bytes: u64, object_bytes_max: u64) -> Store {
        let places = Arc::new(Places::default());
        let left = Arc::clone(&places);
        let objects = Moka::builder()
            .max_capacity(bytes)
            .weigher(|_: &HashBinary, object: &Arc<Object>| object.weight())
            .eviction_listener(move |key, object: Arc<Object>, cause| {
                if cause != RemovalCause::Replaced {
                    left.remove(object.place(), &key);
                }
            })
            .build();
        Store { objects, places, filling: Mutex::default(), last_write: AtomicU64::new(0), object_bytes_max }
    }

    /// The largest body that is kept, bytes.
    pub(crate) fn object_bytes_max(&self) -> u64 {
        self.object_bytes_max
    }

    /// Removes every response of a place, and those on their way.
    pub(crate) fn invalidate(&self, place: PlaceKey) {
        self.filling.lock().retain(|_, writes| {
            writes.retain(|filling| filling.place() != place);
            !writes.is_empty()
        });
        for key in self.places.take(place) {
            self.objects.invalidate(&key);
        }
    }

    fn keep(&self, key: HashBinary, object: Object) {
        let place = object.place();
        self.objects.insert(key, Arc::new(object));
        self.places.add(place, key);
        // It may have been evicted between the two.
        if !self.objects.contains_key(&key) {
            self.places.remove(place, &key);
        }
    }

    fn filling_of(&self, key: &HashBinary, write: Option<u64>) -> Option<Arc<Filling>> {
        let table = self.filling.lock();
        let mut writes = table.get(key)?.iter();
        writes.find(|filling| write.is_none_or(|write| filling.write() == write)).cloned()
    }

    fn forget_filling(&self, key: &HashBinary, write: u64) {
        let mut table = self.filling.lock();
        if let Some(writes) = table.get_mut(key) {
            writes.retain(|filling| filling.write() != write);
            if writes.is_empty() {
                table.remove(key);
            }
        }
    }
}

#[async_trait]
impl Storage for Store {
    async fn lookup(&'static self, key: &CacheKey, _: &SpanHandle) -> Result<Option<(CacheMeta, HitHandler)>> {
        let key = key.combined_bin();
        if let Some(filling) = self.filling_of(&key, None) {
            return Ok(Some((filling.meta().restore(), Box::new(FillingReader::new(filling)))));
        }
        let found = self.objects.get(&key);
        Ok(found.map(|object| {
            let reader: HitHandler = Box::new(ObjectReader::new(object.body()));
            (object.meta().restore(), reader)
        }))
    }

    async fn lookup_streaming_write(
        &'static self,
        key: &CacheKey,
        tag: Option<&[u8]>,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(write) = tag.and_then(|tag| tag.try_into().ok()).map(u64::from_be_bytes) else {
            return Ok(None);
        };
        let filling = self.filling_of(&key.combined_bin(), Some(write));
        Ok(filling.map(|filling| {
            let reader: HitHandler = Box::new(FillingReader::new(Arc::clone(&filling)));
            (filling.meta().restore(), reader)
        }))
    }

    async fn get_miss_handler(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<MissHandler> {
        let key = key.combined_bin();
        let write = self.last_write.fetch_add(1, Ordering::Relaxed);
        let mut stored = StoredMeta::of(meta);
        let Some(place) = stored.take_place() else {
            return Error::e_explain(ErrorType::InternalError, "a response to store names no place");
        };
        let filling = Arc::new(Filling::new(write, place, stored));
        self.filling.lock().entry(key).or_default().push(Arc::clone(&filling));
        Ok(Box::new(Writer { store: self, key, filling, tag: write.to_be_bytes(), bytes: 0 }))
    }

    async fn purge(&'static self, target: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        let key = target.key().combined_bin();
        let was_filling = self.filling.lock().remove(&key).is_some();
        let was_stored = self.objects.remove(&key).is_some();
        Ok(if was_filling || was_stored { PurgeOutcome::Purged(None) } else { PurgeOutcome::NotFound })
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let key = key.combined_bin();
        let Some(object) = self.objects.get(&key) else { return Ok(false) };
        let mut stored = StoredMeta::of(meta);
        stored.take_place();
        self.keep(key, Object::new(object.place(), stored, object.body()));
        Ok(true)
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// Fills one object. Dropped before [`HandleMiss::finish`], the object has failed.
struct Writer {
    store: &'static Store,
    key: HashBinary,
    filling: Arc<Filling>,
    tag: [u8; 8],
    bytes: u64,
}

#[async_trait]
impl HandleMiss for Writer {
    async fn write_body(&mut self, data: bytes::Bytes, _eof: bool) -> Result<()> {
        self.bytes += data.len() as u64;
        if self.bytes > self.store.object_bytes_max {
            // Nobody else may join a body whose beginning is about to go.
            self.store.forget_filling(&self.key, self.filling.write());
            self.filling.keep_only_unread();
        }
        if self.filling.push(data) {
            return Ok(());
        }
        Error::e_explain(ErrorType::InternalError, "response of unknown length outran its reader")
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        if let Some(body) = self.filling.complete() {
            let object = Object::new(self.filling.place(), self.filling.meta().with_length(body.len()), body);
            // A purge while it was filling took it out of the table: do not bring it back.
            if self.store.filling_of(&self.key, Some(self.filling.write())).is_some() {
                self.store.keep(self.key, object);
                // Evicts now: otherwise a burst of misses is over the limit until moka next looks.
                self.store.objects.run_pending_tasks();
            }
        }
        Ok(MissFinishType::Created(size))
    }

    fn streaming_write_tag(&self) -> Option<&[u8]> {
        Some(&self.tag)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.filling.fail_unless_complete();
        self.store.forget_filling(&self.key, self.filling.write());
    }
}

#[cfg(test)]
mod tests;
