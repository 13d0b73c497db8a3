//! Origins that only answer signed requests: what is refused and held back before the first
//! attempt, and the signature of each. Runs after the origin-request hook.

use super::viewer_request::hold_body;
use crate::ctx::Ctx;
use crate::error::EdgeError;
use crate::origin;
use http::StatusCode;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

/// Reads the body where its hash is signed.
///
/// # Errors
/// The viewer's connection failed. The inner one is why the request cannot be signed.
pub(super) async fn prepare(session: &mut Session, ctx: &mut Ctx) -> Result<Result<(), EdgeError>> {
    let Some(request) = &ctx.origin_request else { return Ok(Ok(())) };
    let Some(control) = origin::signs(request) else { return Ok(Ok(())) };
    if !origin::is_signable(request, control) {
        let reason = format!("a path with a segment . or .. is not signed: {}", request.path);
        return Ok(Err(EdgeError::new(StatusCode::BAD_REQUEST, reason)));
    }
    let held = ctx.body.whole().is_some() || ctx.failed_over;
    if held || !origin::hashes_body(request, control) || session.as_downstream_mut().is_body_empty() {
        return Ok(Ok(()));
    }
    hold_body(session, ctx, origin::BODY_BYTES_MAX).await?;
    if ctx.body.whole().is_none_or(|body| body.len() > origin::BODY_BYTES_MAX) {
        let reason = format!("a body that is signed has at most {} bytes", origin::BODY_BYTES_MAX);
        return Ok(Err(EdgeError::new(StatusCode::PAYLOAD_TOO_LARGE, reason)));
    }
    Ok(Ok(()))
}

/// Signs what is sent to the origin, where its access control says so.
pub(super) fn sign(session: &mut Session, up: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    let Some(request) = &ctx.origin_request else { return Ok(()) };
    let Some(control) = origin::signs(request) else { return Ok(()) };
    let empty = || session.as_downstream_mut().is_body_empty().then_some(&[][..]);
    let body = ctx.body.whole().or_else(empty);
    origin::sign(up, request, control, body)
}
