//! An HTTP/1 connection: one request after the other, each with its header read whole
//! under a deadline before the proxy starts. What a viewer sends ahead waits for its turn.

use pingora::apps::{HttpPersistentSettings, HttpServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::ProxyHttp;
use tokio::time::Instant;

use super::dated::DatedStream;
use super::framing::Framing;
use super::one_request::OneRequest;
use super::{Front, stopping};
use crate::guard::clock::Clock;
use crate::guard::header::{self, Deadlines, NoHeader};

/// Serves until either side closes. `header_by` is the deadline of the first header.
pub(super) async fn serve<P>(front: &Front<P>, stream: Stream, header_by: Instant)
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let limits = &front.limits;
    let mut viewer = Box::new(DatedStream::new(OneRequest::new(stream)));
    let mut settings: Option<HttpPersistentSettings> = None;
    let mut deadlines = Deadlines { first_byte: header_by, header: limits.header, whole_by: Some(header_by) };
    let mut clock = Clock::new();
    let mut shutdown = front.shutdown.clone();
    let stopping = stopping(&mut shutdown);
    tokio::pin!(stopping);
    loop {
        let read = tokio::select! {
            biased;
            read = header::read(&mut *viewer, &mut clock, deadlines, limits.header_bytes_max) => read,
            () = &mut stopping => Err(NoHeader::Gone),
        };
        let (header, behind) = match read {
            Ok(read) => read,
            Err(reason) => return header::refuse(&mut *viewer, reason).await,
        };
        let framing = Framing::of(&header);
        viewer.stream.begin(framing, behind);
        let mut session = ServerSession::new_http1(viewer);
        match settings.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            None => session.set_keepalive(Some(limits.idle.as_secs().max(1))),
        }
        if !framing.certain {
            // The answer says that no other follows.
            session.set_keepalive_reuses_remaining(Some(0));
        }
        session.set_read_timeout(Some(limits.body));
        session.set_total_drain_timeout(Some(limits.body));
        session.set_pipelined_prefix(header);
        let Some(reusable) = front.proxy.process_new_http(session, &front.shutdown).await else {
            return;
        };
        let (stream, next) = reusable.consume();
        settings = next;
        let Ok(same) = stream.into_any().downcast::<DatedStream>() else { return };
        viewer = same;
        if !viewer.stream.end() {
            return tracing::debug!("connection closed: where its next request begins is not certain");
        }
        deadlines = Deadlines { first_byte: Instant::now() + limits.idle, header: limits.header, whole_by: None };
    }
}
