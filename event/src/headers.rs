//! Header lines in order, with the case and the bytes of the wire, and which of
//! them functions may not see or may not change.

use super::EventType;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// One header line. A copy shares its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    /// As on the wire: case is kept.
    pub name: ByteString,
    /// As on the wire: not necessarily UTF-8.
    pub value: Bytes,
}

/// Header lines in wire order; a name may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    lines: Vec<HeaderLine>,
}

impl Headers {
    /// No lines.
    #[must_use]
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Lines off a wire, copied into one buffer. What is not UTF-8 in a name is replaced.
    #[must_use]
    pub fn copied<'a, I: Iterator<Item = (&'a [u8], &'a [u8])>>(lines: impl Fn() -> I) -> Headers {
        let (mut count, mut bytes) = (0, 0);
        lines().for_each(|(name, value)| (count, bytes) = (count + 1, bytes + name.len() + value.len()));
        let (mut buffer, mut copied) = (BytesMut::with_capacity(bytes), Vec::with_capacity(count));
        for (name, value) in lines() {
            buffer.extend_from_slice(name);
            let split = buffer.split().freeze();
            let name =
                ByteString::try_from(split).unwrap_or_else(|_| String::from_utf8_lossy(name).into_owned().into());
            buffer.extend_from_slice(value);
            copied.push(HeaderLine { name, value: buffer.split().freeze() });
        }
        Headers { lines: copied }
    }

    /// Appends one line.
    pub fn push(&mut self, name: impl Into<ByteString>, value: impl Into<Bytes>) {
        self.lines.push(HeaderLine { name: name.into(), value: value.into() });
    }

    /// Every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.lines.iter().map(|line| (&*line.name, &line.value))
    }

    /// The values of one name (any case), in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of one name (any case).
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Bytes> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a line has this name (any case).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Removes every line of this name (any case).
    pub fn remove(&mut self, name: &str) {
        self.lines.retain(|line| !line.name.eq_ignore_ascii_case(name));
    }

    /// Lines, counting repeats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of all names and values together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lines.iter().map(|line| line.name.len() + line.value.len()).sum()
    }

    /// The lines as `http` has them (names in lower case). Every result this
    /// module accepts fits; a line that `http` cannot hold is left out.
    #[must_use]
    pub fn to_header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_maybe_shared(value.clone());
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }

    /// Whether functions neither see nor may add this header
    /// (AWS: "Restrictions on all edge functions", disallowed headers).
    #[must_use]
    pub fn hidden(name: &str) -> bool {
        let first = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
        hidden_from(first).iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
            || first == b'x' && HIDDEN_PREFIXES.iter().any(|prefix| begins(name, prefix))
    }

    /// The headers a function left, and after them those of `original` that it never saw.
    #[must_use]
    pub fn merge_hidden(mut self, original: &Headers) -> Headers {
        self.lines.extend(original.lines.iter().filter(|line| Headers::hidden(&line.name)).cloned());
        self
    }

    /// What comes after the lines that a function saw of `sent`, if it left those as they were.
    #[must_use]
    pub fn added_to<'a>(&'a self, sent: &Headers) -> Option<&'a [HeaderLine]> {
        let mut left = self.lines.iter();
        let kept = sent.visible().all(|line| left.next() == Some(line));
        kept.then_some(left.as_slice())
    }

    /// The lines a function sees, and no others.
    #[must_use]
    pub fn without_hidden(mut self) -> Headers {
        self.lines.retain(|line| !Headers::hidden(&line.name));
        self
    }

    /// The lines a function sees.
    pub(super) fn visible(&self) -> impl Iterator<Item = &HeaderLine> {
        self.lines.iter().filter(|line| !Headers::hidden(&line.name))
    }

    /// Visible lines with those of one name together: names in the order of their first line, lines
    /// in wire order.
    pub(super) fn grouped(&self) -> Vec<&HeaderLine> {
        let lines: Vec<&HeaderLine> = self.visible().collect();
        if lines.len() <= COMPARED_MAX && !has_repeats(&lines) {
            return lines;
        }
        let mut lines: Vec<(usize, &HeaderLine)> = lines.into_iter().enumerate().collect();
        lines.sort_by(|(_, a), (_, b)| lower(&a.name).cmp(lower(&b.name)));
        // Every line takes the place of the first of its name; the sort below keeps their order.
        for index in 1..lines.len() {
            if lines[index].1.name.eq_ignore_ascii_case(&lines[index - 1].1.name) {
                lines[index].0 = lines[index - 1].0;
            }
        }
        lines.sort_by_key(|(first, _)| *first);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

fn has_repeats(lines: &[&HeaderLine]) -> bool {
    let repeats = |(index, line): (usize, &&HeaderLine)| {
        lines[..index].iter().any(|before| before.name.eq_ignore_ascii_case(&line.name))
    };
    lines.iter().enumerate().any(repeats)
}

/// Wire bytes as a function sees them: UTF-8, or ISO-8859-1 transcoded to it.
pub(super) fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// The headers a function of this event sees but may not add, change or delete
/// (AWS: "Restrictions on all edge functions", read-only headers).
pub(super) fn read_only(event: EventType) -> &'static [&'static str] {
    match event {
        EventType::ViewerRequest => &["cdn-loop", "content-length", "host", "transfer-encoding", "via"],
        EventType::OriginRequest => &[
            "accept-encoding",
            "cdn-loop",
            "content-length",
            "if-modified-since",
            "if-none-match",
            "if-range",
            "if-unmodified-since",
            "transfer-encoding",
            "via",
        ],
        EventType::OriginResponse => &["transfer-encoding", "via"],
        EventType::ViewerResponse => &["content-encoding", "content-length", "transfer-encoding", "via", "warning"],
    }
}

/// For comparisons without regard to case.
pub(super) fn lower(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

impl FromIterator<HeaderLine> for Headers {
    fn from_iter<I: IntoIterator<Item = HeaderLine>>(lines: I) -> Headers {
        Headers { lines: lines.into_iter().collect() }
    }
}

impl<N: Into<ByteString>, V: Into<Bytes>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Headers {
        let lines = lines.into_iter().map(|(name, value)| HeaderLine { name: name.into(), value: value.into() });
        Headers { lines: lines.collect() }
    }
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Headers {
        Headers::copied(|| map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
    }
}

impl IntoIterator for Headers {
    type Item = HeaderLine;
    type IntoIter = std::vec::IntoIter<HeaderLine>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.into_iter()
    }
}

/// The hidden names that begin with a letter: every line of every event is looked up here.
fn hidden_from(first: u8) -> &'static [&'static str] {
    match first {
        b'c' => &["client-cert", "client-cert-chain", "cloudfront-viewer-cert-pem", "connection"],
        b'e' => &["expect"],
        b'k' => &["keep-alive"],
        b'p' => &["proxy-authenticate", "proxy-authorization", "proxy-connection"],
        b't' => &["trailer"],
        b'u' => &["upgrade"],
        b'x' => &[
            "x-accel-buffering",
            "x-accel-charset",
            "x-accel-limit-rate",
            "x-accel-redirect",
            "x-amzn-auth",
            "x-amzn-cf-billing",
            "x-amzn-cf-id",
            "x-amzn-cf-xff",
            "x-amzn-errortype",
            "x-amzn-fle-profile",
            "x-amzn-header-count",
            "x-amzn-header-order",
            "x-amzn-lambda-integration-tag",
            "x-amzn-requestid",
            "x-cache",
            "x-forwarded-proto",
            "x-real-ip",
        ],
        _ => &[],
    }
}

fn begins(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// So few lines are compared with each other sooner than sorted.
const COMPARED_MAX: usize = 32;

const HIDDEN_PREFIXES: [&str; 2] = ["x-amz-cf-", "x-edge-"];
