//! An origin: answers by script, records what it was asked.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// Path and query, as on the wire.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    /// The header's value, or `""`.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    chunks: Vec<Bytes>,
    chunked: bool,
    gate: Option<watch::Receiver<bool>>,
}

impl Answer {
    /// # Panics
    /// When `status` is not an HTTP status.
    #[must_use]
    pub fn new(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a test's status is valid");
        Answer { status, headers: HeaderMap::new(), chunks: Vec::new(), chunked: false, gate: None }
    }

    /// Status 200 with a body that may be stored for `seconds`.
    #[must_use]
    pub fn fresh_for(seconds: u32, body: impl Into<Bytes>) -> Answer {
        Answer::new(200).header("cache-control", &format!("max-age={seconds}")).body(body)
    }

    /// Adds one header line.
    ///
    /// # Panics
    /// When name or value are not allowed in HTTP.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test's header name is valid");
        self.headers.append(name, HeaderValue::from_str(value).expect("a test's header value is valid"));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Answer {
        self.chunks = vec![body.into()];
        self
    }

    /// A body without a length, in these chunks.
    #[must_use]
    pub fn chunked(mut self, chunks: Vec<Bytes>) -> Answer {
        self.chunks = chunks;
        self.chunked = true;
        self
    }

    /// Not sent before `gate` turns true.
    #[must_use]
    pub fn after(mut self, gate: watch::Receiver<bool>) -> Answer {
        self.gate = Some(gate);
        self
    }

    async fn send(mut self) -> Response<BoxBody<Bytes, Infallible>> {
        if let Some(gate) = &mut self.gate {
            // A closed gate is an open one: the test is over.
            let _ = gate.wait_for(|open| *open).await;
        }
        let body = if self.chunked {
            BodyExt::boxed(StreamBody::new(futures_util::stream::iter(self.chunks).map(|chunk| Ok(Frame::data(chunk)))))
        } else {
            Full::new(self.chunks.concat().into()).boxed()
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[derive(Default)]
struct Script {
    recorded: Mutex<Vec<Recorded>>,
    /// By path; the last answer stays.
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
}

/// A running origin; ends when dropped.
pub struct Origin {
    address: SocketAddr,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Origin {
    /// Listens on a free port. Paths without a script answer 200 with `origin says <target>`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let script = Arc::new(Script::default());
        let task = tokio::spawn(serve(listener, script.clone()));
        Origin { address, script, task }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queues an answer for a path; the last one queued is given for ever.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.script.answers.lock().entry(path.to_owned()).or_default().push_back(answer);
    }

    /// Everything asked so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.script.recorded.lock().clone()
    }

    /// How often this path (without query) was asked for.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let is_path = |recorded: &&Recorded| recorded.target.split('?').next() == Some(path);
        self.script.recorded.lock().iter().filter(is_path).count()
    }

    /// The last request.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn last(&self) -> Recorded {
        self.script.recorded.lock().last().cloned().expect("the origin was asked")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = script.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(script.clone(), request));
            // The edge may close its connection at any time.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    script: Arc<Script>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let answer = script.next(parts.uri.path(), &target);
    script.recorded.lock().push(Recorded { method: parts.method, target, headers: parts.headers, body });
    Ok(answer.send().await)
}

impl Script {
    fn next(&self, path: &str, target: &str) -> Answer {
        let mut answers = self.answers.lock();
        match answers.get_mut(path) {
            Some(queue) if queue.len() > 1 => queue.pop_front().expect("the queue has two answers"),
            Some(queue) => queue.front().cloned().expect("a queue is made with its first answer"),
            None => Answer::new(200).body(format!("origin says {target}")),
        }
    }
}
