//! Parts of responses: which one a request asks for, and which one a response is
//! (RFC 9110 14). What is fetched in parts is kept in parts; a request for a part is
//! answered from the whole where that is stored, else from a stored part that has all
//! of it. Nothing is put together from several. Pure.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use pingora::cache::CacheKey;
use pingora::cache::key::{CacheHashKey, HashBinary};
use std::fmt;

/// One range of bytes that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// From the first to the last of them, counted from 0.
    Between(u64, u64),
    /// All but so many at the beginning; at least one, or it is the whole.
    From(u64),
    /// So many at the end.
    Last(u64),
}

impl Wanted {
    /// What a request asks for, if that is one range and not everything.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Wanted> {
        let mut lines = headers.get_all(RANGE).iter();
        let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
        let (unit, range) = line.split_once('=')?;
        let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => number(last).filter(|last| *last > 0).map(Wanted::Last),
            (first, "") => number(first).filter(|first| *first > 0).map(Wanted::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Wanted::Between(first, last))
            }
        }
    }

    /// The first and the last byte of a representation of so many; `None` when it has none of them.
    pub(crate) fn within(self, whole: u64) -> Option<(u64, u64)> {
        let end = whole.checked_sub(1)?;
        let (first, last) = match self {
            Wanted::Between(first, last) => (first, last.min(end)),
            Wanted::From(first) => (first, end),
            Wanted::Last(length) => (whole.saturating_sub(length), end),
        };
        (first <= last).then_some((first, last))
    }

    /// The first byte, where that is known without the length of the whole.
    pub(crate) fn first(self) -> Option<u64> {
        match self {
            Wanted::Between(first, _) | Wanted::From(first) => Some(first),
            Wanted::Last(_) => None,
        }
    }
}

/// As a `Range` header has it.
impl fmt::Display for Wanted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Between(first, last) => write!(to, "bytes={first}-{last}"),
            Wanted::From(first) => write!(to, "bytes={first}-"),
            Wanted::Last(length) => write!(to, "bytes=-{length}"),
        }
    }
}

/// One part of a representation whose length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) whole: u64,
}

impl Part {
    /// What a response with status 206 says it is.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Part> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
        let (range, whole) = line.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let part = Part { first: number(first)?, last: number(last)?, whole: number(whole)? };
        let length = headers.get(CONTENT_LENGTH).map(|length| length.to_str().ok().and_then(number));
        let consistent = part.first <= part.last && part.last < part.whole;
        (consistent && length.is_none_or(|length| length == Some(part.length()))).then_some(part)
    }

    pub(crate) fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether all that is wanted of the whole is in this part.
    pub(crate) fn has(self, wanted: Wanted) -> bool {
        wanted.within(self.whole).is_some_and(|(first, last)| self.first <= first && last <= self.last)
    }
}

/// In the cache key of a request for a part: the whole that it is a part of.
#[derive(Clone, Debug)]
pub(crate) struct PartOf {
    pub(crate) wanted: Wanted,
    /// The representation that has to be the one (RFC 9110 13.1.5).
    if_range: Option<HeaderValue>,
    whole: HashBinary,
}

impl PartOf {
    /// Makes the key of the whole that of a part, where one is wanted that may be kept by itself.
    pub(crate) fn key(whole: CacheKey, method: &Method, headers: &HeaderMap) -> CacheKey {
        let if_range = headers.get(IF_RANGE);
        let weak = if_range.is_some_and(|validator| validator.as_bytes().starts_with(b"W/"));
        let Some(wanted) = Wanted::of(headers).filter(|_| method == Method::GET && !weak) else { return whole };
        // No other key ends like this: its parts have their lengths before them.
        let primary = [whole.primary_key(), wanted.to_string().as_bytes()].concat();
        let mut key = CacheKey::new(primary, "");
        key.extensions.insert(PartOf { wanted, if_range: if_range.cloned(), whole: whole.primary_bin() });
        key
    }

    /// The whole that a key names a part of.
    pub(crate) fn of(key: &CacheKey) -> Option<&PartOf> {
        key.extensions.get()
    }

    /// Where the whole is stored, in the variant that `key` names.
    pub(crate) fn whole(&self, key: &CacheKey) -> HashBinary {
        let mut whole = CacheKey::new(Vec::new(), "");
        whole.set_primary_bin_override(self.whole);
        if let Some(variance) = key.variance_bin() {
            whole.set_variance_key(variance);
        }
        whole.combined_bin()
    }

    /// The whole, in whatever variant.
    pub(crate) fn primary(&self) -> HashBinary {
        self.whole
    }

    /// Whether an answer with the whole says nothing of whether the origin gives parts.
    pub(crate) fn is_conditional(&self) -> bool {
        self.if_range.is_some()
    }

    /// Whether a part with these fields is of the representation that is asked for.
    pub(crate) fn is_of(&self, headers: &HeaderMap) -> bool {
        let Some(validator) = &self.if_range else { return true };
        let name = if validator.as_bytes().ends_with(b"\"") { ETAG } else { LAST_MODIFIED };
        headers.get(name) == Some(validator)
    }

    /// The lines that ask an origin for it.
    pub(crate) fn asks(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> + '_ {
        let if_range = self.if_range.iter().map(|validator| ("If-Range", validator.as_bytes().to_vec()));
        [("Range", self.wanted.to_string().into_bytes())].into_iter().chain(if_range)
    }
}

/// Digits alone: `str::parse` takes a sign, too.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(range: &str) -> Option<Wanted> {
        Wanted::of(&[(RANGE, HeaderValue::from_str(range).unwrap())].into_iter().collect())
    }

    fn part(range: &str, length: Option<&str>) -> Option<Part> {
        let mut headers: HeaderMap = [(CONTENT_RANGE, HeaderValue::from_str(range).unwrap())].into_iter().collect();
        length.map(|length| headers.insert(CONTENT_LENGTH, HeaderValue::from_str(length).unwrap()));
        Part::of(&headers)
    }

    #[test]
    fn one_range_that_is_not_everything_is_a_part() {
        for (range, expected) in [
            ("bytes=0-0", Some(Wanted::Between(0, 0))),
            ("Bytes= 2-4 ", Some(Wanted::Between(2, 4))),
            ("bytes=7-", Some(Wanted::From(7))),
            ("bytes=-2", Some(Wanted::Last(2))),
            ("bytes=0-", None),
            ("bytes=-0", None),
            ("bytes=4-2", None),
            ("bytes=0-1,4-5", None),
            ("bytes=+1-2", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("lines=1-2", None),
            ("bytes=1-99999999999999999999999", None),
        ] {
            assert_eq!(wanted(range), expected, "{range}");
        }
        let twice = [(RANGE, HeaderValue::from_static("bytes=1-2")), (RANGE, HeaderValue::from_static("bytes=3-4"))];
        let mut headers = HeaderMap::new();
        for (name, value) in twice {
            headers.append(name, value);
        }
        assert_eq!(Wanted::of(&headers), None);
    }

    #[test]
    fn a_part_is_what_a_response_says_consistently() {
        let expected = Some(Part { first: 2, last: 4, whole: 10 });
        assert_eq!(part("bytes 2-4/10", None), expected);
        assert_eq!(part("bytes 2-4/10", Some("3")), expected);
        for (range, length) in [
            ("bytes 2-4/10", Some("4")),
            ("bytes 4-2/10", None),
            ("bytes 2-10/10", None),
            ("bytes 2-4/*", None),
            ("bytes */10", None),
            ("lines 2-4/10", None),
            ("2-4/10", None),
        ] {
            assert_eq!(part(range, length), None, "{range} {length:?}");
        }
    }

    #[test]
    fn a_part_key_is_of_its_whole_and_of_nothing_else() {
        let headers = |lines: &[(http::HeaderName, &'static str)]| -> HeaderMap {
            lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let whole = || CacheKey::new("whole", "");
        let one = PartOf::key(whole(), &Method::GET, &headers(&[(RANGE, "bytes=1-2")]));
        let other = PartOf::key(whole(), &Method::GET, &headers(&[(RANGE, "bytes=1-3")]));
        assert_ne!(one.combined_bin(), other.combined_bin());
        assert_eq!(PartOf::of(&one).unwrap().whole(&one), whole().combined_bin());
        let mut varied = one.clone();
        varied.set_variance_key([7; 16]);
        assert_ne!(PartOf::of(&one).unwrap().whole(&varied), whole().combined_bin());
        let none = [(RANGE, "bytes=1-2"), (IF_RANGE, "W/\"e\"")];
        assert!(PartOf::of(&PartOf::key(whole(), &Method::GET, &headers(&none))).is_none());
        assert!(PartOf::of(&PartOf::key(whole(), &Method::HEAD, &headers(&[(RANGE, "bytes=1-2")]))).is_none());
        let strong = PartOf::key(whole(), &Method::GET, &headers(&[(RANGE, "bytes=1-2"), (IF_RANGE, "\"e\"")]));
        let of = PartOf::of(&strong).unwrap();
        assert!(of.is_of(&headers(&[(ETAG, "\"e\"")])) && !of.is_of(&headers(&[(ETAG, "\"f\"")])));
    }

    proptest! {
        /// A part has a range exactly when it has each byte of it.
        #[test]
        fn a_part_has_what_is_wanted_when_it_has_each_byte_of_it(
            first in 0u64..12, length in 1u64..12, more in 0u64..12, a in 0u64..20, b in 0u64..20, kind in 0..3,
        ) {
            let part = Part { first, last: first + length - 1, whole: first + length + more };
            let wanted = match kind {
                0 => Wanted::Between(a.min(b), a.max(b)),
                1 => Wanted::From(a),
                _ => Wanted::Last(a + 1),
            };
            let bytes: Vec<u64> = (0..part.whole).filter(|byte| match wanted {
                Wanted::Between(first, last) => (first..=last).contains(byte),
                Wanted::From(first) => *byte >= first,
                Wanted::Last(length) => *byte >= part.whole.saturating_sub(length),
            }).collect();
            let each = bytes.iter().all(|byte| (part.first..=part.last).contains(byte));
            prop_assert_eq!(part.has(wanted), each && !bytes.is_empty());
            prop_assert_eq!(wanted.within(part.whole), bytes.first().copied().zip(bytes.last().copied()));
        }

        #[test]
        fn a_range_is_read_as_it_is_written(first in 0u64.., last in 0u64..) {
            let range = Wanted::Between(first.min(last), first.max(last));
            prop_assert_eq!(wanted(&range.to_string()), Some(range));
        }
    }
}
