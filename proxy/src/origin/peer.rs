//! The connection to an origin: its addresses and how long to wait for it.

use super::{Place, Target};
use crate::error::EdgeError;
use http::StatusCode;
use pingora::upstreams::peer::{ALPN, HttpPeer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The addresses of a target's host; none for a directory or socket.
///
/// # Errors
/// The name cannot be resolved: a 502, as from CloudFront.
pub(crate) async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, EdgeError> {
    let Place::Http { host, port, .. } = &target.place else { return Ok(Vec::new()) };
    let failed = |reason: String| EdgeError::new(StatusCode::BAD_GATEWAY, reason);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((name, *port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|error| failed(format!("origin {host}: name cannot be resolved: {error}")))?.collect();
    if found.is_empty() {
        return Err(failed(format!("origin {host}: name has no address")));
    }
    Ok(found)
}

/// The peer for one attempt; attempts go round the addresses.
///
/// # Errors
/// A socket that cannot be named.
pub(crate) fn peer(
    target: &Target,
    addresses: &[SocketAddr],
    attempt: u8,
    directories: &(dyn Fn(&Path) -> PathBuf + Send + Sync),
) -> Result<HttpPeer, EdgeError> {
    let failed = |reason: String| EdgeError::new(StatusCode::BAD_GATEWAY, reason);
    let mut peer = match &target.place {
        Place::Directory { path, .. } => on_socket(&directories(path))?,
        Place::Socket { path, .. } => on_socket(path)?,
        Place::Http { tls, host, .. } => {
            let index = usize::from(attempt) % addresses.len().max(1);
            let address = addresses.get(index).ok_or_else(|| failed(format!("origin {host} has no address")))?;
            HttpPeer::new(*address, *tls, host.clone())
        }
    };
    peer.options.alpn = ALPN::H1;
    peer.options.connection_timeout = Some(target.connect_timeout);
    peer.options.total_connection_timeout = Some(target.connect_timeout);
    peer.options.read_timeout = Some(target.read_timeout);
    peer.options.write_timeout = Some(target.read_timeout);
    peer.options.idle_timeout = Some(target.keepalive_timeout);
    Ok(peer)
}

fn on_socket(socket: &Path) -> Result<HttpPeer, EdgeError> {
    let failed = |reason: String| EdgeError::new(StatusCode::BAD_GATEWAY, reason);
    let name = socket.to_str().ok_or_else(|| failed(format!("socket {} is not UTF-8", socket.display())))?;
    HttpPeer::new_uds(name, false, String::new()).map_err(|error| failed(error.to_string()))
}
