//! Phase 7: what came from the origin, before it is stored: cookies nobody asked
//! for go, the origin-response hook runs, an error becomes its custom page.

use super::{Edge, failover, failure, invalidate, origin_request};
use crate::body::Swap;
use crate::cache::fields;
use crate::cache::key::ForwardsHeaders;
use crate::compress::Compression;
use crate::ctx::{Ctx, Site};
use crate::error::EdgeError;
use crate::hooks::{HookCall, hook_of};
use crate::{error_pages, respond, wire};
use bytes::Bytes;
use deployment::Selection;
use event::{EventType, ResponseEdit};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, SET_COOKIE, VIA};
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

/// Receives a response header. Passes interim responses and upgrades by (trap d).
///
/// # Errors
/// The fetch is over: `ctx.failure` or `ctx.answer` says what the viewer gets instead.
pub(super) async fn receive(
    edge: &Edge,
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut Ctx,
) -> Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    let Some(site) = ctx.site.clone() else { return Ok(()) };
    if failover::take_over(session, ctx, response.status.as_u16()) {
        let reason = "the origin group's secondary takes over";
        return Err(Error::explain(ErrorType::HTTPStatus(response.status.as_u16()), reason).into_up());
    }
    ctx.origin_answered = true;
    ctx.origin_took = ctx.origin_asked.map(|asked| asked.elapsed());
    response.remove_header(&VIA);
    for name in fields::of_the_connection(&response.headers) {
        response.remove_header(&name);
    }
    invalidate::after(edge, session.req_header(), response, ctx).await;
    if !forwards_cookies(&site) {
        response.remove_header(&SET_COOKIE);
    }
    let fetched_body = may_have_body(response);
    let mut replaced = match hook(response, ctx, &site).await {
        Ok(edit) => edit_response(response, edit)?,
        Err(error) => return Err(fail(ctx, error)),
    };
    if let Some(page) = error_pages::fetch(session, ctx, response.status.as_u16()).await {
        ctx.served_error_page = true;
        ctx.error_status = Some(response.status);
        let (header, body) = page;
        *response = header;
        replaced = Some(body);
    }
    if response.status == StatusCode::NOT_MODIFIED {
        ctx.not_modified = Some(Box::new(response.clone()));
        return Ok(());
    }
    if let Some(body) = &replaced {
        respond::set_length(response, body.len())?;
    }
    if session.req_header().method != Method::HEAD || session.cache.enabled() {
        ctx.compression = Compression::start(&site.behavior, session.req_header(), response)?;
    }
    let Some(body) = replaced else { return Ok(()) };
    if fetched_body {
        ctx.upstream_swap = Swap::Replace(body);
        return Ok(());
    }
    let mut body = Some(body);
    ctx.compression.apply(&mut body)?;
    let body = body.unwrap_or_default();
    respond::set_length(response, body.len())?;
    // Nothing streams by that could be swapped (trap f): the answer is written whole.
    origin_request::store(edge, session, ctx, (response, &body)).await;
    ctx.answer = Some((response.clone(), body));
    Err(Error::explain(ErrorType::InternalError, "a function's body takes the place of an empty one").into_in())
}

fn forwards_cookies(site: &Site) -> bool {
    let behavior = &site.behavior;
    behavior.cache.cookies != Selection::None
        || behavior.forward.cookies != Selection::None
        || behavior.forward.headers.forwards(&COOKIE)
}

fn may_have_body(response: &ResponseHeader) -> bool {
    let empty = response.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    !empty && !matches!(response.status.as_u16(), 204 | 304)
}

async fn hook(response: &ResponseHeader, ctx: &mut Ctx, site: &Site) -> Result<ResponseEdit, EdgeError> {
    let event = EventType::OriginResponse;
    let (Some(hook), Some(request)) = (hook_of(&site.behavior, event), origin_request::event_request(ctx)) else {
        return Ok(ResponseEdit::default());
    };
    let sent = wire::event_response(response);
    let (request_id, records) = (ctx.request_id.as_str(), &mut ctx.hooks);
    let call = HookCall { state: &site.state, distribution: &site.distribution, hook, event, request_id, records };
    let mut edit = call.on_response(&request, &sent).await?;
    edit.headers = edit.headers.map(|headers| headers.merge_hidden(&sent.headers));
    Ok(edit)
}

/// Applies an edit and gives back the new body. A 304 stays one: it refreshes what is stored (trap e).
fn edit_response(response: &mut ResponseHeader, edit: ResponseEdit) -> Result<Option<Bytes>> {
    let revalidates = response.status == StatusCode::NOT_MODIFIED;
    let encoding = response.headers.get(CONTENT_ENCODING).cloned();
    if let Some(headers) = edit.headers {
        wire::set_response_headers(response, headers)?;
    }
    if revalidates {
        return Ok(None);
    }
    if let Some(status) = edit.status {
        response.set_status(status)?;
        response.set_reason_phrase(None)?;
    }
    if let Some(description) = edit.status_description {
        response.set_reason_phrase(Some(&description))?;
    }
    if edit.body.is_some() && encoding.is_some() && response.headers.get(CONTENT_ENCODING) == encoding.as_ref() {
        // The function left the encoding of a body that is no longer there.
        response.remove_header(&CONTENT_ENCODING);
    }
    Ok(edit.body)
}

fn fail(ctx: &mut Ctx, error: EdgeError) -> Box<Error> {
    let up = failure::error_of(&error);
    ctx.failure = Some(error);
    up
}
