//! The cache's second tier: a directory of one process, bounded in bytes, that
//! survives restarts. A crash may lose objects of it and never makes it lie: all
//! that is read is held against checksums. docs/decisions has the why.
//!
//! [`index`] knows what is there, [`files`] writes and removes, [`scan`] reads the
//! directory at start. Only the store above calls this.

mod blocks;
mod files;
mod health;
mod index;
mod names;
mod reader;
mod record;
mod scan;
mod writer;

use super::object::{Object, StoredMeta};
use crate::cache::key::PlaceKey;
use deployment::CacheDisk;
use files::Room;
use health::Health;
use index::Index;
use names::Layout;
use parking_lot::Mutex;
use pingora::cache::key::HashBinary;
use record::{Body, Record};
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

pub(super) use blocks::{BLOCK, BodyFile, ReadError};
pub(super) use index::{Above, Entry, Removed};
pub(super) use reader::{BlockReader, DiskReader};
pub(super) use writer::BodyWriter;

/// Why there is no disk tier.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cache_disk.directory {} is in use by another process; each needs its own", directory.display())]
    InUse { directory: PathBuf },
    #[error("cache_disk.directory {}: {source}", directory.display())]
    Unusable { directory: PathBuf, source: io::Error },
}

/// The disk tier.
pub(super) struct Disk {
    layout: Layout,
    index: Index,
    health: Health,
    /// Files of one key change one after the other.
    locks: [Mutex<()>; KEY_LOCKS],
    /// File operations that may run at one time.
    turns: Arc<Semaphore>,
    /// KiB of objects that wait to be written behind.
    behind: Arc<Semaphore>,
    object_bytes_max: u64,
    /// Held for as long as the process lives.
    _lock: File,
}

impl Disk {
    /// Takes the directory and begins to read it. Until that is done nothing is found in
    /// it and nothing is written.
    pub(super) fn open(config: &CacheDisk, above: Above) -> Result<Arc<Disk>, DiskError> {
        let directory = || config.directory.clone();
        let unusable = |source| DiskError::Unusable { directory: directory(), source };
        let layout = Layout::new(&config.directory);
        // What is cached may be for a few: nobody else on the machine reads it.
        let private = DirBuilder::new().recursive(true).mode(0o700).create(&config.directory);
        private.map_err(unusable)?;
        let lock = File::create(layout.lock()).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DiskError::InUse { directory: directory() },
            TryLockError::Error(source) => unusable(source),
        })?;
        layout.create_folders().map_err(unusable)?;
        let disk = Arc::new(Disk {
            layout,
            index: Index::new(config.bytes, above),
            health: Health::default(),
            locks: std::array::from_fn(|_| Mutex::default()),
            turns: Arc::new(Semaphore::new(FILE_OPERATIONS_MAX)),
            behind: Arc::new(Semaphore::new(BEHIND_KIB_MAX)),
            object_bytes_max: config.object_bytes_max,
            _lock: lock,
        });
        let scanned = Arc::clone(&disk);
        std::thread::Builder::new().name("cache-scan".into()).spawn(move || scanned.scan()).map_err(unusable)?;
        Ok(disk)
    }

    /// The largest body that is kept, bytes.
    pub(super) fn object_bytes_max(&self) -> u64 {
        self.object_bytes_max
    }

    /// How many objects are on disk, and the bytes that their files take.
    pub(super) fn size(&self) -> (u64, u64) {
        let (objects, bytes) = self.index.size();
        (objects as u64, bytes)
    }

    /// The object of this key, which counts as used.
    pub(super) fn find(&self, key: &HashBinary) -> Option<Entry> {
        self.index.find(key)
    }

    /// Whether the object is still this one.
    pub(super) fn is_current(&self, key: &HashBinary, entry: &Entry) -> bool {
        self.index.peek(key).is_some_and(|current| current.version == entry.version)
    }

    /// Reads an object whole. One that is damaged is dropped.
    pub(super) async fn load(self: &Arc<Self>, key: HashBinary, entry: Entry) -> Option<Object> {
        let whole = move |disk: &Disk| {
            let record = disk.read_record(&key)?;
            let body = match record.body {
                Body::Here(body) => body,
                Body::File { number, length } => {
                    let file = disk.open_body(&key, number)?.checked(length)?;
                    file.read(0..length.div_ceil(BLOCK), length)?
                }
            };
            Ok(Object::new(record.place, record.meta, body))
        };
        self.read(key, entry, whole).await
    }

    /// Opens an object to be read in parts. One that is damaged is dropped.
    pub(super) async fn open_object(
        self: &Arc<Self>,
        key: HashBinary,
        entry: Entry,
    ) -> Option<(StoredMeta, DiskReader)> {
        let open = move |disk: &Disk| {
            let record = disk.read_record(&key)?;
            let Body::File { number, length } = record.body else {
                return Err(ReadError::Length { found: 0, expected: entry.length });
            };
            Ok((record.meta, disk.open_body(&key, number)?.checked(length)?, length))
        };
        let (meta, file, length) = self.read(key, entry, open).await?;
        Some((meta, DiskReader::new(Arc::clone(self), (key, entry), file, length)))
    }

    /// Begins an object with a body of unknown length; `None` when it cannot be kept.
    pub(super) async fn begin(self: &Arc<Self>, key: HashBinary, place: PlaceKey) -> Option<BodyWriter> {
        if !self.health.may_write() {
            return None;
        }
        let number = files::new_number();
        let begin = move |disk: &Arc<Disk>| {
            let expected = disk.index.expect(key, place, number);
            expected.then(|| BodyWriter::create(disk, key, place, number)).transpose()
        };
        self.run(begin).await.inspect_err(|error| self.write_failed(error)).ok().flatten()
    }

    /// Announces an object that memory holds now, in place of what the disk has of it. It is
    /// to be written by [`Disk::write_behind`], unless a purge comes first.
    pub(super) fn announce(&self, key: HashBinary, place: PlaceKey) -> Announced {
        let replaced = self.index.forget(&key);
        let write = files::new_number();
        self.index.expect(key, place, write);
        Announced { key, write, replaced }
    }

    /// Takes an announcement back.
    pub(super) fn withdraw(&self, announced: &Announced) {
        self.index.unexpect(&announced.key, announced.write);
    }

    /// Writes an announced object without keeping anyone waiting. It stays in memory alone
    /// when it is fresh too briefly, or the disk has too much to write already.
    pub(super) fn write_behind(self: &Arc<Self>, announced: Announced, object: Arc<Object>) {
        let kib = (object.body().len().div_ceil(1024) + 1).min(BEHIND_KIB_MAX);
        let lasts = object.meta().fresh_until > SystemTime::now() + FRESH_MIN;
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.behind).try_acquire_many_owned(kib).ok();
        let permit = permit.filter(|_| lasts && self.health.may_write());
        let disk = Arc::clone(self);
        tokio::spawn(async move {
            if permit.is_some() && disk.index.expects(&announced.key, announced.write) {
                disk.write_object(&announced, &object).await;
            }
            disk.withdraw(&announced);
            if let Some(replaced) = announced.replaced {
                disk.remove(vec![replaced]).await;
            }
            drop(permit);
        });
    }

    async fn write_object(self: &Arc<Self>, announced: &Announced, object: &Arc<Object>) {
        let (key, write, place) = (announced.key, announced.write, object.place());
        let (body, meta) = (object.body(), object.meta().clone());
        if body.len() as u64 > record::INLINE_MAX {
            match self.run(move |disk| BodyWriter::create(disk, key, place, write)).await {
                Ok(mut writer) => {
                    if let Ok(()) = writer.append(vec![body]).await {
                        writer.finish(meta).await;
                    }
                }
                Err(error) => self.write_failed(&error),
            }
            return;
        }
        let record = Record { key, place, meta, body: Body::Here(body) };
        if let Err(error) = self.run(move |disk| disk.commit(&record, write, Room::none(disk))).await {
            self.write_failed(&error);
        }
    }

    /// Writes a new header for an object; `false` when the disk does not have it.
    pub(super) async fn update(self: &Arc<Self>, key: HashBinary, meta: StoredMeta) -> bool {
        let Some(entry) = self.index.peek(&key) else { return false };
        let updated = self.run(move |disk| disk.rewrite(key, entry, meta)).await;
        updated.inspect_err(|error| self.write_failed(error)).unwrap_or_default()
    }

    /// Drops an object; it is not found any more. Its files are for [`Disk::remove`].
    pub(super) fn forget(&self, key: &HashBinary) -> Option<Removed> {
        self.index.forget(key)
    }

    /// Drops all objects of a place. They are not found any more; their files are for [`Disk::purge`].
    pub(super) fn forget_place(&self, place: PlaceKey) -> Purge {
        let (removed, opening) = self.index.forget_place(place);
        Purge { removed, unread: opening.then_some(place) }
    }

    /// Removes files; a crash of the machine right after may bring them back.
    pub(super) async fn remove(self: &Arc<Self>, removed: Vec<Removed>) {
        if !removed.is_empty() {
            let delete = move |disk: &Arc<Disk>| {
                disk.delete(&removed);
                Ok(())
            };
            // It fails only when the process ends; then the next start finds leftovers.
            let _ = self.run(delete).await;
        }
    }

    /// Removes files for good: when this returns, not even a crash brings them back.
    pub(super) async fn purge(self: &Arc<Self>, purge: Purge) {
        if purge.removed.is_empty() && purge.unread.is_none() {
            return;
        }
        if let Err(error) = self.run(move |disk| disk.delete_for_good(&purge)).await {
            tracing::error!("a purge may not outlive a crash in {}: {error}", self.layout.root().display());
        }
    }

    /// Drops an object that turned out to be damaged.
    async fn discard(self: &Arc<Self>, key: HashBinary, entry: &Entry, error: &ReadError) {
        if let Some(removed) = self.index.forget_version(&key, entry.version) {
            tracing::warn!("a cached object in {} is dropped: {error}", self.layout.root().display());
            self.remove(vec![removed]).await;
        }
    }

    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        key: HashBinary,
        entry: Entry,
        read: impl FnOnce(&Disk) -> Result<T, ReadError> + Send + 'static,
    ) -> Option<T> {
        let result = self.run(move |disk| Ok(read(disk))).await;
        match result.unwrap_or_else(|error| Err(error.into())) {
            Ok(read) => Some(read),
            Err(error) => {
                self.discard(key, &entry, &error).await;
                None
            }
        }
    }

    /// Runs file operations where they keep nobody from running.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(&Arc<Disk>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(io::Error::other)?;
        let disk = Arc::clone(self);
        let running = tokio::task::spawn_blocking(move || {
            let result = operation(&disk);
            drop(turn);
            result
        });
        running.await.map_err(io::Error::other)?
    }

    fn write_failed(&self, error: &io::Error) {
        // That all of the room is taken by objects that are being written is no fault of the disk.
        if error.kind() == io::ErrorKind::QuotaExceeded {
            tracing::debug!("an object is not kept on disk: {error}");
        } else {
            self.health.failed(self.layout.root(), error);
        }
    }
}

/// An object that is to be written.
pub(super) struct Announced {
    key: HashBinary,
    write: u64,
    replaced: Option<Removed>,
}

/// What a purge has to remove.
pub(super) struct Purge {
    removed: Vec<Removed>,
    /// The place, when the directory was not read yet and there may be more of it.
    unread: Option<PlaceKey>,
}

/// A disk that does not answer holds up no more threads than these.
const FILE_OPERATIONS_MAX: usize = 64;
/// Objects of 64 MiB together may wait to be written.
const BEHIND_KIB_MAX: usize = 64 * 1024;
const KEY_LOCKS: usize = 64;
/// What is stale sooner is not worth a write.
const FRESH_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
