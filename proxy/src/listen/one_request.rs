//! A viewer's byte stream that gives out one request at a time. A viewer may send the
//! next ones without waiting for answers (RFC 9112 9.3.2); Pingora would drop what it
//! reads beyond a request, so that waits here until the answer is out.
//!
//! Where a request ends, this tells by itself. Should Pingora ever see that otherwise, the
//! connection is over with the answer: nothing is ever read as another request than here.

use bytes::{Buf as _, BytesMut};
use pingora::protocols::Stream;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::chunked::ChunkedEnd;
use super::framing::{BodyLength, Framing};

/// A stream between whose requests the next one waits.
#[derive(Debug)]
pub(super) struct OneRequest {
    stream: Stream,
    /// What the viewer sent that nobody has read yet.
    ahead: BytesMut,
    part: Part,
    /// Whether the request asks for another protocol and has no answer yet.
    upgrades: bool,
}

/// What of the bytes to come may be read.
#[derive(Debug)]
enum Part {
    /// A header, with whatever comes along.
    Header,
    /// So many bytes of the body.
    Bytes(u64),
    Chunks(ChunkedEnd),
    /// All there are: another protocol has the connection.
    Everything,
}

impl OneRequest {
    pub(super) fn new(stream: Stream) -> OneRequest {
        OneRequest { stream, ahead: BytesMut::new(), part: Part::Header, upgrades: false }
    }

    /// A header that says this was read, and this behind it.
    pub(super) fn begin(&mut self, framing: Framing, mut behind: BytesMut) {
        if !self.ahead.is_empty() {
            behind.extend_from_slice(&self.ahead);
        }
        self.ahead = behind;
        self.upgrades = framing.upgrade;
        self.part = match framing.body {
            BodyLength::Bytes(length) => Part::Bytes(length),
            BodyLength::Chunked => Part::Chunks(ChunkedEnd::default()),
        };
    }

    /// Makes way for the next header; `false` when it is not known where that begins.
    pub(super) fn end(&mut self) -> bool {
        if self.ahead.is_empty() {
            // It may be long until the next one: a buffer for each viewer that waits would add up.
            self.ahead = BytesMut::new();
        }
        let ended = self.part.is_over();
        self.part = Part::Header;
        ended
    }

    /// An answer goes out. With a 101 the connection is another protocol's.
    fn answered(&mut self, bytes: &[u8]) {
        if !self.upgrades || !bytes.starts_with(b"HTTP/1.") {
            return;
        }
        if bytes.starts_with(b"HTTP/1.1 101") {
            self.part = Part::Everything;
        }
        self.upgrades = bytes.starts_with(b"HTTP/1.1 1") && !matches!(self.part, Part::Everything);
    }

    /// Nothing more of this request: only whether the viewer leaves is of interest.
    fn poll_leaves(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            // An end of the stream is the end to whoever reads; bytes are the next request's.
            ready!(self.poll_ahead(ctx, NEXT_BYTES))?;
            if self.ahead.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    fn poll_ahead(&mut self, ctx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        self.ahead.reserve(bytes);
        // It keeps nothing between polls, so that each may be another one.
        let read = ready!(pin!(self.stream.read_buf(&mut self.ahead)).poll(ctx));
        Poll::Ready(read.map(|_| ()))
    }

    /// Reads at most `limit` bytes; how many.
    fn poll_some(&mut self, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>, limit: u64) -> Poll<io::Result<u64>> {
        if self.ahead.is_empty() {
            let mut limited = (&mut self.stream).take(limit);
            ready!(Pin::new(&mut limited).poll_read(ctx, into))?;
            return Poll::Ready(Ok(limit - limited.limit()));
        }
        let some = usize::try_from(limit).unwrap_or(usize::MAX).min(self.ahead.len()).min(into.remaining());
        into.put_slice(&self.ahead[..some]);
        self.ahead.advance(some);
        Poll::Ready(Ok(some as u64))
    }

    fn poll_chunks(&mut self, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            ready!(self.poll_ahead(ctx, CHUNKS_BYTES))?;
        }
        let Part::Chunks(end) = &mut self.part else { return Poll::Ready(Ok(())) };
        let some = self.ahead.len().min(into.remaining());
        let passed = end.pass(&self.ahead[..some]);
        into.put_slice(&self.ahead[..passed]);
        self.ahead.advance(passed);
        Poll::Ready(Ok(()))
    }
}

impl Part {
    /// Whether the body has been read to its end.
    fn is_over(&self) -> bool {
        match self {
            Part::Bytes(left) => *left == 0,
            Part::Chunks(end) => end.reached(),
            Part::Header | Part::Everything => false,
        }
    }
}

impl AsyncRead for OneRequest {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.part {
            _ if this.part.is_over() => this.poll_leaves(ctx),
            Part::Header | Part::Everything => this.poll_some(ctx, into, u64::MAX).map_ok(|_| ()),
            Part::Bytes(left) => {
                let read = ready!(this.poll_some(ctx, into, left))?;
                this.part = Part::Bytes(left - read);
                Poll::Ready(Ok(()))
            }
            Part::Chunks(_) => this.poll_chunks(ctx, into),
        }
    }
}

impl AsyncWrite for OneRequest {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered(bytes);
        Pin::new(&mut self.stream).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered(slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice));
        Pin::new(&mut self.stream).poll_write_vectored(ctx, slices)
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

crate::guard::passed_on::passes_on!(OneRequest);

/// Read at once of a body in chunks.
const CHUNKS_BYTES: usize = 16 * 1024;
/// Read of the next request while this one is answered: every viewer whose answer takes a while has so much for it.
const NEXT_BYTES: usize = 512;
