//! Serving what has expired: while it is fetched anew, and when the origin fails.

use super::Edge;
use crate::cache::policy;
use crate::ctx::{Asker, Ctx, Handover};
use crate::hooks::hook_of;
use event::EventType;
use http::StatusCode;
use pingora::cache::{CacheMeta, ForcedFreshness};
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};
use std::sync::Arc;
use std::time::SystemTime;

/// Whether a stale response may go out. Pingora asks only within the response's own stale windows.
pub(super) fn may_serve(edge: &Edge, session: &mut Session, ctx: &Ctx, error: Option<&Error>) -> bool {
    let Some(error) = error else { return ctx.asker == Asker::Viewer && hand_over(session, ctx) };
    let origin_failed = error.esource() == &ErrorSource::Upstream && ctx.failure.is_none() && ctx.answer.is_none();
    if let (true, Some(site), Some(key)) = (origin_failed, &ctx.site, session.cache.maybe_cache_key()) {
        let code = match error.etype() {
            ErrorType::HTTPStatus(code) => *code,
            _ => StatusCode::BAD_GATEWAY.as_u16(),
        };
        edge.cache.stand_in(key, policy::error_caching_min(&site.distribution.error_pages, code));
        // Pingora closes the viewer's connection after it: the viewer is to know before it asks again.
        session.set_keepalive(None);
    }
    origin_failed
}

/// Whether a stale response is as good as fresh: the origin failed a moment ago,
/// and this response may stand in for it.
pub(super) fn stands_in(edge: &Edge, session: &Session, meta: &CacheMeta) -> Option<ForcedFreshness> {
    let allowed = meta.serve_stale_if_error(SystemTime::now());
    (allowed && edge.cache.stands_in(session.cache.cache_key())).then_some(ForcedFreshness::ForceFresh)
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
