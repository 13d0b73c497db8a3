//! A viewer: one request on a connection of its own, the whole answer back.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A request to make.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    target: String,
    host: String,
    headers: HeaderMap,
    body: Bytes,
    chunked: bool,
}

type Body = BoxBody<Bytes, Infallible>;

impl Ask {
    /// # Panics
    /// When `method` is not a method.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Ask {
        let method = Method::from_bytes(method.as_bytes()).expect("a test's method is valid");
        let host = "www.example.net".to_owned();
        Ask { method, target: target.to_owned(), host, headers: HeaderMap::new(), body: Bytes::new(), chunked: false }
    }

    #[must_use]
    pub fn get(target: &str) -> Ask {
        Ask::new("GET", target)
    }

    #[must_use]
    pub fn post(target: &str, body: impl Into<Bytes>) -> Ask {
        Ask { body: body.into(), ..Ask::new("POST", target) }
    }

    #[must_use]
    pub fn host(mut self, host: &str) -> Ask {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds one header line.
    ///
    /// # Panics
    /// When name or value are not allowed in HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test's header name is valid");
        self.headers.append(name, HeaderValue::from_str(value).expect("a test's header value is valid"));
        self
    }

    /// Another method for the same request.
    ///
    /// # Panics
    /// When `method` is not a method.
    #[must_use]
    pub fn with(self, method: &str) -> Ask {
        Ask { method: Method::from_bytes(method.as_bytes()).expect("a test's method is valid"), ..self }
    }

    /// The body does not say its length, and comes in pieces.
    #[must_use]
    pub fn chunked(self) -> Ask {
        Ask { chunked: true, ..self }
    }

    fn body(&self) -> Body {
        if !self.chunked {
            return Full::new(self.body.clone()).boxed();
        }
        let pieces: Vec<_> =
            self.body.chunks(10_000).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        BodyExt::boxed(StreamBody::new(futures_util::stream::iter(pieces)))
    }

    fn http1(self) -> Request<Body> {
        let mut request = Request::new(self.body());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().expect("a test's target is valid");
        *request.headers_mut() = self.headers;
        let host = HeaderValue::from_str(&self.host).expect("a test's host is valid");
        request.headers_mut().insert(http::header::HOST, host);
        request
    }

    fn http2(self) -> Request<Body> {
        let uri = format!("https://{}{}", self.host, self.target);
        let mut request = self.http1();
        request.headers_mut().remove(http::header::HOST);
        *request.uri_mut() = uri.parse().expect("a test's target is valid");
        request
    }
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The header's first value, or `""`.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Every line of this header.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `Hit`, `Miss`, `LambdaExecutionError`, …: the first word of `X-Cache`.
    #[must_use]
    pub fn cache(&self) -> &str {
        self.header("x-cache").split(' ').next().unwrap_or("")
    }

    async fn read(response: Response<Incoming>) -> Result<Reply, hyper::Error> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

/// Asks over HTTP/1.1 on a new connection.
///
/// # Errors
/// When nothing listens there, or the answer is cut off.
pub async fn ask(address: SocketAddr, ask: Ask) -> anyhow::Result<Reply> {
    let stream = TcpStream::connect(address).await?;
    ask_http1(stream, ask).await
}

/// Asks over HTTP/1.1 on this connection.
///
/// # Errors
/// When the answer is no HTTP, or cut off.
pub async fn ask_http1<S>(stream: S, ask: Ask) -> anyhow::Result<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let reply = Reply::read(sender.send_request(ask.http1()).await?).await;
    driver.abort();
    Ok(reply?)
}

/// A connection over which one request follows the other (HTTP/1.1).
pub struct KeptConnection {
    sender: SendRequest<Body>,
    driver: JoinHandle<Result<(), hyper::Error>>,
}

impl KeptConnection {
    /// # Errors
    /// When nothing listens there.
    pub async fn open(address: SocketAddr) -> anyhow::Result<KeptConnection> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        Ok(KeptConnection { sender, driver: tokio::spawn(connection) })
    }

    /// Asks, and leaves the connection open.
    ///
    /// # Errors
    /// When the other side has closed it, or the answer is cut off.
    pub async fn ask(&mut self, ask: Ask) -> anyhow::Result<Reply> {
        self.sender.ready().await?;
        Ok(Reply::read(self.sender.send_request(ask.http1()).await?).await?)
    }
}

impl Drop for KeptConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Asks over HTTP/2 on this connection, all at once.
///
/// # Errors
/// When an answer is no HTTP/2, or cut off.
pub async fn ask_http2<S>(stream: S, asks: Vec<Ask>) -> anyhow::Result<Vec<Reply>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let replies = asks.into_iter().map(|ask| {
        let mut sender = sender.clone();
        async move { Reply::read(sender.send_request(ask.http2()).await?).await }
    });
    let replies = futures_util::future::try_join_all(replies).await;
    driver.abort();
    Ok(replies?)
}
