//! Requests that the control plane makes of other services: a connection for each, trusted
//! by the machine's own authorities, bounded in time and size. What is asked, and how it
//! is signed, is the caller's.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Makes requests.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Made for the first request over TLS.
    tls: Mutex<Option<Arc<ClientConfig>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutgoingError {
    #[error("{0} is no URL to ask")]
    Url(String),
    #[error("{host} cannot be reached: {source}")]
    Unreachable { host: String, source: io::Error },
    #[error("{host}: {reason}")]
    Broken { host: String, reason: String },
    #[error("{host} took longer than {} s", WHOLE_MAX.as_secs())]
    Slow { host: String },
}

impl Outgoing {
    /// The answer of the server that the request's URI names, which must have a scheme and a host.
    /// Its body is at most `bytes_max` long.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), OutgoingError> {
        let uri = request.uri().clone();
        let unclear = || OutgoingError::Url(uri.to_string());
        let host = uri.host().ok_or_else(unclear)?.to_owned();
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unclear()),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let slow = || OutgoingError::Slow { host: host.clone() };
        let asked = self.ask(request, (&host, port, is_tls), bytes_max);
        tokio::time::timeout(WHOLE_MAX, asked).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn ask(
        &self,
        request: Request<Bytes>,
        (host, port, is_tls): (&str, u16, bool),
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), OutgoingError> {
        let unreachable = |source| OutgoingError::Unreachable { host: host.to_owned(), source };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((address, port)).await.map_err(unreachable)?;
        if !is_tls {
            return converse(stream, host, request, bytes_max).await;
        }
        let broken = |reason: String| OutgoingError::Broken { host: host.to_owned(), reason };
        let name = ServerName::try_from(address.to_owned()).map_err(|error| broken(error.to_string()))?;
        let connector = TlsConnector::from(self.tls().map_err(broken)?);
        let stream = connector.connect(name, stream).await.map_err(unreachable)?;
        converse(stream, host, request, bytes_max).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let mut tls = self.tls.lock();
        if let Some(config) = &*tls {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs().map_err(|error| format!("no authorities: {error}"))?;
        roots.add_parsable_certificates(found);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        Ok(Arc::clone(tls.insert(Arc::new(config))))
    }
}

async fn converse<S>(
    stream: S,
    host: &str,
    mut request: Request<Bytes>,
    bytes_max: usize,
) -> Result<(StatusCode, Bytes), OutgoingError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |reason: String| OutgoingError::Broken { host: host.to_owned(), reason };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.to_string()))?;
    tokio::spawn(connection);
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    if !request.headers().contains_key("host") {
        let value = HeaderValue::try_from(authority).map_err(|error| broken(error.to_string()))?;
        request.headers_mut().insert("host", value);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().map_err(|error: http::uri::InvalidUri| broken(error.to_string()))?;
    let response = sender.send_request(request.map(Full::new)).await.map_err(|error| broken(error.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), bytes_max).collect().await;
    let body = body.map_err(|error| broken(format!("the answer cannot be read to its end: {error}")))?;
    Ok((status, body.to_bytes()))
}

/// From the connection to the end of the answer.
const WHOLE_MAX: Duration = Duration::from_secs(60);
