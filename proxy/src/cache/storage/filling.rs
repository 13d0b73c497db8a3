//! A response on its way into the cache: one writer appends, any number of
//! readers follow from the beginning and wait for more.

use super::object::StoredMeta;
use crate::cache::key::PlaceKey;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use pingora::cache::CacheKey;
use pingora::cache::storage::{HandleHit, Storage};
use pingora::cache::trace::SpanHandle;
use pingora::{Error, ErrorType, Result};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// A body being received.
pub(super) struct Filling {
    write: u64,
    place: PlaceKey,
    meta: StoredMeta,
    chunks: Mutex<Chunks>,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Chunks {
    kept: VecDeque<Bytes>,
    /// Chunks dropped from the front, once the body is too large to be stored.
    dropped: usize,
    /// Whether the body can still be stored whole.
    partial: bool,
    readers: Vec<Weak<AtomicUsize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Chunks written so far.
    Open(usize),
    Complete(usize),
    Failed,
}

impl Filling {
    pub(super) fn new(write: u64, place: PlaceKey, meta: StoredMeta) -> Filling {
        Filling { write, place, meta, chunks: Mutex::default(), progress: watch::Sender::new(Progress::Open(0)) }
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
        let mut chunks = self.chunks.lock();
        chunks.kept.push_back(data);
        if chunks.partial {
            chunks.drop_read();
            if chunks.kept.iter().map(Bytes::len).sum::<usize>() > UNREAD_BYTES_MAX {
                return false;
            }
        }
        let written = chunks.dropped + chunks.kept.len();
        drop(chunks);
        self.progress.send_replace(Progress::Open(written));
        true
    }

    /// From now on chunks that every reader has are dropped; the body is not stored.
    pub(super) fn keep_only_unread(&self) {
        self.chunks.lock().partial = true;
    }

    /// Ends the body; the whole of it, unless it is too large to be stored.
    pub(super) fn complete(&self) -> Option<Bytes> {
        let chunks = self.chunks.lock();
        let written = chunks.dropped + chunks.kept.len();
        let body = (!chunks.partial).then(|| chunks.joined());
        drop(chunks);
        self.progress.send_replace(Progress::Complete(written));
        body
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

impl Chunks {
    fn joined(&self) -> Bytes {
        if let [only] = self.kept.as_slices().0
            && self.kept.len() == 1
        {
            return only.clone();
        }
        let mut body = BytesMut::with_capacity(self.kept.iter().map(Bytes::len).sum());
        self.kept.iter().for_each(|chunk| body.extend_from_slice(chunk));
        body.freeze()
    }

    fn drop_read(&mut self) {
        self.readers.retain(|reader| reader.strong_count() > 0);
        let positions = self.readers.iter().filter_map(Weak::upgrade);
        let written = self.dropped + self.kept.len();
        let read = positions.map(|position| position.load(Ordering::Acquire)).min().unwrap_or(written);
        while self.dropped < read && self.kept.pop_front().is_some() {
            self.dropped += 1;
        }
    }
}

/// Reads a body while it is received.
pub(super) struct FillingReader {
    filling: Arc<Filling>,
    progress: watch::Receiver<Progress>,
    /// Chunks read.
    position: Arc<AtomicUsize>,
}

impl FillingReader {
    pub(super) fn new(filling: Arc<Filling>) -> FillingReader {
        let position = Arc::new(AtomicUsize::new(0));
        filling.chunks.lock().readers.push(Arc::downgrade(&position));
        FillingReader { progress: filling.progress.subscribe(), filling, position }
    }

    fn next_chunk(&self) -> Option<Bytes> {
        let chunks = self.filling.chunks.lock();
        let position = self.position.load(Ordering::Acquire);
        let chunk = chunks.kept.get(position.checked_sub(chunks.dropped)?)?.clone();
        self.position.store(position + 1, Ordering::Release);
        Some(chunk)
    }
}

#[async_trait]
impl HandleHit for FillingReader {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        loop {
            let progress = *self.progress.borrow_and_update();
            if let Some(chunk) = self.next_chunk() {
                return Ok(Some(chunk));
            }
            match progress {
                Progress::Complete(written) if written == self.position.load(Ordering::Acquire) => return Ok(None),
                Progress::Open(_) if self.progress.changed().await.is_ok() => {}
                _ => return Error::e_explain(ErrorType::ReadError, "the fetch that fills this response failed"),
            }
        }
    }

    async fn finish(self: Box<Self>, _: &'static (dyn Storage + Sync), _: &CacheKey, _: &SpanHandle) -> Result<()> {
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

/// Bytes of a response too large for the cache that may wait for its slowest reader.
const UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;
