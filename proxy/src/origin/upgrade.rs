//! The connection to an origin that a viewer wants upgraded, as to a WebSocket.
//!
//! Pingora 0.9.1 ends an upgraded connection when it takes up the empty end of the
//! request's body after it has read the 101, and which of the two it takes up first is
//! left to chance once both are there. Here the answer is not readable before the body's
//! end went out. `fetch` makes one connection for one request; none is used twice.

use async_trait::async_trait;
use futures_util::task::AtomicWaker;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr, Result};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Holds back what the origin sends while it is closed. Open at first, for a TLS handshake.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    flushes_left: AtomicU8,
    reader: AtomicWaker,
}

impl Gate {
    /// Closes it until the head and the end of the body that follow are flushed.
    pub(crate) fn close(&self) {
        self.flushes_left.store(FLUSHES_OF_A_REQUEST, Ordering::Relaxed);
    }

    fn flushed(&self) {
        let left = self.flushes_left.load(Ordering::Relaxed);
        self.flushes_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            self.reader.wake();
        }
    }

    fn poll_open(&self, ctx: &Context<'_>) -> Poll<()> {
        self.reader.register(ctx.waker());
        if self.flushes_left.load(Ordering::Relaxed) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Connects to an origin, with a gate in the connection.
#[derive(Debug)]
pub(crate) struct GatedConnector {
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl Connect for GatedConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(inet) = address.as_inet() else {
            return Error::e_explain(ErrorType::InternalError, format!("{address} is not an internet address"));
        };
        let tcp =
            TcpStream::connect(inet).await.or_err_with(ErrorType::ConnectError, || format!("origin {address}"))?;
        let stream = GatedStream { tcp, gate: Arc::clone(&self.gate) };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(stream))))
    }
}

#[derive(Debug)]
struct GatedStream {
    tcp: TcpStream,
    gate: Arc<Gate>,
}

impl VirtualSocket for GatedStream {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            // Nothing here asks for one; a future kind of option is no reason to fail a connection.
            _ => Ok(()),
        }
    }
}

impl AsyncRead for GatedStream {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(ctx));
        Pin::new(&mut self.tcp).poll_read(ctx, into)
    }
}

impl AsyncWrite for GatedStream {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(ctx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.tcp).poll_flush(ctx));
        self.gate.flushed();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(ctx)
    }
}

/// Pingora flushes a request's head, and its body when it ends.
const FLUSHES_OF_A_REQUEST: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_answer_waits_for_the_end_of_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut origin, _) = listener.accept().await.unwrap();
        origin.write_all(b"early").await.unwrap();
        tcp.readable().await.unwrap();
        let gate = Arc::new(Gate::default());
        gate.close();
        let (mut reader, mut writer) = tokio::io::split(GatedStream { tcp, gate });
        let mut answer = [0; 5];
        let mut read = pin!(reader.read_exact(&mut answer));
        assert!(poll!(&mut read).is_pending());
        writer.flush().await.unwrap();
        assert!(poll!(&mut read).is_pending(), "the head alone is out");
        writer.flush().await.unwrap();
        read.await.unwrap();
        assert_eq!(&answer, b"early");
    }
}
