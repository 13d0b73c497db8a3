//! Phase 8: whether a response is stored, as what, for how long, and for whom.

use super::{Edge, invalidate};
use crate::cache::key::ForwardsHeaders;
use crate::cache::part::{Part, PartOf};
use crate::cache::policy::{self, Arrival, Asker, Lifetime};
use crate::cache::vary::{Variance, variance};
use crate::cache::{CustomErrorPage, fields, key::Place};
use crate::compress;
use crate::ctx::{Ctx, Site};
use crate::{origin, respond};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::cache::key::CacheHashKey;
use pingora::cache::{CacheMeta, NoCacheReason, RespCacheable};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use std::time::{Duration, SystemTime};

/// Decides about a response from an origin, or about a stored one that a 304 refreshed.
pub(super) fn admit(edge: &Edge, session: &Session, response: &ResponseHeader, ctx: &mut Ctx) -> RespCacheable {
    if too_large(edge, session, response) {
        remember(edge, session, None);
        return RespCacheable::Uncacheable(NoCacheReason::ResponseTooLarge);
    }
    if let Some(of) = session.cache.maybe_cache_key().and_then(PartOf::of).filter(|of| !of.is_conditional())
        && ctx.wanted.is_some()
        && response.status == StatusCode::OK
    {
        edge.cache.remember_undivided(of.primary());
    }
    let refreshed = ctx.not_modified.take().and_then(|not_modified| refresh(session, &not_modified, ctx));
    let response = refreshed.as_ref().unwrap_or(response);
    let meta = meta(session.req_header(), response, ctx).filter(|_| ctx.failure.is_none());
    let meta = meta.filter(|_| !invalidate::taken_out_meanwhile(edge, session.req_header(), response, ctx));
    remember(edge, session, meta.as_ref());
    match meta {
        Some(meta) => {
            ctx.not_stored = own(response);
            RespCacheable::Cacheable(meta)
        }
        None => RespCacheable::Uncacheable(NoCacheReason::OriginNotCache),
    }
}

/// Whether a response is too large to be stored.
fn too_large(edge: &Edge, session: &Session, response: &ResponseHeader) -> bool {
    let Some(key) = session.cache.maybe_cache_key() else { return false };
    let whole = PartOf::of(key).filter(|_| response.status != StatusCode::PARTIAL_CONTENT);
    let primary = whole.map_or_else(|| key.primary_bin(), PartOf::primary);
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    edge.cache.store.takes_not(primary, length)
}

/// What of a response is for the one who asked: it is not stored, and Pingora answers from what is.
fn own(response: &ResponseHeader) -> Vec<(HeaderName, HeaderValue)> {
    let framing = [CONNECTION, TRANSFER_ENCODING, TRAILER];
    let names = fields::not_stored(&response.headers).into_iter().filter(|name| !framing.contains(name));
    let lines = names.flat_map(|name| {
        let values: Vec<HeaderValue> = response.headers.get_all(&name).iter().cloned().collect();
        values.into_iter().map(move |value| (name.clone(), value))
    });
    lines.collect()
}

/// Remembers whether it is worth waiting for responses of this key.
pub(super) fn remember(edge: &Edge, session: &Session, meta: Option<&CacheMeta>) {
    let Some(key) = session.cache.maybe_cache_key() else { return };
    match meta {
        Some(meta) if serves_others(meta) => edge.cache.collapse.together(key),
        _ => edge.cache.collapse.alone(key),
    }
}

/// Whether those who wait for a response may get it.
fn serves_others(meta: &CacheMeta) -> bool {
    meta.is_fresh(SystemTime::now()) || meta.stale_while_revalidate_sec() > 0
}

/// The stored header with what a 304 says of it (RFC 9111 3.2).
fn refresh(session: &Session, not_modified: &ResponseHeader, ctx: &Ctx) -> Option<ResponseHeader> {
    let mut header = session.cache.maybe_cache_meta()?.response_header_copy();
    let compresses = ctx.site.as_ref().is_some_and(|site| site.behavior.compress);
    let told_encodings_apart = compresses && compress::tells_encodings_apart(&header);
    if not_modified.headers.get(DATE).is_none() {
        header.remove_header(&DATE);
    }
    for (name, values) in fields::refreshed(&not_modified.headers) {
        header.remove_header(&name);
        for value in values {
            header.append_header(name.clone(), value).ok()?;
        }
    }
    if told_encodings_apart {
        // The origin knows nothing of the encoding that the edge chose.
        compress::tell_encodings_apart(&mut header).ok()?;
    }
    Some(header)
}

/// What the cache remembers of a response, or `None` when it must not be stored.
pub(super) fn meta(request: &RequestHeader, response: &ResponseHeader, ctx: &Ctx) -> Option<CacheMeta> {
    let site = ctx.site.as_ref()?;
    if vary(ctx, site, response, request) == Variance::Everything {
        return None;
    }
    let now = SystemTime::now();
    // A custom error page is kept as long as the error it stands for, the part that was asked for as the whole.
    let part = response.status == StatusCode::PARTIAL_CONTENT && has_what_was_asked_for(response, ctx);
    let status = if part { StatusCode::OK } else { ctx.error_status.unwrap_or(response.status) };
    let arrival = Arrival { status, headers: &response.headers, asker: asker(site, request), now };
    let lifetime = policy::lifetime(&site.behavior.cache, &site.distribution.error_pages, &arrival)?;
    let mut header = response.clone();
    for name in fields::not_stored(&response.headers) {
        header.remove_header(&name);
    }
    if let Some(date) = fields::missing_date(&response.headers, now) {
        header.insert_header(DATE, date).ok()?;
    }
    respond::stamp_stored(ctx, &mut header).ok()?;
    let mut meta = meta_of(header, &lifetime, now)?;
    meta.extensions_mut().insert(place(site, request, &ctx.host).key());
    if ctx.served_error_page {
        meta.extensions_mut().insert(CustomErrorPage);
    }
    Some(meta)
}

/// Whether a part has all of the range that the origin was asked for.
fn has_what_was_asked_for(response: &ResponseHeader, ctx: &Ctx) -> bool {
    let part = Part::of(&response.headers);
    part.zip(ctx.wanted).is_some_and(|(part, wanted)| part.has(wanted))
}

fn meta_of(header: ResponseHeader, lifetime: &Lifetime, now: SystemTime) -> Option<CacheMeta> {
    let fresh_until = if lifetime.fresh.is_zero() { now.checked_sub(ONE_SECOND)? } else { now + lifetime.fresh };
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let (swr, sie) = (seconds(lifetime.stale_while_revalidate), seconds(lifetime.stale_if_error));
    let mut meta = CacheMeta::new(fresh_until, now, swr, sie, header);
    meta.set_epoch_override(now.checked_sub(lifetime.age).unwrap_or(SystemTime::UNIX_EPOCH));
    Some(meta)
}

/// Where a request goes in the cache.
pub(super) fn place<'a>(site: &'a Site, request: &'a RequestHeader, host: &'a str) -> Place<'a> {
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    Place { distribution: &site.distribution, behavior: &site.behavior, path, query, host }
}

/// What tells the stored responses of one key apart.
pub(super) fn vary(ctx: &Ctx, site: &Site, response: &ResponseHeader, request: &RequestHeader) -> Variance {
    variance(&response.headers, |name| origin::seen(&site.behavior, ctx.client_ip, name, &request.headers))
}

fn asker(site: &Site, request: &RequestHeader) -> Asker {
    let (keyed, forwarded) = (&site.behavior.cache.headers, &site.behavior.forward.headers);
    let shows = request.headers.contains_key(AUTHORIZATION) && forwarded.forwards(&AUTHORIZATION);
    if shows && !keyed.contains(&AUTHORIZATION) { Asker::Authorized } else { Asker::Anyone }
}

/// A response that is never fresh must look expired at once.
const ONE_SECOND: Duration = Duration::from_secs(1);
