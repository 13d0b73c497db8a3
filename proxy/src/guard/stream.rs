//! A viewer's TCP connection as Pingora takes it: writes are gathered, and a write that
//! makes no progress ends the connection.

use crate::connection::Connection;
use async_trait::async_trait;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// One accepted connection, below TLS.
#[derive(Debug)]
pub(crate) struct ViewerStream {
    tcp: BufWriter<TcpStream>,
    socket: Arc<SocketDigest>,
    timing: TimingDigest,
    /// How long a write may make no progress.
    stall_max: Duration,
    /// Runs while a write is stalled.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What the viewer says, while that is to be kept.
    recorded: Option<Vec<u8>>,
    connection: Arc<ProxyDigest>,
}

impl ViewerStream {
    /// `peer` is the viewer's address.
    pub(crate) fn new(tcp: TcpStream, peer: std::net::SocketAddr, stall_max: Duration) -> ViewerStream {
        // Answers are written whole; waiting to fill a packet would only delay them. The
        // option can fail only on a connection that is already gone, which the next read says.
        let _ = tcp.set_nodelay(true);
        let socket = SocketDigest::from_raw_fd(tcp.as_raw_fd());
        // A fresh cell is empty, so this cannot fail.
        let _ = socket.peer_addr.set(Some(SocketAddr::from(peer)));
        ViewerStream {
            tcp: BufWriter::with_capacity(WRITE_BUFFER_BYTES, tcp),
            socket: Arc::new(socket),
            timing: TimingDigest { established_ts: SystemTime::now(), ..TimingDigest::default() },
            stall_max,
            stalled: None,
            recorded: None,
            connection: Connection::digest(),
        }
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        Connection::of_digest(&self.connection)
    }

    /// Keeps a copy of what the viewer says first, of as much as a TLS handshake takes.
    pub(crate) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// What was kept. Nothing is kept any more.
    pub(crate) fn recorded(&mut self) -> Vec<u8> {
        self.recorded.take().unwrap_or_default()
    }

    /// Passes a finished write on; starts or checks the clock of a stalled one.
    fn watch<T>(&mut self, ctx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stall_max = self.stall_max;
        let clock = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(clock.as_mut().poll(ctx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the viewer took nothing for {} ms", stall_max.as_millis()),
        )))
    }
}

impl AsyncRead for ViewerStream {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(ctx, into))?;
        if let Some(recorded) = &mut self.recorded {
            let said = &into.filled()[before..];
            recorded.extend_from_slice(&said[..said.len().min(RECORDED_BYTES_MAX - recorded.len())]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ViewerStream {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write(ctx, bytes);
        self.watch(ctx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write_vectored(ctx, slices);
        self.watch(ctx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.tcp).poll_flush(ctx);
        self.watch(ctx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.tcp).poll_shutdown(ctx);
        self.watch(ctx, shutdown)
    }
}

#[async_trait]
impl Shutdown for ViewerStream {
    async fn shutdown(&mut self) {
        // The viewer may be gone already; then there is nothing left to close.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ViewerStream {
    fn id(&self) -> i32 {
        self.tcp.get_ref().as_raw_fd()
    }
}

impl Ssl for ViewerStream {}

impl Peek for ViewerStream {}

impl GetTimingDigest for ViewerStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(self.timing.clone())]
    }
}

impl GetProxyDigest for ViewerStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.connection))
    }
}

impl GetSocketDigest for ViewerStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.socket.clone())
    }
}

/// A header and a body of usual size leave in one write.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// One TLS record.
const RECORDED_BYTES_MAX: usize = 5 + 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_viewer_that_takes_nothing_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _viewer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, peer) = listener.accept().await.unwrap();
        let mut stream = ViewerStream::new(tcp, peer, Duration::from_millis(100));
        let block = vec![0; 1024 * 1024];
        let error = loop {
            if let Err(error) = stream.write_all(&block).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
