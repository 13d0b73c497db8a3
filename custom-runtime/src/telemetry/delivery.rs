//! Delivers one subscriber's batches to where it listens in the environment, by
//! HTTP as an array, by TCP one event in a line; again and again, with growing
//! pauses, until it takes one.

use super::buffer::Buffer;
use super::subscription::{Destination, Protocol};
use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Goes on for as long as the environment lives.
pub(super) async fn deliver(buffer: Rc<Buffer>, destination: Destination) {
    let mut way = Way { destination, line: None, http: None };
    loop {
        let batch = buffer.batch().await;
        let body = way.body(&batch);
        let mut pause = PAUSE_MIN;
        while !matches!(tokio::time::timeout(TAKEN_WITHIN, way.send(body.clone())).await, Ok(Ok(()))) {
            (way.line, way.http) = (None, None);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

struct Way {
    destination: Destination,
    /// A connection that is open.
    line: Option<TcpStream>,
    http: Option<SendRequest<Full<Bytes>>>,
}

impl Way {
    fn body(&self, batch: &[String]) -> Bytes {
        match self.destination.protocol {
            Protocol::Http { .. } => format!("[{}]", batch.join(",")).into(),
            Protocol::Tcp => batch.iter().flat_map(|event| [event.as_str(), "\n"]).collect::<String>().into(),
        }
    }

    async fn send(&mut self, body: Bytes) -> anyhow::Result<()> {
        match self.destination.protocol.clone() {
            Protocol::Tcp => {
                let line = match &mut self.line {
                    Some(line) => line,
                    none => none.insert(self.destination.connect().await?),
                };
                Ok(line.write_all(&body).await?)
            }
            Protocol::Http { method, path } => {
                let open = self.http.as_ref().is_some_and(|open| !open.is_closed());
                if !open {
                    let (send, connection) = handshake(TokioIo::new(self.destination.connect().await?)).await?;
                    // One that breaks is met by the next request.
                    tokio::task::spawn_local(async move { drop(connection.await) });
                    self.http = Some(send);
                }
                let Some(http) = &mut self.http else { bail!("no connection") };
                http.ready().await?;
                let mut request = Request::new(Full::new(body));
                *request.method_mut() = method;
                *request.uri_mut() = path.parse().context("path")?;
                let host = HeaderValue::try_from(format!("sandbox.localdomain:{}", self.destination.port))?;
                request.headers_mut().insert(HOST, host);
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let answer = http.send_request(request).await?;
                if !answer.status().is_success() {
                    bail!("status {}", answer.status());
                }
                // The connection is used again.
                answer.into_body().collect().await?;
                Ok(())
            }
        }
    }
}

impl Destination {
    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

const TAKEN_WITHIN: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
