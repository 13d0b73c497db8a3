//! Fills one object: in memory, or on disk once it is too large for that. Beyond
//! what either takes it is handed to those who wait for it and not kept.

use super::Store;
use super::disk::{BLOCK, BodyWriter};
use super::filling::Filling;
use super::object::Object;
use crate::cache::part::Part;
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora::cache::key::HashBinary;
use pingora::cache::storage::{HandleMiss, MissFinishType};
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;

/// Where a response is on its way to, and by which write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    pub(super) write: u64,
    pub(super) key: HashBinary,
}

impl Tag {
    fn bytes(self) -> [u8; TAG_BYTES] {
        let mut bytes = [0; TAG_BYTES];
        bytes[..8].copy_from_slice(&self.write.to_be_bytes());
        bytes[8..].copy_from_slice(&self.key);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Tag> {
        let (write, key) = bytes.split_first_chunk()?;
        Some(Tag { write: u64::from_be_bytes(*write), key: key.try_into().ok()? })
    }
}

const TAG_BYTES: usize = 8 + size_of::<HashBinary>();

/// The writer of one response. Dropped before [`HandleMiss::finish`], the response has failed.
pub(super) struct Writer {
    store: &'static Store,
    key: HashBinary,
    /// Of the key that was asked for, in whatever variant.
    primary: HashBinary,
    filling: Arc<Filling>,
    tag: [u8; TAG_BYTES],
    bytes: u64,
    kept: Kept,
}

/// Where the response is to stay.
enum Kept {
    Memory,
    Disk(Box<BodyWriter>),
    Nowhere,
}

impl Writer {
    pub(super) fn new(store: &'static Store, tag: Tag, primary: HashBinary, filling: Arc<Filling>) -> Writer {
        Writer { store, key: tag.key, primary, tag: tag.bytes(), filling, bytes: 0, kept: Kept::Memory }
    }

    /// Moves on to disk what memory does not take, or gives up keeping it.
    async fn place(&mut self) {
        let announced = self.filling.meta().length().unwrap_or_default();
        if matches!(self.kept, Kept::Memory) && self.bytes.max(announced) > self.store.object_bytes_max {
            self.kept = match &self.store.disk {
                Some(disk) => disk.begin(self.key, self.filling.place()).await.map_or(Kept::Nowhere, Kept::disk),
                None => Kept::Nowhere,
            };
            if matches!(self.kept, Kept::Nowhere) {
                self.give_up();
            }
        }
        let most = self.store.object_bytes_max();
        if matches!(self.kept, Kept::Disk(_)) && self.bytes > most {
            self.give_up();
        }
    }

    /// Writes what the disk lacks of the bytes before `end`.
    async fn write_to_disk(&mut self, end: u64) {
        let Kept::Disk(writer) = &mut self.kept else { return };
        let pieces = self.filling.not_on_disk(end);
        if pieces.is_empty() {
            return;
        }
        if writer.append(pieces).await.is_ok() {
            self.filling.is_on_disk(writer.file(), end);
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        if self.bytes > self.store.object_bytes_max() {
            // Its length was not said. The next one is not to come this far.
            self.store.too_large.add(self.primary);
        }
        // Nobody else may join a body whose beginning is about to go.
        self.store.forget_filling(&self.key, self.filling.write());
        self.filling.keep_only_unread();
        self.kept = Kept::Nowhere;
    }
}

impl Kept {
    fn disk(writer: BodyWriter) -> Kept {
        Kept::Disk(Box::new(writer))
    }
}

#[async_trait]
impl HandleMiss for Writer {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        self.bytes += data.len() as u64;
        self.place().await;
        if !self.filling.push(data) {
            return Error::e_explain(ErrorType::InternalError, "response of unknown length outran its reader");
        }
        let whole_blocks = self.bytes - self.bytes % BLOCK;
        self.write_to_disk(whole_blocks).await;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        self.write_to_disk(self.bytes).await;
        let whole = self.filling.complete();
        let meta = self.filling.meta().with_length(self.bytes);
        if meta.header.status == StatusCode::PARTIAL_CONTENT && Part::of(&meta.header.headers).is_none() {
            // It is not as long as the part that it says it is.
            self.kept = Kept::Nowhere;
        }
        match (std::mem::replace(&mut self.kept, Kept::Nowhere), whole) {
            (Kept::Memory, Some(body)) => {
                let object = Arc::new(Object::new(self.filling.place(), meta, body));
                self.store.keep(self.key, &self.filling, object);
            }
            (Kept::Disk(writer), _) => {
                // A purge while it was filling took it out of the table: do not bring it back.
                let wanted = self.store.filling_of(&self.key, Some(self.filling.write())).is_some();
                if wanted && writer.finish(meta).await {
                    // Memory may have what came before it.
                    self.store.objects.invalidate(&self.key);
                }
            }
            _ => {}
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
