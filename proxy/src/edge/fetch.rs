//! Phases 2, 5 and 6: the cache key, the origin's address, and what is sent to it.

use super::{Edge, admit, failover, origin_request, signing};
use crate::cache::directives::SURROGATE_CAPABILITY;
use crate::cache::key::{self, AcceptEncoding};
use crate::cache::part::PartOf;
use crate::cache::policy;
use crate::ctx::Ctx;
use crate::guard::upload;
use crate::origin::{self, GatedConnector};
use crate::wire;
use http::Method;
use http::header::{CONNECTION, CONTENT_LENGTH, RANGE, TRANSFER_ENCODING, UPGRADE};
use pingora::cache::CacheKey;
use pingora::cache::key::CacheHashKey;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Turns the cache on for reads of behaviors that cache.
pub(super) fn enable_cache(edge: &Edge, session: &mut Session, ctx: &Ctx) {
    let Some(site) = &ctx.site else { return };
    let cached = site.behavior.cached_methods.has(&session.req_header().method);
    // A body is in no key: what was made of it is for nobody else.
    let bare = !session.as_downstream().is_upgrade_req() && session.as_downstream_mut().is_body_empty();
    if !cached || !bare || !policy::caches(&site.behavior.cache) {
        return;
    }
    // A part that cannot be stored is the origin's to cut, as is one of several of what cannot be.
    let part = session.req_header().headers.contains_key(RANGE);
    let too_large = |key: &CacheKey| edge.cache.store.is_too_large(&key.primary_bin());
    if !part || !key(edge, session, ctx).is_ok_and(|key| too_large(&key)) {
        edge.cache.enable(&mut session.cache);
    }
}

/// The key of the request as the viewer-request hook left it.
pub(super) fn key(edge: &Edge, session: &Session, ctx: &Ctx) -> Result<CacheKey> {
    let Some(site) = &ctx.site else {
        return Error::e_explain(ErrorType::InternalError, "no behavior was chosen for this request");
    };
    let request = session.req_header();
    let bytes = key::cache_key(&admit::place(site, request, &ctx.host), &request.method, &request.headers);
    let whole = CacheKey::new(bytes, "");
    if !request.headers.contains_key(RANGE) || edge.cache.is_undivided(&whole) {
        return Ok(whole);
    }
    // What the edge compresses has its ranges in the compressed bytes, of which the origin knows nothing.
    let encoding = key::accept_encoding(&site.behavior.cache, &request.headers);
    if site.behavior.compress && matches!(encoding, AcceptEncoding::Normalized(_)) {
        return Ok(whole);
    }
    Ok(PartOf::key(whole, &request.method, &request.headers))
}

/// The peer of the next attempt.
pub(super) async fn peer(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
    let found = find_peer(edge, session, ctx).await;
    match &found {
        Err(error) if failover::take_over(session, ctx, failover::status_of(error)) => {
            find_peer(edge, session, ctx).await
        }
        _ => found,
    }
}

async fn find_peer(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
    if ctx.failed_over && ctx.origin_request.is_none() && !origin_request::prepare(edge, session, ctx).await? {
        return Err(Error::explain(ErrorType::InternalError, "the viewer has an answer already").into_in());
    }
    let Some(request) = &ctx.origin_request else {
        return Error::e_explain(ErrorType::InternalError, "no origin was chosen for this request");
    };
    let up = |error: crate::error::EdgeError| {
        Error::explain(ErrorType::HTTPStatus(error.status.as_u16()), error.reason).into_up()
    };
    let addresses = origin::addresses(&request.target).await.map_err(up)?;
    let mut peer = origin::peer(&request.target, &addresses, ctx.attempts, &*edge.directories).map_err(up)?;
    let down = session.as_downstream_mut();
    if down.is_upgrade_req() && down.is_body_empty() && !addresses.is_empty() {
        let gate = ctx.upgrade_gate.insert(Arc::default());
        peer.options.custom_l4 = Some(Arc::new(GatedConnector { gate: Arc::clone(gate) }));
        // Neither takes a connection from the pool nor leaves one there.
        peer.group_key = UPGRADES;
        peer.options.idle_timeout = Some(Duration::ZERO);
    }
    ctx.attempts += 1;
    ctx.body.rewind();
    Ok(Box::new(peer))
}

/// Makes Pingora's copy of the viewer's request the origin's request. What frames
/// the body and what asks for an upgrade stay Pingora's (trap i). Each attempt is signed anew.
pub(super) fn fill_request(session: &mut Session, up: &mut RequestHeader, ctx: &mut Ctx) -> Result<()> {
    let Some(request) = &ctx.origin_request else { return Ok(()) };
    if let Some(gate) = &ctx.upgrade_gate {
        gate.close();
    }
    upload::waits();
    ctx.origin_asked = Some(Instant::now());
    let framing = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE];
    let kept = framing.clone().map(|name| (up.headers.get(&name).cloned(), name));
    let mut headers = request.wire_headers();
    framing.iter().for_each(|name| headers.remove(name.as_str()));
    wire::set_request_headers(up, headers)?;
    up.set_raw_path(request.wire_target().as_bytes())?;
    for (value, name) in kept {
        if let Some(value) = value {
            up.insert_header(name, value)?;
        }
    }
    if let Some(length) = ctx.body.replaced_len() {
        up.remove_header(&TRANSFER_ENCODING);
        up.insert_header(CONTENT_LENGTH, length)?;
    }
    if session.cache.enabled() {
        up.append_header("Surrogate-Capability", SURROGATE_CAPABILITY)?;
    }
    signing::sign(session, up, ctx)
}

/// A connection that failed is tried again as often as the origin allows, and then
/// the secondary's.
pub(super) fn retry_connect(session: &Session, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
    error.set_retry(attempts_left(ctx) || failover::take_over(session, ctx, failover::status_of(&error)));
    error
}

/// A fetch that failed is repeated when nothing of it reached anyone: reads after a
/// read timeout, and what a reused connection dropped. What is not repeated may
/// be the secondary's.
pub(super) fn retry_fetch(
    peer: &HttpPeer,
    session: &mut Session,
    ctx: &mut Ctx,
    error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let mut error = error.more_context(format!("origin {peer}"));
    let method = &session.req_header().method;
    let reads = method == Method::GET || method == Method::HEAD;
    if ctx.failed_over && ctx.origin_request.is_none() {
        // Its answer's status turned to the secondary.
        error.set_retry(true);
    } else if ctx.origin_answered || ctx.failure.is_some() || ctx.answer.is_some() || !attempts_left(ctx) {
        error.set_retry(false);
    } else if reads && matches!(error.etype(), ErrorType::ReadTimedout) {
        error.set_retry(true);
    } else if !method.is_idempotent() || session.as_downstream().retry_buffer_truncated() {
        error.set_retry(false);
    } else {
        error.retry.decide_reuse(reused);
    }
    if !error.retry() && failover::take_over(session, ctx, failover::status_of(&error)) {
        error.set_retry(true);
    }
    error
}

fn attempts_left(ctx: &Ctx) -> bool {
    ctx.origin_request.as_ref().is_some_and(|request| ctx.attempts < request.target.connection_attempts)
}

/// The pool's name for connections that may become upgraded.
const UPGRADES: u64 = 1;
