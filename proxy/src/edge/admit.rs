//! Phase 8: whether a response is stored, and for how long.

use crate::cache::policy;
use crate::ctx::Ctx;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::cache::{CacheMeta, NoCacheReason, RespCacheable};
use pingora::http::ResponseHeader;
use std::time::{Duration, SystemTime};

/// In a stored response's extensions: it is a custom error page, so viewer-response does not run.
#[derive(Clone, Copy, Debug)]
pub(super) struct CustomErrorPage;

/// Decides about a response from an origin.
pub(super) fn admit(object_bytes_max: u64, response: &ResponseHeader, ctx: &Ctx) -> RespCacheable {
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > object_bytes_max) {
        return RespCacheable::Uncacheable(NoCacheReason::ResponseTooLarge);
    }
    match meta(response, ctx).filter(|_| ctx.failure.is_none()) {
        Some(meta) => RespCacheable::Cacheable(meta),
        None => RespCacheable::Uncacheable(NoCacheReason::OriginNotCache),
    }
}

/// What the cache remembers of a response, or `None` when it must not be stored.
pub(super) fn meta(response: &ResponseHeader, ctx: &Ctx) -> Option<CacheMeta> {
    let site = ctx.site.as_ref()?;
    let now = SystemTime::now();
    // A custom error page is kept as long as the error it stands for.
    let status = ctx.error_status.unwrap_or(response.status);
    let lifetime = policy::lifetime(&site.behavior.cache, &site.distribution, status, &response.headers, now)?;
    let fresh_until = if lifetime.fresh.is_zero() { now.checked_sub(ONE_SECOND)? } else { now + lifetime.fresh };
    let mut header = response.clone();
    header.remove_header(&CONNECTION);
    header.remove_header(&TRANSFER_ENCODING);
    header.remove_header("keep-alive");
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let (swr, sie) = (seconds(lifetime.stale_while_revalidate), seconds(lifetime.stale_if_error));
    let mut meta = CacheMeta::new(fresh_until, now, swr, sie, header);
    if ctx.served_error_page {
        meta.extensions_mut().insert(CustomErrorPage);
    }
    Some(meta)
}

/// A response that is never fresh must look expired at once.
const ONE_SECOND: Duration = Duration::from_secs(1);
