//! An HTTP/1 viewer's byte stream, above TLS, that puts the origin's `Date` back:
//! Pingora writes the time of day over it in the moment it writes a header, so that a
//! stored response with `Expires` would look younger than its `Age` says.
//! docs/decisions/0004 has the why.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use pingora::protocols::GetProxyDigest as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::one_request::OneRequest;
use crate::connection::Connection;

/// A stream whose outgoing headers get the date that their request left at the connection.
#[derive(Debug)]
pub(super) struct DatedStream {
    pub(super) stream: OneRequest,
    /// What is written in place of the bytes that Pingora has for as many.
    head: Bytes,
}

impl DatedStream {
    pub(super) fn new(stream: OneRequest) -> DatedStream {
        DatedStream { stream, head: Bytes::new() }
    }

    /// Takes a date that was left for the header that begins here.
    fn date(&mut self, bytes: &[u8]) {
        if !self.head.is_empty() || !bytes.starts_with(b"HTTP/1.") {
            return;
        }
        let digest = self.stream.get_proxy_digest();
        let date = digest.as_deref().and_then(Connection::of_digest).and_then(Connection::take_date);
        if let Some(head) = date.and_then(|date| with_date(bytes, date.as_bytes())) {
            self.head = head;
        }
    }
}

/// The header with another date, which takes as many bytes.
fn with_date(bytes: &[u8], date: &[u8]) -> Option<Bytes> {
    let mut value = None;
    for at in memchr_iter(b'\r', bytes) {
        let rest = &bytes[at..];
        if rest.starts_with(END) {
            let (value, head) = (value?, &bytes[..at + END.len() / 2]);
            let length = memchr(b'\r', &head[value..])?;
            return (length == date.len()).then(|| replaced(head, value, date));
        }
        if value.is_none() && rest.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            value = Some(at + NAME.len());
        }
    }
    None
}

fn replaced(head: &[u8], value: usize, date: &[u8]) -> Bytes {
    let mut dated = BytesMut::from(head);
    dated[value..value + date.len()].copy_from_slice(date);
    dated.freeze()
}

/// Of the last line, and the empty one.
const END: &[u8] = b"\r\n\r\n";
const NAME: &[u8] = b"\r\ndate: ";

impl AsyncRead for DatedStream {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, into)
    }
}

impl AsyncWrite for DatedStream {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.date(bytes);
        if self.head.is_empty() {
            return Pin::new(&mut self.stream).poll_write(ctx, bytes);
        }
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.stream).poll_write(ctx, &this.head))?;
        this.head.advance(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
        self.date(first);
        if self.head.is_empty() {
            return Pin::new(&mut self.stream).poll_write_vectored(ctx, slices);
        }
        self.poll_write(ctx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

crate::guard::passed_on::passes_on!(DatedStream);

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn a_date_takes_the_place_of_one_as_long() {
        let head = b"HTTP/1.1 200 OK\r\nx-date: a\r\nDate: Wed, 25 Nov 2026 17:05:53 GMT\r\nage: 3\r\n\r\n";
        let dated = with_date(head, OLD).unwrap();
        assert_eq!(&dated[..], b"HTTP/1.1 200 OK\r\nx-date: a\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nage: 3\r\n");
        assert_eq!(with_date(head, b"yesterday"), None);
    }

    #[test]
    fn what_is_behind_the_header_is_not_looked_at() {
        let head = b"HTTP/1.1 200 OK\r\nage: 3\r\n\r\n\r\ndate: Wed, 25 Nov 2026 17:05:53 GMT\r\n\r\n";
        assert_eq!(with_date(head, OLD), None);
        assert_eq!(with_date(b"HTTP/1.1 200 OK\r\ndate: Wed, 25", OLD), None);
    }

    #[test]
    fn a_header_that_is_cut_anywhere_keeps_its_date() {
        let head = b"HTTP/1.1 200 OK\r\nage: 3\r\nDATE: Wed, 25 Nov 2026 17:05:53 GMT\r\ndate: a\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(with_date(&head[..cut], OLD), None, "cut at {cut}");
        }
        let dated = with_date(head, OLD).unwrap();
        assert_eq!(&dated[..], b"HTTP/1.1 200 OK\r\nage: 3\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\ndate: a\r\n");
    }

    #[test]
    fn the_first_date_alone_counts() {
        let head = b"HTTP/1.1 200 OK\r\ndate: a\r\ndate: Wed, 25 Nov 2026 17:05:53 GMT\r\n\r\n";
        assert_eq!(with_date(head, OLD), None);
        let lone = b"HTTP/1.1 200 OK\r\rdate: a\r\nx: \r\ndate: b\rc\r\n\r\n";
        assert_eq!(&with_date(lone, b"d").unwrap()[..], b"HTTP/1.1 200 OK\r\rdate: a\r\nx: \r\ndate: d\rc\r\n");
    }
}
