//! A complete response: its header and times, and its body in one piece.

use crate::cache::key::PlaceKey;
use async_trait::async_trait;
use bytes::Bytes;
use http::Extensions;
use http::header::CONTENT_LENGTH;
use pingora::cache::key::HashBinary;
use pingora::cache::storage::{HandleHit, Storage};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{CacheKey, CacheMeta};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use std::any::Any;
use std::time::SystemTime;

/// When a response was stored, and by which write: what tells it from others of its
/// key. Pingora carries it from a stored response to the one that a 304 refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) at: SystemTime,
    pub(crate) write: u64,
}

/// What Pingora's `CacheMeta` holds, in a form that a hit copies instead of parsing.
#[derive(Clone, Debug)]
pub(super) struct StoredMeta {
    pub(super) fresh_until: SystemTime,
    /// When the first of its variants came; those of before it are void.
    pub(super) provenance: SystemTime,
    /// When it was new: `Age` counts from here.
    pub(super) epoch: SystemTime,
    pub(super) stale_while_revalidate_sec: u32,
    pub(super) stale_if_error_sec: u32,
    pub(super) header: ResponseHeader,
    pub(super) variance: Option<HashBinary>,
    pub(super) extensions: Extensions,
}

impl StoredMeta {
    pub(super) fn of(meta: &CacheMeta) -> StoredMeta {
        StoredMeta {
            fresh_until: meta.fresh_until(),
            provenance: meta.provenance(),
            epoch: meta.epoch(),
            stale_while_revalidate_sec: meta.stale_while_revalidate_sec(),
            stale_if_error_sec: meta.stale_if_error_sec(),
            header: with_room(meta),
            variance: meta.variance(),
            extensions: meta.extensions().clone(),
        }
    }

    /// Says which one this is.
    pub(super) fn mark(&mut self, stored: Stored) {
        self.extensions.insert(stored);
    }

    pub(super) fn stored(&self) -> Option<Stored> {
        self.extensions.get().copied()
    }

    /// The place, which the meta of a response to store brings along.
    pub(super) fn take_place(&mut self) -> Option<PlaceKey> {
        let place = self.extensions.remove();
        if self.extensions.is_empty() {
            // An emptied map still costs each hit a copy.
            self.extensions = Extensions::new();
        }
        place
    }

    pub(super) fn restore(&self) -> CacheMeta {
        let mut meta = CacheMeta::new(
            self.fresh_until,
            self.provenance,
            self.stale_while_revalidate_sec,
            self.stale_if_error_sec,
            self.header.clone(),
        );
        meta.set_epoch_override(self.epoch);
        if let Some(variance) = self.variance {
            meta.set_variance(variance);
        }
        *meta.extensions_mut() = self.extensions.clone();
        meta
    }

    /// The same with the length of a body that came without one.
    pub(super) fn with_length(&self, length: u64) -> StoredMeta {
        let mut meta = self.clone();
        let has_none = matches!(meta.header.status.as_u16(), 204 | 304);
        if !has_none && !meta.header.headers.contains_key(CONTENT_LENGTH) {
            meta.header.insert_header(CONTENT_LENGTH, length).expect("a number is a valid header value");
        }
        meta
    }

    /// The length that the origin announced.
    pub(super) fn length(&self) -> Option<u64> {
        self.header.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn bytes(&self) -> usize {
        self.header.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE_OVERHEAD).sum()
    }
}

/// The header in maps with room for what answers get besides, so that no hit makes them larger.
fn with_room(meta: &CacheMeta) -> ResponseHeader {
    let header = meta.response_header();
    let copy = || -> Result<ResponseHeader> {
        let mut roomy = ResponseHeader::build(header.status, Some(header.headers.len() + LINES_ADDED))?;
        roomy.set_version(header.version);
        roomy.set_reason_phrase(header.get_reason_phrase())?;
        for (name, value) in header.case_header_iter() {
            roomy.append_header(name.clone(), value.clone())?;
        }
        Ok(roomy)
    };
    // One that keeps no case has no lines to walk through in their case.
    if header.has_case() { copy().unwrap_or_else(|_| header.clone()) } else { header.clone() }
}

/// One cached response.
#[derive(Debug)]
pub(super) struct Object {
    place: PlaceKey,
    meta: StoredMeta,
    body: Bytes,
}

impl Object {
    pub(super) fn new(place: PlaceKey, meta: StoredMeta, body: Bytes) -> Object {
        Object { place, meta, body }
    }

    pub(super) fn place(&self) -> PlaceKey {
        self.place
    }

    pub(super) fn meta(&self) -> &StoredMeta {
        &self.meta
    }

    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The same body with another header.
    pub(super) fn with_meta(&self, meta: StoredMeta) -> Object {
        Object { place: self.place, meta, body: self.body.clone() }
    }

    /// Bytes it takes from the cache's capacity.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.body.len() + self.meta.bytes() + OBJECT_OVERHEAD).unwrap_or(u32::MAX)
    }
}

/// Reads a complete body, or a range of it.
pub(super) struct ObjectReader {
    whole: Bytes,
    unread: Option<Bytes>,
}

impl ObjectReader {
    pub(super) fn new(body: Bytes) -> ObjectReader {
        let unread = Some(body.clone()).filter(|body| !body.is_empty());
        ObjectReader { whole: body, unread }
    }
}

#[async_trait]
impl HandleHit for ObjectReader {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        Ok(self.unread.take())
    }

    async fn finish(self: Box<Self>, _: &'static (dyn Storage + Sync), _: &CacheKey, _: &SpanHandle) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let length = self.whole.len();
        let end = end.unwrap_or(length).min(length);
        if start >= end {
            let reason = format!("range {start}..{end} is outside a body of {length} bytes");
            return Error::e_explain(ErrorType::InternalError, reason);
        }
        self.unread = Some(self.whole.slice(start..end));
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// Lines an answer has more than what is stored, at most.
const LINES_ADDED: usize = 8;
/// Bytes an object takes besides its body and header lines.
const OBJECT_OVERHEAD: usize = 512;
/// Bytes a header line takes besides its text.
const LINE_OVERHEAD: usize = 48;
