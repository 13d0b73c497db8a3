//! What a viewer gets when a request failed: the distribution's custom error
//! page where it has one, ours otherwise.

use crate::ctx::Ctx;
use crate::error::{EdgeError, X_CACHE_LIMIT_EXCEEDED};
use crate::{error_pages, respond, x_cache};
use http::StatusCode;
use pingora::cache::CachePhase;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType, Result};

/// Answers with the page for a failure.
///
/// # Errors
/// The viewer's connection failed.
pub(super) async fn tell(session: &mut Session, ctx: &mut Ctx, error: &EdgeError) -> Result<()> {
    tracing::debug!(target: "edge", request_id = ctx.request_id, "{error}");
    let custom = match error.x_cache {
        // CloudFront does not put a custom page over its own limits.
        X_CACHE_LIMIT_EXCEEDED => None,
        _ => error_pages::fetch(session, ctx, error.status.as_u16()).await,
    };
    match custom {
        Some((mut header, body)) => {
            respond::apply_policy(session.req_header(), ctx, &mut header)?;
            respond::write(session, ctx, header, body, error.x_cache).await
        }
        None => respond::write_error(session, ctx, error).await,
    }
}

/// Pingora's last word on a request that failed after phase 1.
pub(super) async fn answer(session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
    let written = session.response_written().is_some_and(|written| !written.status.is_informational());
    // The connection ends with this answer, which says so.
    session.as_downstream_mut().set_keepalive(None);
    let outcome = if written {
        Ok(())
    } else if let Some((mut header, body)) = ctx.answer.take() {
        match super::viewer_response::hook(session, ctx, &mut header).await {
            Ok(()) => {
                let x_cache = x_cache::x_cache(header.status, CachePhase::Miss);
                respond::write(session, ctx, header, body, x_cache).await
            }
            Err(failed) => tell(session, ctx, &failed).await,
        }
    } else if let Some(failed) = ctx.failure.clone().or_else(|| failure_of(error)) {
        tell(session, ctx, &failed).await
    } else {
        Ok(())
    };
    if let Err(write_error) = outcome {
        tracing::debug!(target: "edge", %write_error, "viewer left before its answer");
    }
    FailToProxy { error_code: ctx.sent.map_or(0, |(status, _)| status), can_reuse_downstream: false }
}

/// What a failed fetch is to the viewer; `None` when the viewer itself is gone.
fn failure_of(error: &Error) -> Option<EdgeError> {
    let status = match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(code), _) => StatusCode::from_u16(*code).unwrap_or(StatusCode::BAD_GATEWAY),
        (
            ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout,
            ErrorSource::Upstream,
        ) => StatusCode::GATEWAY_TIMEOUT,
        (_, ErrorSource::Upstream) => StatusCode::BAD_GATEWAY,
        (
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout,
            ErrorSource::Downstream,
        ) => return None,
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => StatusCode::REQUEST_TIMEOUT,
        (_, ErrorSource::Downstream) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let failed = EdgeError::new(status, error.to_string());
    tracing::warn!(target: "edge", "{failed}");
    Some(failed)
}

/// Pingora's error for a failure of ours, which it must neither retry nor cover with a stale response.
pub(super) fn error_of(error: &EdgeError) -> Box<Error> {
    Error::explain(ErrorType::HTTPStatus(error.status.as_u16()), error.reason.clone()).into_in()
}
