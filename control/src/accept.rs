//! The accept loop of both listeners, the admin's and that of function URLs: connections, how
//! many there are at one time, and the requests that come on them. What a request is
//! answered with is its listener's.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// What the connections of a listener are held to.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Who listens, for the log.
    pub(crate) of: &'static str,
    pub(crate) connections_max: usize,
    /// For the head of each request, from the end of the one before.
    pub(crate) header_timeout: Duration,
}

/// Answers the requests on the connections that `next` brings, until the task is dropped.
pub(crate) async fn accept<S, N, A>(
    next: impl Fn() -> N,
    bounds: Bounds,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    N: Future<Output = io::Result<S>>,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let Bounds { of, connections_max, header_timeout } = bounds;
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match next().await {
            Ok(stream) => {
                let answer = answer.clone();
                tokio::spawn(async move {
                    converse(stream, answer, header_timeout).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!("{of} cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers what comes on one connection.
async fn converse<S, A>(stream: S, answer: impl Fn(Request<Incoming>) -> A, header_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the control plane ended: {error}");
    }
}

/// After one that failed, so that a lasting reason does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
