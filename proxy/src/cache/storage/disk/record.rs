//! An object's record: which object it is, its header and times, and its body if
//! that is small. Everything in it is under a checksum.

use crate::cache::CustomErrorPage;
use crate::cache::key::PlaceKey;
use crate::cache::storage::object::{Stored, StoredMeta};
use bytes::Bytes;
use http::{Extensions, HeaderValue};
use pingora::cache::key::HashBinary;
use pingora::http::{HeaderNameVariant, ResponseHeader};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// A larger body has a file of its own.
pub(in crate::cache::storage) const INLINE_MAX: u64 = 64 * 1024;

/// What is on disk of one object.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: HashBinary,
    pub(super) place: PlaceKey,
    pub(super) meta: StoredMeta,
    pub(super) body: Body,
}

/// Where the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Here(Bytes),
    File { number: u64, length: u64 },
}

/// What the start-up scan needs to know of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) key: HashBinary,
    pub(super) place: PlaceKey,
    pub(super) length: u64,
    pub(super) body: Option<u64>,
    /// Bytes that the whole record must have.
    pub(super) record_bytes: u64,
}

/// Why a record is no good.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("the record is not of this version of the cache, or not one")]
    Unknown,
    #[error("the record is cut short or has something behind it")]
    Length,
    #[error("the record does not match its checksum")]
    Damaged,
    #[error("the header cannot be written: {0}")]
    Unwritable(String),
}

/// The record's first part, of fixed size: magic, checksum of the rest of it and of
/// the described part, length of that, length of the body, number of the body's file
/// (0: the body is here), checksum of the body that is here.
const FIXED: usize = 36;
const MAGIC: &[u8; 8] = b"slvdg\0\0\x01";

#[derive(Serialize, Deserialize)]
struct Described {
    key: HashBinary,
    place: [u8; 16],
    fresh_until: SystemTime,
    provenance: SystemTime,
    epoch: SystemTime,
    stale_while_revalidate_sec: u32,
    stale_if_error_sec: u32,
    status: u16,
    reason: Option<String>,
    lines: Vec<(String, Vec<u8>)>,
    variance: Option<HashBinary>,
    custom_error_page: bool,
    /// When it was stored, and by which write.
    stored: Option<(SystemTime, u64)>,
}

impl Record {
    /// The record's bytes. A header that could not be read again is an error.
    pub(super) fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let unwritable = |error: &dyn std::fmt::Display| RecordError::Unwritable(error.to_string());
        let described = self.describe().map_err(|error| unwritable(&error))?;
        let described = rmp_serde::to_vec(&described).map_err(|error| unwritable(&error))?;
        let described_bytes = u32::try_from(described.len()).map_err(|error| unwritable(&error))?;
        let (here, length, number) = match &self.body {
            Body::Here(body) => (body.as_ref(), body.len() as u64, 0),
            Body::File { number, length } => (&[][..], *length, *number),
        };
        let mut bytes = Vec::with_capacity(FIXED + described.len() + here.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&described_bytes.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(here).to_le_bytes());
        bytes.extend_from_slice(&described);
        let checksum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(here);
        Ok(bytes)
    }

    /// Reads a whole record.
    pub(super) fn decode(bytes: &Bytes) -> Result<Record, RecordError> {
        let (described, fixed) = decode_head(bytes)?;
        let head = fixed.head(&described);
        if head.record_bytes != bytes.len() as u64 {
            return Err(RecordError::Length);
        }
        let body = match head.body {
            Some(number) => Body::File { number, length: head.length },
            None => {
                let body = bytes.slice(FIXED + fixed.described_bytes..);
                if crc32fast::hash(&body) != fixed.body_checksum {
                    return Err(RecordError::Damaged);
                }
                Body::Here(body)
            }
        };
        let meta = described.meta().map_err(|error| RecordError::Unwritable(error.to_string()))?;
        Ok(Record { key: head.key, place: head.place, meta, body })
    }

    fn describe(&self) -> pingora::Result<Described> {
        let meta = &self.meta;
        let mut lines = Vec::with_capacity(meta.header.headers.len());
        meta.header.map(|name, value| {
            let name = match name {
                HeaderNameVariant::Case(name) => String::from_utf8_lossy(name.as_slice()).into_owned(),
                HeaderNameVariant::Titled(name) => name.to_owned(),
            };
            // Pingora takes bytes from an origin that cannot be made a value again.
            let readable = HeaderValue::from_bytes(value.as_bytes()).is_ok();
            lines.push((name, value.as_bytes().to_vec()));
            if readable { Ok(()) } else { Err(pingora::Error::new_str("a value has control characters")) }
        })?;
        Ok(Described {
            key: self.key,
            place: self.place.bytes(),
            fresh_until: meta.fresh_until,
            provenance: meta.provenance,
            epoch: meta.epoch,
            stale_while_revalidate_sec: meta.stale_while_revalidate_sec,
            stale_if_error_sec: meta.stale_if_error_sec,
            status: meta.header.status.as_u16(),
            reason: meta.header.get_reason_phrase().map(ToOwned::to_owned),
            lines,
            variance: meta.variance,
            custom_error_page: meta.extensions.get::<CustomErrorPage>().is_some(),
            stored: meta.stored().map(|Stored { at, write }| (at, write)),
        })
    }
}

impl Described {
    fn meta(self) -> pingora::Result<StoredMeta> {
        let mut header = ResponseHeader::build(self.status, Some(self.lines.len()))?;
        header.set_reason_phrase(self.reason.as_deref())?;
        for (name, value) in self.lines {
            header.append_header(name, value)?;
        }
        let mut extensions = Extensions::new();
        if self.custom_error_page {
            extensions.insert(CustomErrorPage);
        }
        if let Some((at, write)) = self.stored {
            extensions.insert(Stored { at, write });
        }
        Ok(StoredMeta {
            fresh_until: self.fresh_until,
            provenance: self.provenance,
            epoch: self.epoch,
            stale_while_revalidate_sec: self.stale_while_revalidate_sec,
            stale_if_error_sec: self.stale_if_error_sec,
            header,
            variance: self.variance,
            extensions,
        })
    }
}

struct Fixed {
    described_bytes: usize,
    length: u64,
    number: u64,
    body_checksum: u32,
}

impl Fixed {
    fn head(&self, described: &Described) -> Head {
        let here = if self.number == 0 { self.length } else { 0 };
        Head {
            key: described.key,
            place: PlaceKey::of(described.place),
            length: self.length,
            body: (self.number != 0).then_some(self.number),
            record_bytes: (FIXED + self.described_bytes) as u64 + here,
        }
    }
}

/// Reads a record's beginning; `Err(needed)` when it needs more bytes than these.
pub(super) fn head(bytes: &[u8]) -> Result<Result<Head, usize>, RecordError> {
    let needed = FIXED + fixed(bytes)?.described_bytes;
    if bytes.len() < needed {
        return Ok(Err(needed));
    }
    let (described, fixed) = decode_head(bytes)?;
    Ok(Ok(fixed.head(&described)))
}

fn decode_head(bytes: &[u8]) -> Result<(Described, Fixed), RecordError> {
    let fixed = fixed(bytes)?;
    let end = FIXED + fixed.described_bytes;
    let checked = bytes.get(12..end).ok_or(RecordError::Length)?;
    if Some(crc32fast::hash(checked)) != number(bytes, 8) {
        return Err(RecordError::Damaged);
    }
    let described = rmp_serde::from_slice(&bytes[FIXED..end]).map_err(|_| RecordError::Unknown)?;
    Ok((described, fixed))
}

fn fixed(bytes: &[u8]) -> Result<Fixed, RecordError> {
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(RecordError::Unknown);
    }
    let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let read = || {
        let described_bytes = usize::try_from(number(bytes, 12)?).ok()?;
        Some(Fixed { described_bytes, length: long(16)?, number: long(24)?, body_checksum: number(bytes, 32)? })
    };
    read().ok_or(RecordError::Length)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn record(body: Body) -> Record {
        let mut header = ResponseHeader::build(404, None).unwrap();
        header.set_reason_phrase(Some("Nothing Here")).unwrap();
        header.append_header("ETag", "\"1\"").unwrap();
        header.append_header("set-cookie", "a=1").unwrap();
        header.append_header("set-cookie", HeaderValue::from_bytes(b"b=\xff").unwrap()).unwrap();
        let now = SystemTime::now();
        let mut extensions = Extensions::new();
        extensions.insert(CustomErrorPage);
        extensions.insert(Stored { at: now, write: 7 });
        let meta = StoredMeta {
            fresh_until: now + Duration::from_secs(60),
            provenance: now,
            epoch: now - Duration::from_secs(7),
            stale_while_revalidate_sec: 5,
            stale_if_error_sec: 6,
            header,
            variance: Some([9; 16]),
            extensions,
        };
        Record { key: [1; 16], place: PlaceKey::of([2; 16]), meta, body }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for body in [Body::Here(Bytes::from_static(b"body")), Body::File { number: 3, length: 1 << 40 }] {
            let written = record(body);
            let bytes = Bytes::from(written.encode().unwrap());
            let read = Record::decode(&bytes).unwrap();
            assert_eq!((read.key, read.place, &read.body), (written.key, written.place, &written.body));
            let (ours, theirs) = (&read.meta, &written.meta);
            assert_eq!(
                (ours.fresh_until, ours.provenance, ours.epoch),
                (theirs.fresh_until, theirs.provenance, theirs.epoch)
            );
            assert_eq!(
                (ours.stale_while_revalidate_sec, ours.stale_if_error_sec, ours.variance),
                (5, 6, Some([9; 16]))
            );
            assert_eq!(
                (ours.header.status, ours.header.get_reason_phrase()),
                (theirs.header.status, Some("Nothing Here"))
            );
            assert_eq!(ours.header.headers, theirs.header.headers);
            assert!(ours.extensions.get::<CustomErrorPage>().is_some());
            assert_eq!(ours.stored(), theirs.stored());
            let mut wire = (Vec::new(), Vec::new());
            ours.header.header_to_h1_wire(&mut wire.0);
            theirs.header.header_to_h1_wire(&mut wire.1);
            assert_eq!(wire.0, wire.1, "names keep their case");
            let found = head(&bytes).unwrap().unwrap();
            assert_eq!((found.key, found.record_bytes), ([1; 16], bytes.len() as u64));
            let here = if found.body.is_none() { 4 } else { 0 };
            assert_eq!(head(&bytes[..40]).unwrap(), Err(bytes.len() - here));
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let bytes = record(Body::Here(Bytes::from_static(b"body"))).encode().unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Record::decode(&flipped.into()).is_err(), "byte {at}");
            assert!(Record::decode(&Bytes::copy_from_slice(&bytes[..at])).is_err(), "cut at {at}");
        }
        assert!(Record::decode(&[&bytes[..], b"x"].concat().into()).is_err());
    }

    #[test]
    fn a_header_that_could_not_be_read_again_is_not_written() {
        let mut record = record(Body::Here(Bytes::new()));
        let odd = pingora::http::header_value_from_slice(b"a\x01b");
        record.meta.header.insert_header("x-odd", odd).unwrap();
        assert!(matches!(record.encode(), Err(RecordError::Unwritable(_))));
    }
}
