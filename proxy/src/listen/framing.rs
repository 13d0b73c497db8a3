//! What the header of a request says of the bytes behind it (RFC 9112 6.3): how long its
//! body is, and whether it asks for another protocol. What is wrong in a header is
//! Pingora's to refuse.

use memchr::{memchr, memchr_iter};
use std::iter;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Bytes(u64),
    Chunked,
}

/// What one header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) body: BodyLength,
    /// Whether nobody could read the length otherwise. Behind such a request alone may another one follow.
    pub(super) certain: bool,
    pub(super) upgrade: bool,
}

impl Framing {
    /// Of a whole header.
    pub(super) fn of(header: &[u8]) -> Framing {
        let mut framing = Framing { body: BodyLength::Bytes(0), certain: true, upgrade: false };
        let mut lengths = 0;
        for (name, value) in fields(header) {
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                framing.body = BodyLength::Chunked;
                framing.certain &= value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                lengths += 1;
            } else if name.eq_ignore_ascii_case(b"content-length") {
                if framing.body != BodyLength::Chunked {
                    framing.body = BodyLength::Bytes(length(value));
                }
                framing.certain &= value.trim_ascii().iter().all(u8::is_ascii_digit);
                lengths += 1;
            } else if name.eq_ignore_ascii_case(b"upgrade") {
                framing.upgrade = true;
            }
        }
        framing.certain &= lengths <= 1;
        framing
    }
}

/// Names and values, as they are, of the lines behind the first.
/// They may end with a bare LF, as Pingora's parser accepts.
fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut from = 0;
    let ends = memchr_iter(b'\n', header).chain(iter::once(header.len()));
    let lines = ends.map(move |end| &header[std::mem::replace(&mut from, end + 1)..end]);
    lines.skip(1).filter_map(|line| {
        let colon = memchr(b':', line)?;
        Some((&line[..colon], &line[colon + 1..]))
    })
}

/// Several lengths are the same one, or the request is refused.
fn length(value: &[u8]) -> u64 {
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
    std::str::from_utf8(first).ok().and_then(|digits| digits.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &str) -> (BodyLength, bool) {
        let framing = Framing::of(format!("POST /:1 HTTP/1.1\r\nhost: a\r\n{lines}\r\n").as_bytes());
        (framing.body, framing.upgrade)
    }

    #[test]
    fn a_body_is_as_long_as_its_header_says() {
        for (lines, body) in [
            ("", BodyLength::Bytes(0)),
            ("Content-Length: 17\r\n", BodyLength::Bytes(17)),
            ("content-length:5, 5\n", BodyLength::Bytes(5)),
            ("x-content-length: 5\r\n", BodyLength::Bytes(0)),
            ("content-length: 5\r\nTransfer-Encoding: chunked\r\n", BodyLength::Chunked),
            ("transfer-encoding: gzip, chunked\r\ncontent-length: 5\r\n", BodyLength::Chunked),
            ("content-length: five\r\n", BodyLength::Bytes(0)),
        ] {
            assert_eq!(of(lines), (body, false), "{lines:?}");
        }
        assert_eq!(of("Upgrade: websocket\r\n"), (BodyLength::Bytes(0), true));
    }

    #[test]
    fn fields_are_the_lines_behind_the_first_that_have_a_colon() {
        let of = |header: &'static str| {
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            fields(header.as_bytes()).map(|(name, value)| (text(name), text(value))).collect::<Vec<_>>()
        };
        assert_eq!(of("a: b"), []);
        assert_eq!(of("a: b\n\nc:d:e\r\nnone\r\n:\n\r\n"), [("c", "d:e\r"), ("", "")]);
        assert_eq!(of("\na:b\nc:d"), [("a", "b"), ("c", "d")]);
    }

    #[test]
    fn what_others_may_read_otherwise_is_not_certain() {
        for (lines, certain) in [
            ("", true),
            ("content-length: 5\r\n", true),
            ("transfer-encoding: Chunked \r\n", true),
            ("content-length: 5\r\ncontent-length: 5\r\n", false),
            ("content-length: 5, 5\r\n", false),
            ("content-length: +5\r\n", false),
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", false),
            ("transfer-encoding: gzip, chunked\r\n", false),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", false),
        ] {
            let header = format!("POST / HTTP/1.1\r\n{lines}\r\n");
            assert_eq!(Framing::of(header.as_bytes()).certain, certain, "{lines:?}");
        }
    }
}
