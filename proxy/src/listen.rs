//! The edge's listeners: bind, accept, hand every connection to the proxy, stop.
//!
//! Pingora's own server is not used: its accept loop has no limits per address, no
//! deadline for a header and panics when a port is taken. Its proxy and its HTTP
//! sessions are; docs/decisions/0003-slow-clients.md.

mod chunked;
mod dated;
mod framing;
mod h1;
mod h2;
mod one_request;
mod tls;

use certs::Store;
use deployment::Server;
use pingora::apps::HttpServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::{HttpProxy, ProxyHttp, http_proxy};
use pingora::server::configuration::ServerConf;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::guard::Limits;
use crate::guard::addresses::{Addresses, Place};
use crate::guard::stream::ViewerStream;

/// Why the edge cannot listen. Nothing has been accepted then.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{protocol} listener {address}: {source}")]
    Bind { protocol: &'static str, address: SocketAddr, source: io::Error },
    #[error("https listener {address}: no certificates are configured")]
    NoCertificates { address: SocketAddr },
}

/// Listens on every address of `server` and serves until `shutdown` becomes true or its
/// sender is dropped; then stops accepting, lets requests in flight finish for up to 30
/// seconds, and returns.
pub async fn serve<P>(
    server: &Server,
    edge: P,
    store: Option<Arc<Store>>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), ServeError>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    bind(server, store)?.run(edge, shutdown).await;
    Ok(())
}

/// Sockets that listen already, so that a taken port is known before start-up finishes.
/// Viewers wait in the kernel's queue until [`Listeners::run`].
pub struct Listeners {
    plain: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    acceptor: Option<TlsAcceptor>,
    limits: Limits,
    threads: usize,
}

/// Binds every address of `server`. Must be called inside a tokio runtime.
pub fn bind(server: &Server, store: Option<Arc<Store>>) -> Result<Listeners, ServeError> {
    if let (Some(&address), None) = (server.https.first(), &store) {
        return Err(ServeError::NoCertificates { address });
    }
    let bind_all = |protocol: &'static str, addresses: &[SocketAddr]| {
        addresses
            .iter()
            .map(|&address| listen(address).map_err(|source| ServeError::Bind { protocol, address, source }))
            .collect::<Result<Vec<_>, _>>()
    };
    let acceptor = store.map(|store| TlsAcceptor::from(store.server_config(&[b"h2".as_slice(), b"http/1.1"])));
    Ok(Listeners {
        plain: bind_all("http", &server.http)?,
        tls: bind_all("https", &server.https)?,
        acceptor,
        limits: Limits::of(server),
        threads: server.threads,
    })
}

impl Listeners {
    /// The addresses bound, which differ from the configured ones where the port is 0.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.plain.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// As [`Listeners::http_addresses`], for HTTPS.
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Accepts and serves on the current runtime until `shutdown`; see [`serve`].
    pub async fn run<P>(self, edge: P, mut shutdown: watch::Receiver<bool>)
    where
        P: ProxyHttp + Send + Sync + 'static,
        P::CTX: Send + Sync,
    {
        let conf = ServerConf { threads: self.threads, max_retries: ORIGIN_ATTEMPTS_MAX, ..ServerConf::default() };
        let front = Arc::new(Front {
            proxy: Arc::new(http_proxy(&Arc::new(conf), edge)),
            limits: self.limits,
            addresses: Addresses::new(self.limits.connections_per_address),
            shutdown: shutdown.clone(),
        });
        // Every connection holds a clone; the receiver ends when the last one is dropped.
        let (alive, mut ended) = mpsc::channel::<()>(1);
        for listener in self.plain {
            tokio::spawn(accept(listener, front.clone(), None, alive.clone()));
        }
        for listener in self.tls {
            tokio::spawn(accept(listener, front.clone(), self.acceptor.clone(), alive.clone()));
        }
        drop(alive);
        stopping(&mut shutdown).await;
        front.proxy.http_cleanup().await;
        if timeout(DRAIN_MAX, ended.recv()).await.is_err() {
            tracing::warn!("connections still open after {} s are cut", DRAIN_MAX.as_secs());
        }
    }
}

/// What every connection shares.
struct Front<P> {
    proxy: Arc<HttpProxy<P>>,
    limits: Limits,
    addresses: Arc<Addresses>,
    shutdown: watch::Receiver<bool>,
}

/// Resolves once the edge is to stop.
async fn stopping(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which stops the edge as well.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted edge takes its port back while old connections are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept<P>(listener: TcpListener, front: Arc<Front<P>>, tls: Option<TlsAcceptor>, alive: mpsc::Sender<()>)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let mut shutdown = front.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping(&mut shutdown) => return,
        };
        match accepted {
            Ok((tcp, peer)) => match front.addresses.take(peer.ip()) {
                Some(place) => {
                    tokio::spawn(connection(tcp, peer, front.clone(), tls.clone(), (place, alive.clone())));
                }
                None => tracing::debug!(
                    "connection from {peer} refused: {} are open, the limit per address",
                    front.limits.connections_per_address
                ),
            },
            Err(error) => {
                tracing::error!("accepting a connection failed: {error}");
                // Out of file descriptors, accept fails at once and would spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection from accept to close. `held` is dropped with it.
async fn connection<P>(
    tcp: TcpStream,
    peer: SocketAddr,
    front: Arc<Front<P>>,
    tls: Option<TlsAcceptor>,
    held: (Place, mpsc::Sender<()>),
) where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let header_by = Instant::now() + front.limits.header;
    let viewer = ViewerStream::new(tcp, peer, front.limits.body);
    let stream: Stream = match tls {
        None => Box::new(viewer),
        Some(acceptor) => match timeout_at(header_by, tls::accept(&acceptor, viewer)).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return tracing::debug!("TLS handshake with {peer} failed: {error}"),
            Err(_) => return tracing::debug!("TLS handshake with {peer} was too slow"),
        },
    };
    if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
        h2::serve(&front, stream).await;
    } else {
        h1::serve(&front, stream, header_by).await;
    }
    drop(held);
}

/// The most attempts a configuration may ask for; the edge counts an origin's own.
const ORIGIN_ATTEMPTS_MAX: usize = 3;
const BACKLOG: u32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
