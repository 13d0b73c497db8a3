//! The listener: documents over HTTP, sessions over WebSocket, and who is refused.

use crate::address::Address;
use crate::documents;
use crate::host;
use crate::session::{self, stopped};
use bytes::Bytes;
use functions::{AttachError, Inspection, Session};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

/// Where debuggers attach.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    inspection: Inspection,
}

/// It cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("--inspect: cannot listen on {address}: {source}; another program may, choose another with --inspect=PORT")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl Server {
    /// Listens, and says so in the log.
    ///
    /// # Errors
    /// The address is not free, or not this machine's.
    pub async fn bind(address: Address, inspection: Inspection) -> Result<Server, BindError> {
        let failed = |source| BindError { address: address.0, source };
        let listener = TcpListener::bind(address.0).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!("debuggers may attach at {address}");
        if !address.ip().is_loopback() {
            tracing::warn!(
                "debuggers may attach from other machines: whoever reaches {address} can run code in functions"
            );
        }
        Ok(Server { listener, address, inspection })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves debuggers until `stop` becomes true, or nobody can make it true any more; those that are attached then
    /// are detached, and what they have stopped goes on.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let answering = Answering { address: self.address, inspection: self.inspection, stop: stop.clone() };
        let accept = async {
            loop {
                let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let answering = answering.clone();
                        tokio::spawn(async move {
                            answering.converse(stream).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::error!("the inspector cannot accept: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stopped(&mut stop) => {}
        }
    }
}

/// What answers are made from.
#[derive(Clone)]
struct Answering {
    address: SocketAddr,
    inspection: Inspection,
    stop: watch::Receiver<bool>,
}

type Answer = Response<Full<Bytes>>;

impl Answering {
    async fn converse(self, stream: TcpStream) {
        let mut stop = self.stop.clone();
        let service = service_fn(move |request| {
            let answer = self.answer(request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!("a connection to the inspector ended: {error}");
            },
            () = stopped(&mut stop) => {}
        }
    }

    fn answer(&self, request: Request<Incoming>) -> Answer {
        let host = request.headers().get(HOST).map(HeaderValue::to_str);
        let host = match host {
            None => self.address.to_string(),
            Some(Ok(host)) if host::is_allowed(host) => host.to_owned(),
            Some(_) => return text(StatusCode::BAD_REQUEST, "the Host header is neither an IP address nor localhost"),
        };
        if request.method() != Method::GET {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        let path = request.uri().path().trim_end_matches('/');
        match path.strip_prefix("/json") {
            Some("" | "/list") => json(&documents::list(&self.inspection.targets(), &host)),
            Some("/version") => json(&documents::version()),
            Some("/protocol") => text(
                StatusCode::NOT_FOUND,
                "the protocol's description is not served: use the one that your debugger brings, V8's",
            ),
            Some(other) => match other.strip_prefix("/activate/") {
                Some(id) if self.find(id).is_some() => text(StatusCode::OK, "Target activated"),
                _ => text(StatusCode::NOT_FOUND, "no such target"),
            },
            None => self.attach(request),
        }
    }

    /// The newest target with this id or title.
    fn find(&self, name: &str) -> Option<Uuid> {
        let targets = self.inspection.targets();
        let found = targets.iter().rev().find(|target| target.id.to_string() == name || target.title() == name);
        found.map(|target| target.id)
    }

    /// `GET /ID` or `GET /FUNCTION` with the WebSocket handshake (RFC 6455 4.2).
    fn attach(&self, request: Request<Incoming>) -> Answer {
        if is_from_page(&request) {
            return text(StatusCode::FORBIDDEN, "a page cannot attach to a target");
        }
        let Some(id) = self.find(request.uri().path().trim_matches('/')) else {
            return text(StatusCode::NOT_FOUND, "no such target: they are at /json/list");
        };
        let key = match key(&request) {
            Ok(key) => key,
            Err(answer) => return *answer,
        };
        match self.inspection.attach(id) {
            Ok(session) => {
                tokio::spawn(talk(request, session, self.stop.clone()));
                switch(&key)
            }
            Err(error @ AttachError::Gone) => text(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error @ AttachError::TooMany) => text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }
}

/// Browsers say where a page that opens a WebSocket is from, and let it open one to anybody (RFC 6455 10.2).
fn is_from_page(request: &Request<Incoming>) -> bool {
    let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
    origin.is_some_and(|origin| !origin.starts_with(b"devtools://"))
}

/// The key of a WebSocket handshake.
fn key(request: &Request<Incoming>) -> Result<String, Box<Answer>> {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let has = |name, word: &str| {
        header(name).is_some_and(|list| list.split(',').any(|it| it.trim().eq_ignore_ascii_case(word)))
    };
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(Box::new(text(StatusCode::UPGRADE_REQUIRED, "a target is attached to with a WebSocket")));
    }
    if header(SEC_WEBSOCKET_VERSION) != Some("13") {
        let mut answer = text(StatusCode::UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken");
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(answer));
    }
    let key = header(SEC_WEBSOCKET_KEY).map(ToOwned::to_owned);
    key.ok_or_else(|| Box::new(text(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing")))
}

fn switch(key: &str) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is visible ASCII");
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

async fn talk(request: Request<Incoming>, session: Session, stop: watch::Receiver<bool>) {
    match hyper::upgrade::on(request).await {
        Ok(upgraded) => session::talk(TokioIo::new(upgraded), session, stop).await,
        Err(error) => tracing::debug!("a debugger did not attach: {error}"),
    }
}

fn json(document: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::from(format!("{document:#}\n")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

fn text(status: StatusCode, line: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{line}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    answer
}

/// At one time, sessions included.
const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Out of file descriptors, accept fails at once and would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
