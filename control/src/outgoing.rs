//! Requests that the control plane makes of other services: a connection for each, trusted
//! by the machine's own authorities, bounded in time and size. What is asked, and how it
//! is signed, is the caller's.

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
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
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Made for the first request over TLS.
    tls: Mutex<Option<Arc<ClientConfig>>>,
    /// From the connection to the end of the answer.
    whole_max: Duration,
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
    #[error("{host} took longer than {max:?}")]
    Slow { host: String, max: Duration },
}

impl Default for Outgoing {
    fn default() -> Outgoing {
        Outgoing::within(WHOLE_MAX)
    }
}

impl Outgoing {
    fn within(whole_max: Duration) -> Outgoing {
        Outgoing { tls: Mutex::default(), whole_max }
    }

    /// The answer of the server that the request's URI names, which must have a scheme and a host.
    /// Its body is at most `bytes_max` long.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, OutgoingError> {
        let uri = request.uri().clone();
        let unclear = || OutgoingError::Url(uri.to_string());
        let host = uri.host().ok_or_else(unclear)?.to_owned();
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unclear()),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let slow = || OutgoingError::Slow { host: host.clone(), max: self.whole_max };
        let asked = self.ask(request, (&host, port, is_tls), bytes_max);
        tokio::time::timeout(self.whole_max, asked).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn ask(
        &self,
        request: Request<Bytes>,
        (host, port, is_tls): (&str, u16, bool),
        bytes_max: usize,
    ) -> Result<Response<Bytes>, OutgoingError> {
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
) -> Result<Response<Bytes>, OutgoingError>
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
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await;
    let body = body.map_err(|error| broken(format!("the answer cannot be read to its end: {error}")))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Of one request.
const WHOLE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    /// A server that says this to whoever connects, and then something now and then, without an end.
    async fn drips(said: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            // Until the other side has left.
            while stream.write_all(&said.as_bytes()[said.len().saturating_sub(1)..]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn an_attempt_ends_in_time_whatever_the_other_side_does() {
        let max = Duration::from_millis(300);
        for said in ["", "HTTP/1.1 200 OK\r\nx-a: b", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\na"] {
            let request = Request::get(drips(said).await).body(Bytes::new()).unwrap();
            let began = Instant::now();
            let error = Outgoing::within(max).send(request, 1_000_000).await.unwrap_err();
            assert!(matches!(error, OutgoingError::Slow { .. }), "{said:?}: {error}");
            assert!(began.elapsed() >= max, "{said:?}");
        }
        assert_eq!(Outgoing::default().whole_max, Duration::from_secs(60));
    }
}
