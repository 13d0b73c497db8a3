//! Serving what has expired: while it is fetched anew, and when the origin fails.

use crate::ctx::{Asker, Ctx, Handover};
use crate::event::EventType;
use crate::hooks::hook_of;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource};
use std::sync::Arc;

/// Whether a stale response may go out. Pingora asks only within the response's own stale windows.
pub(super) fn may_serve(session: &mut Session, ctx: &Ctx, error: Option<&Error>) -> bool {
    match error {
        Some(error) => error.esource() == &ErrorSource::Upstream && ctx.failure.is_none() && ctx.answer.is_none(),
        None => ctx.asker == Asker::Viewer && hand_over(session, ctx),
    }
}

/// Leaves the request as it is now, hook and all, for the background fetch that
/// Pingora starts next: that one gets a copy of the connection's digest and
/// otherwise only what the viewer sent. Where the digest is shared (HTTP/2) it
/// can start only if no viewer-request hook had a say.
fn hand_over(session: &mut Session, ctx: &Ctx) -> bool {
    let Some(site) = &ctx.site else { return false };
    let handover = Handover {
        site: site.clone(),
        request: session.req_header().clone(),
        host: ctx.host.clone(),
        client_ip: ctx.client_ip,
        tls: ctx.tls,
    };
    let unchanged = hook_of(&site.behavior, EventType::ViewerRequest).is_none();
    let Some(digest) = session.as_downstream_mut().digest_mut() else { return unchanged };
    let Ok(header) = ResponseHeader::build(200, None) else { return unchanged };
    digest.proxy_digest = Some(Arc::new(ProxyDigest::new(Box::new(header), Some(Box::new(handover)))));
    true
}
