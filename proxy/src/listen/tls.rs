//! A viewer's connection over TLS: the handshake, and what is known from it of the
//! viewer. rustls does the work; Pingora gets the stream.

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use rustls::{HandshakeKind, ServerConnection};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connection::Handshake;
use crate::fingerprint::ClientHello;
use crate::guard::stream::ViewerStream;

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct TlsViewer {
    tls: TlsStream<ViewerStream>,
    digest: Arc<SslDigest>,
}

/// Shakes hands with a viewer that has sent nothing yet.
///
/// # Errors
/// The viewer left, or wants what the certificates and versions served do not have.
pub(super) async fn accept(acceptor: &TlsAcceptor, mut viewer: ViewerStream) -> io::Result<TlsViewer> {
    viewer.record();
    let mut tls = acceptor.accept(viewer).await?;
    let (viewer, session) = tls.get_mut();
    let handshake = handshake(session, ClientHello::parse(&viewer.recorded()));
    let digest = SslDigest::new(handshake.cipher.clone(), handshake.version.to_owned(), None, None, Vec::new());
    if let Some(connection) = viewer.connection() {
        connection.shook_hands(handshake);
    }
    Ok(TlsViewer { tls, digest: Arc::new(digest) })
}

fn handshake(session: &ServerConnection, hello: Option<ClientHello>) -> Handshake {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
    let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or_default();
    // rustls has a name of its own for those of TLS 1.3.
    let cipher = cipher.strip_prefix("TLS13_").map_or_else(|| cipher.to_owned(), |rest| format!("TLS_{rest}"));
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    Handshake { version, cipher, resumed, hello, used: AtomicBool::new(false) }
}

impl AsyncRead for TlsViewer {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(ctx, into)
    }
}

impl AsyncWrite for TlsViewer {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(ctx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(ctx)
    }
}

#[async_trait]
impl Shutdown for TlsViewer {
    async fn shutdown(&mut self) {
        // The viewer may be gone already; then there is nothing left to close.
        let _ = self.tls.shutdown().await;
    }
}

impl UniqueID for TlsViewer {
    fn id(&self) -> i32 {
        self.tls.get_ref().0.id()
    }
}

impl Ssl for TlsViewer {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(Arc::clone(&self.digest))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.tls.get_ref().1.alpn_protocol()? {
            b"h2" => Some(ALPN::H2),
            _ => Some(ALPN::H1),
        }
    }
}

impl Peek for TlsViewer {}

impl GetTimingDigest for TlsViewer {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.tls.get_ref().0.get_timing_digest()
    }
}

impl GetProxyDigest for TlsViewer {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.tls.get_ref().0.get_proxy_digest()
    }
}

impl GetSocketDigest for TlsViewer {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.tls.get_ref().0.get_socket_digest()
    }
}
