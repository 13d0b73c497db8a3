//! Reads a body from its file, a few blocks at a time and no more than is asked
//! for. What does not match its checksum ends the response; the object is dropped.

use super::blocks::{BLOCK, BodyFile, ReadError};
use super::{Disk, Entry};
use async_trait::async_trait;
use bytes::Bytes;
use pingora::cache::CacheKey;
use pingora::cache::key::HashBinary;
use pingora::cache::storage::{HandleHit, Storage};
use pingora::cache::trace::SpanHandle;
use pingora::{Error, ErrorType, Result};
use std::any::Any;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Reads blocks without holding up the thread that asks.
pub(in crate::cache::storage) struct BlockReader {
    file: Arc<BodyFile>,
    /// A read that its caller did not wait for, by where it begins.
    running: Option<(u64, JoinHandle<Result<Bytes, ReadError>>)>,
}

impl BlockReader {
    pub(in crate::cache::storage) fn new(file: Arc<BodyFile>) -> BlockReader {
        BlockReader { file, running: None }
    }

    /// The first bytes of `wanted`, of a body that has `length` bytes so far. May be
    /// dropped and called again.
    pub(in crate::cache::storage) async fn read(
        &mut self,
        wanted: Range<u64>,
        length: u64,
    ) -> Result<Bytes, ReadError> {
        let first = wanted.start / BLOCK;
        let running = match &mut self.running {
            Some((start, running)) if *start == wanted.start => running,
            _ => {
                let blocks = first..wanted.end.div_ceil(BLOCK).min(first + BLOCKS_AT_ONCE);
                let file = Arc::clone(&self.file);
                let turn = Arc::clone(&file.turns).acquire_owned().await.map_err(io::Error::other)?;
                let running = tokio::task::spawn_blocking(move || {
                    let read = file.read(blocks, length);
                    drop(turn);
                    read
                });
                &mut self.running.insert((wanted.start, running)).1
            }
        };
        let read = running.await;
        self.running = None;
        let data = read.map_err(io::Error::other)??;
        let start = within(wanted.start - first * BLOCK, &data);
        let end = within(wanted.end - first * BLOCK, &data);
        Ok(data.slice(start..end))
    }
}

fn within(position: u64, data: &Bytes) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX).min(data.len())
}

/// Reads a complete body, or ranges of it.
pub(in crate::cache::storage) struct DiskReader {
    disk: Arc<Disk>,
    object: (HashBinary, Entry),
    blocks: BlockReader,
    unread: Range<u64>,
    length: u64,
}

impl DiskReader {
    pub(super) fn new(disk: Arc<Disk>, object: (HashBinary, Entry), file: BodyFile, length: u64) -> DiskReader {
        DiskReader { disk, object, blocks: BlockReader::new(Arc::new(file)), unread: 0..length, length }
    }
}

#[async_trait]
impl HandleHit for DiskReader {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.unread.is_empty() {
            return Ok(None);
        }
        match self.blocks.read(self.unread.clone(), self.length).await {
            Ok(data) => {
                self.unread.start += data.len() as u64;
                Ok(Some(data))
            }
            Err(error) => {
                let (key, entry) = &self.object;
                self.disk.discard(*key, entry, &error).await;
                Error::e_because(ErrorType::ReadError, "a cached response cannot be read from disk", error)
            }
        }
    }

    async fn finish(self: Box<Self>, _: &'static (dyn Storage + Sync), _: &CacheKey, _: &SpanHandle) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let range = start as u64..end.map_or(self.length, |end| (end as u64).min(self.length));
        if range.is_empty() {
            let reason = format!("range {range:?} is outside a body of {} bytes", self.length);
            return Error::e_explain(ErrorType::InternalError, reason);
        }
        self.unread = range;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Blocks of one read: 256 KiB of memory for each viewer.
const BLOCKS_AT_ONCE: u64 = 4;
