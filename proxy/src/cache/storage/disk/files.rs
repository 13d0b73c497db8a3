//! What is done to files, each step on the caller's thread: records take their
//! place by renaming, what goes is removed, purges are made to last.

use super::blocks::{BodyFile, ReadError, stored_length};
use super::record::{Body, Record};
use super::{Disk, Entry, KEY_LOCKS, Purge, Removed};
use crate::cache::storage::object::StoredMeta;
use parking_lot::MutexGuard;
use pingora::cache::key::HashBinary;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

/// A number for a record or body: none that any process used before, as far as chance goes.
pub(super) fn new_number() -> u64 {
    rand::random_range(1..=u64::MAX)
}

/// Bytes that a file of this length takes, in blocks of the file system.
pub(super) fn in_blocks(length: u64) -> u64 {
    length.next_multiple_of(FILE_BLOCK)
}

/// Room taken for what is being written; given back when dropped.
pub(super) struct Room {
    disk: Arc<Disk>,
    bytes: u64,
}

impl Room {
    pub(super) fn none(disk: &Arc<Disk>) -> Room {
        Room { disk: Arc::clone(disk), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn join(&mut self, mut other: Room) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.disk.index.release(self.bytes);
    }
}

impl Disk {
    pub(super) fn read_record(&self, key: &HashBinary) -> Result<Record, ReadError> {
        let bytes = fs::read(self.layout.record(key))?;
        let record = Record::decode(&bytes.into()).map_err(io::Error::other)?;
        if record.key == *key { Ok(record) } else { Err(io::Error::other("the record is another object's").into()) }
    }

    pub(super) fn open_body(&self, key: &HashBinary, number: u64) -> Result<BodyFile, ReadError> {
        let file = File::open(self.layout.body(key, number))?;
        Ok(BodyFile::new(file, number, Arc::clone(&self.turns)))
    }

    pub(super) fn create_body(&self, key: &HashBinary, number: u64) -> io::Result<BodyFile> {
        let path = self.layout.body(key, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(BodyFile::new(file, number, Arc::clone(&self.turns)))
    }

    /// Makes room, removing what has to go.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> io::Result<Room> {
        let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "cache_disk.size is taken by objects being written");
        let removed = self.index.reserve(bytes).ok_or_else(full)?;
        self.delete(&removed);
        Ok(Room { disk: Arc::clone(self), bytes })
    }

    /// Makes an announced object one that is found, if it is still wanted. Its body is in `room`.
    pub(super) fn commit(self: &Arc<Self>, record: &Record, write: u64, mut room: Room) -> io::Result<bool> {
        let (encoded, record_room) = self.encode(record)?;
        room.join(record_room);
        let key = record.key;
        let _alone = self.lock(&key);
        if !self.index.expects(&key, write) {
            return Ok(false);
        }
        self.write_record(&key, write, &encoded)?;
        let (length, body) = match &record.body {
            Body::Here(body) => (body.len() as u64, None),
            Body::File { number, length } => (*length, Some(*number)),
        };
        let entry = Entry { place: record.place, version: write, body, length, bytes: room.bytes };
        let Ok(replaced) = self.index.commit(key, entry) else {
            // A purge came in between.
            remove(&self.layout.record(&key));
            return Ok(false);
        };
        room.bytes = 0;
        if let Some(old) = replaced.and_then(|replaced| replaced.body) {
            remove(&self.layout.body(&key, old));
        }
        self.health.worked(self.layout.root());
        Ok(true)
    }

    fn encode(self: &Arc<Self>, record: &Record) -> io::Result<(Vec<u8>, Room)> {
        // A header that cannot be written is no fault of the disk: the object stays in memory.
        let encoded = record.encode().map_err(|error| io::Error::new(io::ErrorKind::QuotaExceeded, error))?;
        let room = self.reserve(in_blocks(encoded.len() as u64))?;
        Ok((encoded, room))
    }

    /// Writes an object's record again with another header.
    pub(super) fn rewrite(self: &Arc<Self>, key: HashBinary, entry: Entry, meta: StoredMeta) -> io::Result<bool> {
        let old = self.read_record(&key).map_err(io::Error::other)?;
        // Another response may have come since the one that was asked about: its body is not this header's.
        if old.meta.stored() != meta.stored() {
            return Ok(false);
        }
        let (encoded, room) = self.encode(&Record { meta, ..old })?;
        let body_bytes = entry.body.map_or(0, |_| in_blocks(stored_length(entry.length)));
        let version = new_number();
        let newer = Entry { version, bytes: body_bytes + room.bytes, ..entry };
        let _alone = self.lock(&key);
        if self.index.peek(&key) != Some(entry) {
            return Ok(false);
        }
        self.write_record(&key, version, &encoded)?;
        let current = self.index.refresh(&key, entry.version, newer);
        if !current {
            // A purge came in between.
            remove(&self.layout.record(&key));
        }
        Ok(current)
    }

    /// A record is whole under its name or not there at all.
    fn write_record(&self, key: &HashBinary, write: u64, encoded: &[u8]) -> io::Result<()> {
        let unfinished = self.layout.unfinished(key, write);
        let written = fs::write(&unfinished, encoded).and_then(|()| fs::rename(&unfinished, self.layout.record(key)));
        if written.is_err() {
            remove(&unfinished);
        }
        written
    }

    /// Removes the files of objects that are not in the index any more.
    pub(super) fn delete(&self, removed: &[Removed]) {
        for Removed { key, body } in removed {
            let _alone = self.lock(key);
            let current = self.index.peek(key);
            if current.is_none() {
                remove(&self.layout.record(key));
            }
            if let Some(body) = body
                && current.is_none_or(|current| current.body != Some(*body))
            {
                remove(&self.layout.body(key, *body));
            }
        }
    }

    /// Removes files so that a crash of the machine does not bring them back.
    pub(super) fn delete_for_good(&self, purge: &Purge) -> io::Result<()> {
        self.delete(&purge.removed);
        let folders: BTreeSet<u8> = purge.removed.iter().map(|removed| removed.key[0]).collect();
        if let Some(place) = purge.unread {
            let mut noted = OpenOptions::new().append(true).create(true).open(self.layout.purged())?;
            noted.write_all(&place.bytes())?;
            noted.sync_all()?;
            File::open(self.layout.root())?.sync_all()?;
        }
        folders.into_iter().try_for_each(|first| File::open(self.layout.folder(first))?.sync_all())
    }

    pub(super) fn lock(&self, key: &HashBinary) -> MutexGuard<'_, ()> {
        self.locks[usize::from(key[0]) % KEY_LOCKS].lock()
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::error!("cached object {} cannot be removed: {error}", path.display());
    }
}

const FILE_BLOCK: u64 = 4096;
