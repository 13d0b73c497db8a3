//! An HTTP/2 connection: bounds on streams, header lists, resets and silence around
//! Pingora's own loop.

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::ShutdownWatch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Front;
use crate::guard::Limits;
use crate::guard::h2_stream::H2Stream;
use crate::guard::upload::Upload;

/// Serves until either side closes or a bound is passed.
pub(super) async fn serve<P>(front: &Front<P>, stream: Stream)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(front.limits.idle);
    let connection = Arc::new(Connection {
        proxy: front.proxy.clone(),
        limits: front.limits,
        options,
        running: AtomicU32::new(0),
        refused: AtomicU32::new(0),
        started: Notify::new(),
        abused: Notify::new(),
    });
    tokio::select! {
        _ = connection.process_new(Box::new(H2Stream::new(stream)), &front.shutdown) => {}
        () = connection.silent(front.limits.idle) => {}
        () = connection.abused.notified() => tracing::debug!("connection closed: it reset requests too fast"),
    }
}

struct Connection<P> {
    proxy: Arc<HttpProxy<P>>,
    limits: Limits,
    options: HttpServerOptions,
    /// Requests being served. More than the streams allowed means that the viewer reset
    /// streams whose work still runs (CVE-2023-44487).
    running: AtomicU32,
    refused: AtomicU32,
    started: Notify,
    abused: Notify,
}

impl<P> Connection<P> {
    /// Resolves when no request began within `limit`; never once one did. Pingora's idle
    /// timeout covers the time after, but not a preface that never comes.
    async fn silent(&self, limit: Duration) {
        if timeout(limit, self.started.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl<P> HttpServerApp for Connection<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.started.notify_one();
        let running = Running::start(&self.running);
        if running.now > self.limits.h2_streams_max {
            session.shutdown().await;
            if self.refused.fetch_add(1, Ordering::Relaxed) >= REFUSED_MAX {
                self.abused.notify_one();
            }
            return None;
        }
        session.set_write_timeout(Some(WRITE_MAX));
        session.set_total_drain_timeout(Some(self.limits.body));
        if session.is_body_empty() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        let request = self.proxy.process_new_http(session, shutdown);
        let done = Upload::watch(self.limits.body, request).await;
        done.unwrap_or_else(|| {
            tracing::info!("HTTP/2 request reset: its body made no progress for {} s", self.limits.body.as_secs_f32());
            None
        })
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = H2Options::default();
        options.max_concurrent_streams(self.limits.h2_streams_max);
        options.max_header_list_size(u32::try_from(self.limits.header_bytes_max).unwrap_or(u32::MAX));
        options.max_concurrent_reset_streams(RESETS_REMEMBERED_MAX);
        options.max_pending_accept_reset_streams(RESETS_PENDING_MAX);
        options.max_local_error_reset_streams(Some(RESETS_FOR_ERRORS_MAX));
        options.max_send_buffer_size(SEND_BUFFER_BYTES);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

struct Running<'a> {
    count: &'a AtomicU32,
    /// With this one.
    now: u32,
}

impl<'a> Running<'a> {
    fn start(count: &'a AtomicU32) -> Running<'a> {
        Running { count, now: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For one chunk of a response, which may be a whole cached object.
const WRITE_MAX: Duration = Duration::from_secs(300);
const REFUSED_MAX: u32 = 100;
const RESETS_REMEMBERED_MAX: usize = 50;
const RESETS_PENDING_MAX: usize = 20;
const RESETS_FOR_ERRORS_MAX: usize = 256;
const SEND_BUFFER_BYTES: usize = 256 * 1024;
