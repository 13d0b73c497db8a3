//! An origin that shows what it was asked, for whoever writes functions and has
//! no origin yet: status 200, and the request as plain text.

use crate::local_http;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// Answers on a new Unix socket until the task is aborted.
///
/// # Errors
/// The socket cannot be made.
pub fn start(socket: &Path) -> io::Result<JoinHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    Ok(tokio::spawn(local_http::serve(listener, "the echo origin", IDLE_MAX, answer)))
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) => Bytes::from(format!("(the body is not shown: {error})")),
    };
    let mut text = format!("{} {}\n", head.method, head.uri);
    for (name, value) in &head.headers {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    if !body.is_empty() {
        let _ = write!(text, "\n{}", String::from_utf8_lossy(&body));
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const BODY_BYTES_MAX: usize = 1024 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(300);
