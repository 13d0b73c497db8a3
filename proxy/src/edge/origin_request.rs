//! Phase 4: the request as the origin will get it, and the origin-request hook,
//! once per miss. A response the hook makes is stored here and nowhere else (trap b).

use super::viewer_request::{has_body, hold_body};
use super::{Edge, admit, departure, failover, failure, invalidate, signing, viewer_response};
use crate::cache::part::PartOf;
use crate::ctx::{Ctx, Site};
use crate::error::EdgeError;
use crate::hooks::{HookCall, hook_of};
use crate::origin::{OriginHeaders, OriginRequest, Target, forwarded};
use crate::{respond, wire, x_cache};
use bytes::Bytes;
use deployment::Hook;
use event::{EventBody, EventRequest, EventType, Generated, RequestEdit, RequestResult};
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{StatusCode, Version};
use pingora::Result;
use pingora::cache::{CachePhase, NoCacheReason};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// Prepares the fetch; `false` when the viewer has an answer already.
pub(super) async fn prepare(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let Some(site) = ctx.site.clone() else { return Ok(true) };
    ctx.wanted = asked_part(session).map(|of| of.wanted);
    ctx.origin_request = Some(build(session, ctx, &site));
    if let Some(hook) = hook_of(&site.behavior, EventType::OriginRequest)
        && !run(edge, session, ctx, (&site, hook)).await?
    {
        return Ok(false);
    }
    let Err(error) = signing::prepare(session, ctx).await? else { return Ok(true) };
    release(session, NoCacheReason::InternalError);
    tell(session, ctx, &error).await?;
    Ok(false)
}

/// The part to ask for. What is stored whole is asked about as a whole.
fn asked_part(session: &Session) -> Option<&PartOf> {
    let cache = Some(&session.cache).filter(|cache| cache.enabled())?;
    let whole =
        cache.maybe_cache_meta().is_some_and(|meta| meta.response_header().status != StatusCode::PARTIAL_CONTENT);
    cache.maybe_cache_key().filter(|_| !whole).and_then(PartOf::of)
}

fn build(session: &Session, ctx: &Ctx, site: &Site) -> OriginRequest {
    let request = session.req_header();
    let target = Target::configured(failover::origin(ctx, site));
    let via = ctx.via(if request.version == Version::HTTP_2 { "2.0" } else { "1.1" });
    let edge = OriginHeaders {
        client_ip: ctx.client_ip,
        request_id: &ctx.request_id,
        via: &via,
        // As the key has it: what the origin makes of another port or spelling is for others too.
        viewer_host: &ctx.host,
        origin_host: &target.host(),
        upgrade: session.as_downstream().is_upgrade_req(),
        cached: session.cache.enabled(),
    };
    let lines = wire::request_headers(request);
    let viewer = (&lines, &request.headers);
    let query = request.uri.query().unwrap_or_default();
    let (query, mut headers) = forwarded(&site.behavior, &request.method, query, viewer, &edge);
    if let Some(meta) = session.cache.enabled().then(|| session.cache.maybe_cache_meta()).flatten() {
        for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(value) = meta.headers().get(from) {
                headers.push(to.as_str(), Bytes::copy_from_slice(value.as_bytes()));
            }
        }
    }
    for (name, value) in asked_part(session).into_iter().flat_map(PartOf::asks) {
        headers.push(name, value);
    }
    OriginRequest { method: request.method.clone(), path: request.uri.path().to_owned(), query, headers, target }
}

async fn run(edge: &Edge, session: &mut Session, ctx: &mut Ctx, (site, hook): (&Site, &Hook)) -> Result<bool> {
    let event = EventType::OriginRequest;
    let shows_body = hook.include_body && has_body(&session.req_header().method);
    if shows_body && ctx.body.replaced_len().is_none() {
        hold_body(session, ctx, event.body_bytes_max()).await?;
    }
    let Some(mut request) = event_request(ctx) else { return Ok(true) };
    if shows_body {
        let (data, truncated) = ctx.body.seen(event.body_bytes_max());
        request.body = Some(EventBody { data, truncated });
    }
    let gone = departure::gone(session, ctx.asker);
    let (request_id, records) = (ctx.request_id.as_str(), &mut ctx.hooks);
    let call = HookCall { state: &site.state, distribution: &site.distribution, hook, event, request_id, records };
    match call.on_request(&request, gone).await {
        Ok(RequestResult::Forward(edit)) => {
            apply(ctx, &request, edit);
            return Ok(true);
        }
        Ok(RequestResult::Respond(response)) => answer(edge, session, ctx, response).await?,
        Err(error) => {
            release(session, NoCacheReason::InternalError);
            failure::tell(session, ctx, &error).await?;
        }
    }
    Ok(false)
}

/// The request as origin events show it.
pub(super) fn event_request(ctx: &Ctx) -> Option<EventRequest> {
    let request = ctx.origin_request.as_ref()?;
    Some(EventRequest {
        client_ip: ctx.client_ip,
        method: request.method.clone(),
        uri: request.path.clone(),
        querystring: request.query.clone(),
        headers: request.headers.clone(),
        body: None,
        origin: Some(request.target.event_origin()),
    })
}

fn apply(ctx: &mut Ctx, sent: &EventRequest, edit: RequestEdit) {
    let Some(request) = ctx.origin_request.as_mut() else { return };
    if let Some(path) = edit.uri {
        request.path = path;
    }
    if let Some(query) = edit.querystring {
        request.query = query;
    }
    if let Some(headers) = edit.headers {
        request.headers = headers.merge_hidden(&sent.headers);
    }
    if let Some(origin) = edit.origin {
        request.target = request.target.replaced(origin);
    }
    if let Some(body) = edit.body {
        ctx.body.replace(body);
    }
}

async fn answer(edge: &Edge, session: &mut Session, ctx: &mut Ctx, response: Generated) -> Result<()> {
    let mut header = respond::generated(&response)?;
    invalidate::after(edge, session.req_header(), &header, ctx).await;
    store(edge, session, ctx, (&header, &response.body)).await;
    match viewer_response::hook(session, ctx, &mut header).await {
        Ok(()) => {
            let x_cache = x_cache::x_cache(header.status, CachePhase::Miss);
            respond::write(session, ctx, header, response.body, x_cache).await
        }
        Err(error) => tell(session, ctx, &error).await,
    }
}

async fn tell(session: &mut Session, ctx: &mut Ctx, error: &EdgeError) -> Result<()> {
    failure::tell(session, ctx, error).await
}

/// Stores a response that the edge has whole, if its policy lets it; always lets go of the cache lock.
pub(super) async fn store(edge: &Edge, session: &mut Session, ctx: &Ctx, (header, body): (&ResponseHeader, &Bytes)) {
    if !session.cache.enabled() {
        return;
    }
    let meta = admit::meta(session.req_header(), header, ctx);
    admit::remember(edge, session, meta.as_ref());
    let Some(meta) = meta else {
        return session.cache.disable(NoCacheReason::OriginNotCache);
    };
    session.cache.set_cache_meta(meta);
    let stored = async {
        session.cache.set_miss_handler().await?;
        if let Some(writer) = session.cache.miss_handler() {
            writer.write_body(body.clone(), true).await?;
        }
        session.cache.finish_miss_handler().await
    };
    if let Err(error) = stored.await {
        tracing::warn!(%error, "generated response could not be stored");
        session.cache.disable(NoCacheReason::StorageError);
    }
}

fn release(session: &mut Session, reason: NoCacheReason) {
    if session.cache.enabled() {
        session.cache.disable(reason);
    }
}
