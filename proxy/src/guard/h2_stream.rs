//! An HTTP/2 viewer's byte stream, above TLS: ends when the viewer floods it with
//! frames that only cost work. What counts as a flood is [`super::frames`]'s.

use super::frames::FrameCounter;
use pingora::protocols::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A stream whose incoming frames are counted.
#[derive(Debug)]
pub(crate) struct H2Stream {
    stream: Stream,
    frames: FrameCounter,
}

impl H2Stream {
    /// `stream` has HTTP/2's connection preface still to come.
    pub(crate) fn new(stream: Stream) -> H2Stream {
        H2Stream { stream, frames: FrameCounter::new(Instant::now()) }
    }
}

impl AsyncRead for H2Stream {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(ctx, into))?;
        let counted = self.frames.count(&into.filled()[before..], Instant::now());
        Poll::Ready(counted.map_err(|flood| {
            tracing::info!("HTTP/2 connection closed: {flood}");
            io::Error::new(io::ErrorKind::ConnectionAborted, flood)
        }))
    }
}

impl AsyncWrite for H2Stream {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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

super::passed_on::passes_on!(H2Stream);
