//! Origin groups (AWS: "Optimize high availability with CloudFront origin
//! failover"): when the secondary takes over. It is asked as the primary was, by a
//! run of the origin-request hook of its own.

use crate::ctx::{Ctx, Site};
use deployment::Origin;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use std::sync::Arc;

/// The origin a request is for.
pub(super) fn origin<'a>(ctx: &Ctx, site: &'a Site) -> &'a Arc<Origin> {
    let secondary = site.behavior.failover.as_ref().filter(|_| ctx.failed_over);
    secondary.map_or(&site.behavior.origin, |failover| &failover.secondary)
}

/// Turns to the secondary, if there is one and this failure is one it stands in
/// for: then the next attempt prepares a request of its own.
pub(super) fn take_over(session: &Session, ctx: &mut Ctx, status: u16) -> bool {
    let Some(failover) = ctx.site.as_ref().and_then(|site| site.behavior.failover.clone()) else { return false };
    let method = &session.req_header().method;
    let reads = ctx.site.as_ref().is_some_and(|site| site.behavior.cached_methods.has(method));
    let begun = ctx.origin_answered || ctx.failure.is_some() || ctx.answer.is_some();
    if ctx.failed_over || begun || !reads || !failover.statuses.contains(&status) {
        return false;
    }
    tracing::info!(
        target: "edge",
        request_id = ctx.request_id,
        "origin {} failed ({status}), {} takes over",
        ctx.site.as_ref().map_or("", |site| &site.behavior.origin.name),
        failover.secondary.name
    );
    (ctx.failed_over, ctx.origin_request, ctx.attempts) = (true, None, 0);
    true
}

/// What a fetch that broke counts as.
pub(super) fn status_of(error: &Error) -> u16 {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => 504,
        _ => 503,
    }
}
