//! Where cached responses are kept: moka, weighed in bytes, holds complete ones in
//! memory; below it may be a disk, which has nearly all of those and the large
//! ones; a table beside them holds those being fetched, readable while they fill.
//! Only Pingora's cache calls it.

pub(super) mod disk;
mod filling;
mod object;
mod parts;
mod places;
mod writer;

use crate::cache::changes::Changes;
use crate::cache::counters::{Counters, Tier};
use crate::cache::key::PlaceKey;
use crate::cache::part::PartOf;
use crate::cache::too_large::TooLarge;
use async_trait::async_trait;
use deployment::Server;
use disk::{Above, Announced, Disk, DiskError, Entry};
use filling::{Filling, FillingReader};
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache as Moka;
pub(crate) use object::Stored;
use object::{Object, ObjectReader, StoredMeta};
use parking_lot::Mutex;
use parts::Parts;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::storage::{HitHandler, MissHandler, PurgeOutcome, PurgeTarget, PurgeType, Storage};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{CacheKey, CacheMeta};
use pingora::{Error, ErrorType, Result};
use places::Places;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::OnceCell;
use writer::{Tag, Writer};

/// The bytes of the cache.
pub(crate) struct Store {
    objects: Moka<HashBinary, Arc<Object>>,
    places: Arc<Places>,
    parts: Parts,
    too_large: Arc<TooLarge>,
    /// What is being fetched now; a key may have several fetchers.
    filling: Mutex<HashMap<HashBinary, Vec<Arc<Filling>>>>,
    last_write: AtomicU64,
    changes: Arc<Changes>,
    object_bytes_max: u64,
    disk: Option<Arc<Disk>>,
    /// Objects on their way from disk to memory, so that each is read once.
    promoting: Mutex<HashMap<HashBinary, Promotion>>,
}

type Promotion = Arc<OnceCell<Option<Arc<Object>>>>;

impl Store {
    /// The store that `server` asks for. A disk that cannot be used is left out, and the log says so.
    ///
    /// # Errors
    /// Another process uses the directory.
    pub(crate) fn open(server: &Server, changes: &Arc<Changes>, counters: &Arc<Counters>) -> Result<Store, DiskError> {
        let mut store = Store::in_memory(server.cache_bytes, server.cache_object_bytes_max, counters);
        store.changes = Arc::clone(changes);
        let Some(config) = &server.cache_disk else { return Ok(store) };
        let (objects, counters) = (store.objects.clone(), Arc::clone(counters));
        let above = Above {
            holds: Box::new(move |key| objects.contains_key(key)),
            hears_of_evicted: Box::new(move |place| counters.evicted(place, Tier::Disk)),
        };
        store.disk = match Disk::open(config, above) {
            Ok(disk) => Some(disk),
            Err(error @ DiskError::InUse { .. }) => return Err(error),
            Err(error @ DiskError::Unusable { .. }) => {
                tracing::error!("the cache keeps to memory: {error}");
                None
            }
        };
        Ok(store)
    }

    fn in_memory(bytes: u64, object_bytes_max: u64, counters: &Arc<Counters>) -> Store {
        let places = Arc::new(Places::default());
        let (left, counters) = (Arc::clone(&places), Arc::clone(counters));
        let objects = Moka::builder()
            .max_capacity(bytes)
            .weigher(|_: &HashBinary, object: &Arc<Object>| object.weight())
            .eviction_listener(move |key, object: Arc<Object>, cause| {
                if cause == RemovalCause::Size {
                    counters.evicted(object.place(), Tier::Memory);
                }
                if cause != RemovalCause::Replaced {
                    left.remove(object.place(), &key);
                }
            })
            .build();
        Store {
            objects,
            places,
            parts: Parts::new(),
            too_large: Arc::new(TooLarge::new()),
            filling: Mutex::default(),
            last_write: AtomicU64::new(0),
            changes: Arc::new(Changes::new()),
            object_bytes_max,
            disk: None,
            promoting: Mutex::default(),
        }
    }

    /// The largest body that is kept, bytes.
    pub(crate) fn object_bytes_max(&self) -> u64 {
        let on_disk = self.disk.as_ref().map_or(0, |disk| disk.object_bytes_max());
        self.object_bytes_max.max(on_disk)
    }

    /// How many responses are in memory, and the bytes they take.
    pub(crate) fn in_memory_size(&self) -> (u64, u64) {
        (self.objects.entry_count(), self.objects.weighted_size())
    }

    /// How many responses are on disk, where there is one, and the bytes they take.
    pub(crate) fn on_disk_size(&self) -> Option<(u64, u64)> {
        self.disk.as_ref().map(|disk| disk.size())
    }

    /// Removes every response of a place, and those on their way. When this returns they
    /// are gone from disk too, and no crash brings them back.
    pub(crate) async fn invalidate(&self, place: PlaceKey) {
        // In this order: whoever stores meanwhile looks again, from the end to the beginning.
        self.filling.lock().retain(|_, writes| {
            writes.retain(|filling| filling.place() != place);
            !writes.is_empty()
        });
        let purge = self.disk.as_ref().map(|disk| (disk, disk.forget_place(place)));
        for key in self.places.take(place) {
            self.objects.invalidate(&key);
        }
        if let Some((disk, purge)) = purge {
            disk.purge(purge).await;
        }
    }

    /// Keeps an object that was just fetched, unless it was purged while it was.
    fn keep(&self, key: HashBinary, filling: &Filling, object: Arc<Object>) {
        let place = object.place();
        self.places.add(place, key);
        let announced: Option<Announced> = self.disk.as_ref().map(|disk| disk.announce(key, place));
        if self.filling_of(&key, Some(filling.write())).is_some() {
            self.objects.insert(key, Arc::clone(&object));
            // Evicts now: otherwise a burst of misses is over the limit until moka next looks.
            self.objects.run_pending_tasks();
            if !self.places.contains(place, &key) {
                self.objects.invalidate(&key);
            }
        } else {
            self.places.remove(place, &key);
            if let (Some(disk), Some(announced)) = (&self.disk, &announced) {
                disk.withdraw(announced);
            }
        }
        if let (Some(disk), Some(announced)) = (&self.disk, announced) {
            disk.write_behind(announced, object);
        }
    }

    /// What it could not take.
    pub(crate) fn too_large(&self) -> Arc<TooLarge> {
        Arc::clone(&self.too_large)
    }

    /// Whether responses of this key were too large to be stored when they came last.
    pub(crate) fn is_too_large(&self, primary: &HashBinary) -> bool {
        self.too_large.has(primary)
    }

    /// Whether a response is too large: its length says so, or it has none and the last one was.
    pub(crate) fn takes_not(&self, primary: HashBinary, length: Option<u64>) -> bool {
        let Some(length) = length else { return self.too_large.has(&primary) };
        let large = length > self.object_bytes_max();
        if large {
            self.too_large.add(primary);
        } else {
            self.too_large.forget(&primary);
        }
        large
    }

    async fn find(&self, key: HashBinary) -> Option<(CacheMeta, HitHandler)> {
        if let Some(filling) = self.filling_of(&key, None) {
            return Some(filling_hit(filling));
        }
        if let Some(object) = self.objects.get(&key) {
            return Some(hit(&object));
        }
        self.lookup_disk(self.disk.as_ref()?, key).await
    }

    async fn lookup_disk(&self, disk: &Arc<Disk>, key: HashBinary) -> Option<(CacheMeta, HitHandler)> {
        let entry = disk.find(&key)?;
        if entry.length > PROMOTED_BYTES_MAX.min(self.object_bytes_max) {
            let (meta, reader) = disk.open_object(key, entry).await?;
            return Some((meta.restore(), Box::new(reader)));
        }
        let promotion = Arc::clone(self.promoting.lock().entry(key).or_default());
        let object = promotion.get_or_init(|| self.promote(disk, key, entry)).await.clone();
        let mut promoting = self.promoting.lock();
        if promoting.get(&key).is_some_and(|current| Arc::ptr_eq(current, &promotion)) {
            promoting.remove(&key);
        }
        Some(hit(&*object?))
    }

    /// Brings an object from disk to memory.
    async fn promote(&self, disk: &Arc<Disk>, key: HashBinary, entry: Entry) -> Option<Arc<Object>> {
        let object = Arc::new(disk.load(key, entry).await?);
        let place = object.place();
        self.places.add(place, key);
        let promoted = self.objects.entry(key).and_compute_with(|there| match there {
            Some(_) => Op::Nop,
            None => Op::Put(Arc::clone(&object)),
        });
        // A purge, a newer response or header may have come since it was read.
        let current = disk.is_current(&key, &entry) && self.places.contains(place, &key);
        if matches!(promoted, CompResult::Inserted(_)) && !current {
            self.objects.invalidate(&key);
        }
        Some(object)
    }

    /// Gives what is stored a new header, if it is what that header was made of.
    async fn update(&self, key: HashBinary, stored: &StoredMeta) -> bool {
        let refreshed = self.objects.entry(key).and_compute_with(|there| match there {
            // Another response may have come since the one that was asked about: its body is not this header's.
            Some(there) if there.value().meta().stored() == stored.stored() => {
                Op::Put(Arc::new(there.into_value().with_meta(stored.clone())))
            }
            _ => Op::Nop,
        });
        let on_disk = match &self.disk {
            Some(disk) => disk.update(key, stored.clone()).await,
            None => false,
        };
        self.changes.add(&key);
        on_disk || matches!(refreshed, CompResult::ReplacedWith(_))
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

fn hit(object: &Object) -> (CacheMeta, HitHandler) {
    (object.meta().restore(), Box::new(ObjectReader::new(object.body())))
}

fn filling_hit(filling: Arc<Filling>) -> (CacheMeta, HitHandler) {
    (filling.meta().restore(), Box::new(FillingReader::new(filling)))
}

#[async_trait]
impl Storage for Store {
    async fn lookup(&'static self, key: &CacheKey, _: &SpanHandle) -> Result<Option<(CacheMeta, HitHandler)>> {
        let look = self.changes.look(&key.combined_bin());
        let found = match PartOf::of(key) {
            Some(of) => self.find_part(key, of).await,
            None => self.find(key.combined_bin()).await,
        };
        Changes::looked(look);
        Ok(found)
    }

    async fn lookup_streaming_write(
        &'static self,
        _: &CacheKey,
        tag: Option<&[u8]>,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let filling = tag.and_then(Tag::read).and_then(|tag| self.filling_of(&tag.key, Some(tag.write)));
        Ok(filling.map(filling_hit))
    }

    async fn get_miss_handler(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<MissHandler> {
        let (kept_at, primary) = self.keeps_at(key, meta);
        let write = self.last_write.fetch_add(1, Ordering::Relaxed);
        let mut stored = StoredMeta::of(meta);
        stored.mark(Stored { at: SystemTime::now(), write });
        let Some(place) = stored.take_place() else {
            return Error::e_explain(ErrorType::InternalError, "a response to store names no place");
        };
        let filling = Arc::new(Filling::new(write, place, stored));
        self.filling.lock().entry(kept_at).or_default().push(Arc::clone(&filling));
        self.changes.add(&key.combined_bin());
        self.changes.add(&kept_at);
        Ok(Box::new(Writer::new(self, Tag { write, key: kept_at }, primary, filling)))
    }

    async fn purge(&'static self, target: PurgeTarget<'_>, _: PurgeType, _: &SpanHandle) -> Result<PurgeOutcome> {
        let key = target.key().combined_bin();
        let was_filling = self.filling.lock().remove(&key).is_some();
        let on_disk = self.disk.as_ref().and_then(|disk| Some((disk, disk.forget(&key)?)));
        let was_stored = self.objects.remove(&key).is_some() || on_disk.is_some();
        if let Some((disk, removed)) = on_disk {
            disk.remove(vec![removed]).await;
        }
        Ok(if was_filling || was_stored { PurgeOutcome::Purged(None) } else { PurgeOutcome::NotFound })
    }

    async fn update_meta(&'static self, key: &CacheKey, meta: &CacheMeta, _: &SpanHandle) -> Result<bool> {
        let mut stored = StoredMeta::of(meta);
        stored.take_place();
        let mut updated = false;
        for key in self.found_at(key) {
            updated |= self.update(key, &stored).await;
        }
        Ok(updated)
    }

    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// A larger object on disk is not brought to memory: what is asked for of it is read there.
const PROMOTED_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
