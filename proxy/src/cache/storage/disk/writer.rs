//! A large object on its way to disk: its body is written as it comes, its record
//! last. Dropped before that, nothing of it stays.

use super::blocks::{BLOCK, BodyFile, stored_length};
use super::files::{Room, in_blocks};
use super::record::{Body, Record};
use super::{Disk, Removed};
use crate::cache::key::PlaceKey;
use crate::cache::storage::object::StoredMeta;
use bytes::Bytes;
use pingora::cache::key::HashBinary;
use std::io;
use std::sync::Arc;

/// Writes one object.
pub(in crate::cache::storage) struct BodyWriter {
    disk: Arc<Disk>,
    key: HashBinary,
    place: PlaceKey,
    number: u64,
    file: Arc<BodyFile>,
    length: u64,
    room: Room,
    kept: bool,
}

impl BodyWriter {
    /// Creates the body's file, for an object that the index expects as `number`.
    pub(super) fn create(disk: &Arc<Disk>, key: HashBinary, place: PlaceKey, number: u64) -> io::Result<BodyWriter> {
        let created = disk.create_body(&key, number).inspect_err(|_| disk.index.unexpect(&key, number));
        let (file, room, disk) = (Arc::new(created?), Room::none(disk), Arc::clone(disk));
        Ok(BodyWriter { disk, key, place, number, file, length: 0, room, kept: false })
    }

    /// The file, which may be read while it grows.
    pub(in crate::cache::storage) fn file(&self) -> Arc<BodyFile> {
        Arc::clone(&self.file)
    }

    /// Appends whole blocks, or the body's last one with them.
    ///
    /// # Errors
    /// The disk is full or broken, or the bound would be passed. The log knows why.
    pub(in crate::cache::storage) async fn append(&mut self, data: Vec<Bytes>) -> io::Result<()> {
        let (first, size) = (self.length / BLOCK, data.iter().map(|piece| piece.len() as u64).sum::<u64>());
        let needed = in_blocks(stored_length(self.length + size)) - self.room.bytes();
        let file = self.file();
        let write = self.disk.run(move |disk| {
            let room = disk.reserve(needed)?;
            file.write(first, &data)?;
            Ok(room)
        });
        self.room.join(write.await.inspect_err(|error| self.disk.write_failed(error))?);
        self.length += size;
        Ok(())
    }

    /// Makes the object one that is found; `false` when it is not kept after all.
    pub(in crate::cache::storage) async fn finish(mut self, meta: StoredMeta) -> bool {
        let write = self.number;
        let room = std::mem::replace(&mut self.room, Room::none(&self.disk));
        let body = Body::File { number: self.number, length: self.length };
        let record = Record { key: self.key, place: self.place, meta, body };
        let committed = self.disk.run(move |disk| disk.commit(&record, write, room)).await;
        self.kept = committed.inspect_err(|error| self.disk.write_failed(error)).unwrap_or_default();
        self.kept
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (disk, key, number) = (Arc::clone(&self.disk), self.key, self.number);
        let room = std::mem::replace(&mut self.room, Room::none(&self.disk));
        disk.index.unexpect(&key, number);
        let remove = move || {
            disk.delete(&[Removed { key, body: Some(number) }]);
            drop(room);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
