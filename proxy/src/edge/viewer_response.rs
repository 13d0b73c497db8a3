//! Phase 9: the viewer-response hook, on hits and misses, and the headers every
//! answer has.

use super::{failure, viewer_request};
use crate::body::Swap;
use crate::cache::CustomErrorPage;
use crate::cache::status::cache_status;
use crate::ctx::{Asker, Ctx, Site};
use crate::error::EdgeError;
use crate::hooks::{HookCall, hook_of};
use crate::{respond, wire, x_cache};
use bytes::Bytes;
use event::EventType;
use http::header::VIA;
use http::{Method, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// Makes a response ready for the viewer.
///
/// # Errors
/// Only without a cache, where the error page can still be written in its place
/// (trap g). With one, the page takes the place of the response as it streams by.
pub(super) async fn send(session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let own = std::mem::take(&mut ctx.not_stored);
    own.iter().for_each(|(name, _)| {
        response.remove_header(name);
    });
    for (name, value) in own {
        response.append_header(name, value)?;
    }
    let from_cache = session.cache.maybe_cache_meta();
    ctx.served_error_page |= from_cache.is_some_and(|meta| meta.extensions().get::<CustomErrorPage>().is_some());
    let outcome = match ctx.failure.clone() {
        Some(failed) => Err(failed),
        None => hook(session, ctx, response).await,
    };
    let Err(error) = outcome else {
        let x_cache = x_cache::x_cache(response.status, session.cache.phase());
        respond::time(session, ctx, response)?;
        response.append_header("Cache-Status", cache_status(&session.cache, &session.req_header().method))?;
        return respond::stamp(ctx, response, x_cache);
    };
    if !session.cache.enabled() {
        let stop = failure::error_of(&error);
        ctx.failure = Some(error);
        return Err(stop);
    }
    let silent = session.req_header().method == Method::HEAD || matches!(response.status.as_u16(), 204 | 304 | 416);
    let (mut page, mut body) = respond::error_page(ctx, &error)?;
    if silent && session.req_header().method != Method::HEAD {
        // Pingora will send no body with this one.
        body = Bytes::new();
        respond::set_length(&mut page, 0)?;
    }
    respond::apply_policy(session.req_header(), ctx, &mut page)?;
    respond::stamp(ctx, &mut page, error.x_cache)?;
    *response = page;
    ctx.viewer_swap = Swap::Replace(body);
    Ok(())
}

/// Runs the hook where there is one and the response is none that it may not see.
pub(super) async fn hook(session: &Session, ctx: &mut Ctx, response: &mut ResponseHeader) -> Result<(), EdgeError> {
    let failed = |error: Box<pingora::Error>| EdgeError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    if !response.headers.contains_key(VIA) {
        response.insert_header("Via", ctx.via("1.1")).map_err(failed)?;
    }
    respond::apply_policy(session.req_header(), ctx, response).map_err(failed)?;
    let skipped = ctx.asker != Asker::Viewer
        || ctx.served_error_page
        || response.status.as_u16() >= 400
        || response.status == StatusCode::SWITCHING_PROTOCOLS;
    let event = EventType::ViewerResponse;
    let hooked = |site: &&Site| !skipped && hook_of(&site.behavior, event).is_some();
    let Some(site) = ctx.site.as_ref().filter(hooked).cloned() else { return Ok(()) };
    let Some(hook) = hook_of(&site.behavior, event) else { return Ok(()) };
    let mut request = viewer_request::event_request(session, ctx);
    ctx.edge_headers.iter().for_each(|(name, _)| request.headers.remove(name.as_str()));
    let sent = wire::event_response(response);
    let (request_id, records) = (ctx.request_id.as_str(), &mut ctx.hooks);
    let call = HookCall { state: &site.state, distribution: &site.distribution, hook, event, request_id, records };
    let edit = call.on_response(&request, &sent).await?;
    if let Some(headers) = edit.headers {
        wire::edit_response_headers(response, headers, &sent.headers).map_err(failed)?;
    }
    Ok(())
}
