//! A response on its way into the cache: one writer appends, any number of
//! readers follow from the beginning and wait for more. A large one goes to disk
//! as it comes; then memory holds only its newest part.

use super::disk::{BlockReader, BodyFile};
use super::object::StoredMeta;
use crate::cache::key::PlaceKey;
use crate::cache::part::Wanted;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pingora::cache::CacheKey;
use pingora::cache::storage::{HandleHit, Storage};
use pingora::cache::trace::SpanHandle;
use pingora::{Error, ErrorType, Result};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// A body being received.
pub(super) struct Filling {
    write: u64,
    place: PlaceKey,
    meta: StoredMeta,
    body: Mutex<Body>,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Body {
    /// What memory has, in order; each piece with the position of its first byte.
    pieces: VecDeque<(u64, Bytes)>,
    /// Bytes received.
    written: u64,
    /// The file that has the bytes before `on_disk`.
    file: Option<Arc<BodyFile>>,
    on_disk: u64,
    /// It is too large to be stored: what every reader has may go.
    only_unread: bool,
    /// The position of each reader.
    readers: Vec<Weak<AtomicU64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Bytes written so far.
    Open(u64),
    Complete(u64),
    Failed,
}

impl Filling {
    pub(super) fn new(write: u64, place: PlaceKey, meta: StoredMeta) -> Filling {
        Filling { write, place, meta, body: Mutex::default(), progress: watch::Sender::new(Progress::Open(0)) }
    }

    /// Which write this is, among those for one key.
    pub(super) fn write(&self) -> u64 {
        self.write
    }

    pub(super) fn place(&self) -> PlaceKey {
        self.place
    }

    pub(super) fn meta(&self) -> &StoredMeta {
        &self.meta
    }

    /// Appends to the body; `false` when too much waits for its readers.
    pub(super) fn push(&self, data: Bytes) -> bool {
        if data.is_empty() {
            return true;
        }
        let mut body = self.body.lock();
        let start = body.written;
        body.written += data.len() as u64;
        body.pieces.push_back((start, data));
        if body.only_unread {
            body.drop_read();
            if body.in_memory() > UNREAD_BYTES_MAX {
                return false;
            }
        }
        let written = body.written;
        drop(body);
        self.progress.send_replace(Progress::Open(written));
        true
    }

    /// Whether it takes a while until what is wanted has come.
    pub(super) fn is_far_from(&self, wanted: Wanted) -> bool {
        let first = match self.meta.length() {
            Some(whole) => wanted.within(whole).map(|(first, _)| first),
            None => wanted.first(),
        };
        first.is_some_and(|first| first > self.body.lock().written + NEAR_BYTES)
    }

    /// From now on what every reader has is dropped; the body is not stored.
    pub(super) fn keep_only_unread(&self) {
        self.body.lock().only_unread = true;
    }

    /// What the file does not have yet of the bytes before `end`.
    pub(super) fn not_on_disk(&self, end: u64) -> Vec<Bytes> {
        let body = self.body.lock();
        let mut position = body.on_disk;
        let mut pieces = Vec::new();
        while position < end
            && let Some(piece) = body.at(position)
        {
            let piece = piece.slice(..usize::try_from(end - position).unwrap_or(usize::MAX).min(piece.len()));
            position += piece.len() as u64;
            pieces.push(piece);
        }
        pieces
    }

    /// The file has all bytes before `end`: memory keeps the newest of them for those who follow closely.
    pub(super) fn is_on_disk(&self, file: Arc<BodyFile>, end: u64) {
        let mut body = self.body.lock();
        body.file = Some(file);
        body.on_disk = end;
        while body.in_memory() > FOLLOWED_BYTES
            && let Some((start, piece)) = body.pieces.front()
            && start + piece.len() as u64 <= end
        {
            body.pieces.pop_front();
        }
    }

    /// Ends the body; the whole of it, if memory has it.
    pub(super) fn complete(&self) -> Option<Bytes> {
        let body = self.body.lock();
        let whole = (!body.only_unread && body.file.is_none()).then(|| body.joined());
        let written = body.written;
        drop(body);
        self.progress.send_replace(Progress::Complete(written));
        whole
    }

    #[cfg(test)]
    pub(super) fn bytes_in_memory(&self) -> u64 {
        self.body.lock().in_memory()
    }

    pub(super) fn fail_unless_complete(&self) {
        self.progress.send_if_modified(|progress| {
            let open = matches!(progress, Progress::Open(_));
            if open {
                *progress = Progress::Failed;
            }
            open
        });
    }
}

impl Body {
    fn joined(&self) -> Bytes {
        if let [(_, only)] = self.pieces.as_slices().0
            && self.pieces.len() == 1
        {
            return only.clone();
        }
        let mut body = BytesMut::with_capacity(self.pieces.iter().map(|(_, piece)| piece.len()).sum());
        self.pieces.iter().for_each(|(_, piece)| body.extend_from_slice(piece));
        body.freeze()
    }

    /// Bytes that memory has.
    fn in_memory(&self) -> u64 {
        self.pieces.front().map_or(0, |(start, _)| self.written - start)
    }

    /// What memory has from a position to the end of a piece.
    fn at(&self, position: u64) -> Option<Bytes> {
        let after = self.pieces.partition_point(|(start, _)| *start <= position);
        let (start, piece) = self.pieces.get(after.checked_sub(1)?)?;
        let skipped = usize::try_from(position - start).ok()?;
        (skipped < piece.len()).then(|| piece.slice(skipped..))
    }

    fn drop_read(&mut self) {
        self.readers.retain(|reader| reader.strong_count() > 0);
        let positions = self.readers.iter().filter_map(Weak::upgrade);
        let slowest = positions.map(|position| position.load(Ordering::Acquire)).min().unwrap_or(self.written);
        // Who is still at what the file has finds it there.
        let read = slowest.max(self.on_disk);
        while let Some((start, piece)) = self.pieces.front()
            && start + piece.len() as u64 <= read
        {
            self.pieces.pop_front();
        }
    }
}

/// Reads a body, or ranges of it, while it is received.
pub(super) struct FillingReader {
    filling: Arc<Filling>,
    progress: watch::Receiver<Progress>,
    position: Arc<AtomicU64>,
    /// Where to end, if not with the body.
    end: Option<u64>,
    blocks: Option<BlockReader>,
}

/// Where the next bytes are.
enum Next {
    Memory(Bytes),
    File(Arc<BodyFile>, u64),
    NotYet,
    Dropped,
}

impl FillingReader {
    pub(super) fn new(filling: Arc<Filling>) -> FillingReader {
        let position = Arc::new(AtomicU64::new(0));
        filling.body.lock().readers.push(Arc::downgrade(&position));
        FillingReader { progress: filling.progress.subscribe(), filling, position, end: None, blocks: None }
    }

    fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    fn next(&self) -> Next {
        let body = self.filling.body.lock();
        let position = self.position();
        match (body.at(position), &body.file) {
            (Some(piece), _) => Next::Memory(piece),
            (None, Some(file)) if position < body.on_disk => Next::File(Arc::clone(file), body.on_disk),
            _ if position < body.written => Next::Dropped,
            _ => Next::NotYet,
        }
    }

    /// Moves on; what of the data is wanted.
    fn take(&self, mut data: Bytes) -> Bytes {
        let position = self.position();
        if let Some(end) = self.end {
            data.truncate(usize::try_from(end - position).unwrap_or(usize::MAX));
        }
        self.position.store(position + data.len() as u64, Ordering::Release);
        data
    }

    async fn read_file(&mut self, file: Arc<BodyFile>, on_disk: u64) -> Result<Bytes> {
        let wanted = self.position()..self.end.unwrap_or(on_disk).min(on_disk);
        let blocks = self.blocks.get_or_insert_with(|| BlockReader::new(file));
        let read = blocks.read(wanted, on_disk).await;
        read.map_err(|error| {
            Error::because(ErrorType::ReadError, "a response that fills cannot be read from disk", error)
        })
    }
}

#[async_trait]
impl HandleHit for FillingReader {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.end.is_some_and(|end| end <= self.position()) {
                return Ok(None);
            }
            let progress = *self.progress.borrow_and_update();
            match self.next() {
                Next::Memory(data) => return Ok(Some(self.take(data))),
                Next::File(file, on_disk) => {
                    let data = self.read_file(file, on_disk).await?;
                    return Ok(Some(self.take(data)));
                }
                Next::Dropped => return Error::e_explain(ErrorType::ReadError, "this part of the response is gone"),
                Next::NotYet => {}
            }
            match progress {
                Progress::Complete(written) if written <= self.position() => return Ok(None),
                Progress::Open(_) if self.progress.changed().await.is_ok() => {}
                _ => return Error::e_explain(ErrorType::ReadError, "the fetch that fills this response failed"),
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
        if end.is_some_and(|end| end <= start) {
            return Error::e_explain(ErrorType::InternalError, format!("range {start}..{end:?} is empty"));
        }
        self.position.store(start as u64, Ordering::Release);
        self.end = end.map(|end| end as u64);
        Ok(())
    }

    fn should_count_access(&self) -> bool {
        false
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Bytes that may be missing before what is wanted of a response on its way: more are not waited for.
const NEAR_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a response too large for the cache that may wait for its slowest reader.
const UNREAD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a response on its way to disk that memory keeps for the readers who follow closely.
const FOLLOWED_BYTES: u64 = 1024 * 1024;
