//! Answers the edge writes itself: generated responses, error pages, redirects.
//! Every one gets the headers all answers have.

use crate::connection::Connection;
use crate::ctx::{Asker, Ctx};
use crate::error::EdgeError;
use crate::response_headers::{self, Timing};
use crate::wire;
use bytes::Bytes;
use event::Generated;
use http::header::{CONTENT_LENGTH, DATE, LOCATION, SERVER, SET_COOKIE, TRANSFER_ENCODING, VIA};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use std::time::SystemTime;

/// The header of a response made by a function.
///
/// # Errors
/// A header line that cannot be sent, which the event rules do not let pass.
pub(crate) fn generated(response: &Generated) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(response.status, None)?;
    wire::set_response_headers(&mut header, response.headers.clone())?;
    if let Some(description) = &response.status_description {
        header.set_reason_phrase(Some(description))?;
    }
    header.remove_header(&TRANSFER_ENCODING);
    set_length(&mut header, response.body.len())?;
    Ok(header)
}

/// Says how long the body is, where a response may have one.
pub(crate) fn set_length(header: &mut ResponseHeader, length: usize) -> Result<()> {
    header.remove_header(&TRANSFER_ENCODING);
    if matches!(header.status.as_u16(), 204 | 304) {
        header.remove_header(&CONTENT_LENGTH);
        return Ok(());
    }
    header.insert_header(CONTENT_LENGTH, length)
}

/// The page for a failure.
pub(crate) fn error_page(ctx: &Ctx, error: &EdgeError) -> Result<(ResponseHeader, Bytes)> {
    let (headers, body) = match &ctx.explain {
        Some(explain) => explain.page(error),
        None => error.page(&ctx.request_id),
    };
    let mut header = ResponseHeader::build(error.status, Some(headers.len()))?;
    for (name, value) in &headers {
        header.insert_header(name, value)?;
    }
    Ok((header, body))
}

/// A redirect to the same address over TLS: 301 for reads, 307 for what has a body.
pub(crate) fn redirect_to_https(method: &Method, host: &str, target: &str) -> Result<ResponseHeader> {
    let reads = method == Method::GET || method == Method::HEAD;
    let status = if reads { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
    let mut header = ResponseHeader::build(status, None)?;
    header.insert_header(LOCATION, format!("https://{host}{target}"))?;
    header.insert_header(CONTENT_LENGTH, 0)?;
    Ok(header)
}

/// Applies the behavior's response headers policy, where an answer for a viewer has one.
///
/// # Errors
/// None that a checked policy can cause.
pub(crate) fn apply_policy(request: &RequestHeader, ctx: &Ctx, header: &mut ResponseHeader) -> Result<()> {
    let Some(site) = ctx.site.as_ref().filter(|_| ctx.asker == Asker::Viewer) else { return Ok(()) };
    let Some(policy) = &site.behavior.response_headers else { return Ok(()) };
    response_headers::apply(policy, request, header)
}

/// Adds `Server-Timing` where the policy wants it.
///
/// # Errors
/// None that a value of ours can cause.
pub(crate) fn time(session: &Session, ctx: &Ctx, header: &mut ResponseHeader) -> Result<()> {
    let Some(policy) = ctx.site.as_ref().and_then(|site| site.behavior.response_headers.as_ref()) else {
        return Ok(());
    };
    let timing = Timing {
        cache: session.cache.phase(),
        pop: POP,
        request_id: &ctx.request_id,
        upstream: ctx.origin_took,
        downstream: ctx.started.elapsed(),
    };
    match response_headers::server_timing(policy, session.req_header(), &timing) {
        Some(value) => header.append_header("Server-Timing", value).map(|_| ()),
        None => Ok(()),
    }
}

/// Adds to what is stored what every answer made of it has, so that hits need not.
pub(crate) fn stamp_stored(ctx: &Ctx, header: &mut ResponseHeader) -> Result<()> {
    if !header.headers.contains_key(VIA) {
        header.insert_header("Via", ctx.via("1.1"))?;
    }
    header.insert_header("X-Amz-Cf-Pop", HeaderValue::from_static(POP))
}

/// Adds what every answer has: `Date` and `Server` where missing, `Via`, `X-Amz-Cf-*`, and `X-Cache`;
/// the cookie of the viewer's session where it has one.
pub(crate) fn stamp(ctx: &mut Ctx, header: &mut ResponseHeader, x_cache: &'static str) -> Result<()> {
    if !header.headers.contains_key(DATE) {
        header.insert_header(DATE, httpdate::fmt_http_date(SystemTime::now()))?;
    }
    if !header.headers.contains_key(SERVER) {
        header.insert_header(SERVER, HeaderValue::from_static("CloudFront"))?;
    }
    if !header.headers.contains_key(VIA) {
        header.insert_header(VIA, ctx.via("1.1"))?;
    }
    let connection = ctx.connection.as_deref().and_then(Connection::of_digest);
    if let (Some(connection), Some(date)) = (connection, header.headers.get(DATE)) {
        connection.leave_date(date);
    }
    header.insert_header("X-Cache", HeaderValue::from_static(x_cache))?;
    if header.headers.get(&AMZ_CF_POP).is_none_or(|pop| pop != POP) {
        header.insert_header("X-Amz-Cf-Pop", HeaderValue::from_static(POP))?;
    }
    header.insert_header("X-Amz-Cf-Id", ctx.request_id.clone())?;
    if let Some(cookie) = &ctx.session_cookie {
        header.append_header(SET_COOKIE, cookie.clone())?;
    }
    ctx.sent = Some((header.status.as_u16(), x_cache));
    Ok(())
}

/// Writes a whole answer.
///
/// # Errors
/// The viewer's connection failed.
pub(crate) async fn write(
    session: &mut Session,
    ctx: &mut Ctx,
    mut header: ResponseHeader,
    body: Bytes,
    x_cache: &'static str,
) -> Result<()> {
    stamp(ctx, &mut header, x_cache)?;
    header.set_version(Version::HTTP_11);
    let silent = session.req_header().method == Method::HEAD || matches!(header.status.as_u16(), 204 | 304);
    let header_only = silent || body.is_empty();
    session.write_response_header(Box::new(header), header_only).await?;
    if !header_only {
        session.write_response_body(Some(body), true).await?;
    }
    session.as_downstream_mut().finish_body().await
}

/// Writes the page for a failure.
///
/// # Errors
/// As [`write`].
pub(crate) async fn write_error(session: &mut Session, ctx: &mut Ctx, error: &EdgeError) -> Result<()> {
    let (mut header, body) = error_page(ctx, error)?;
    apply_policy(session.req_header(), ctx, &mut header)?;
    write(session, ctx, header, body, error.x_cache).await
}

static AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");

/// Where this edge says it is.
const POP: &str = "LOCAL50-P1";
