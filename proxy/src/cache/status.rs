//! The `Cache-Status` of an answer (RFC 9211): what this cache did for it.

use pingora::cache::key::CacheHashKey;
use pingora::cache::{CachePhase, HttpCache, NoCacheReason};
use std::fmt::Write;
use std::time::SystemTime;

/// The member this cache adds, of an answer to a request with this method.
pub(crate) fn cache_status(cache: &HttpCache, method: &http::Method) -> String {
    let mut status = String::with_capacity(48);
    status.push_str(NAME);
    match cache.phase() {
        CachePhase::Hit | CachePhase::StaleUpdating if cache.lock_duration().is_none() => {
            status.push_str("; hit");
            ttl(&mut status, cache);
        }
        CachePhase::Hit | CachePhase::StaleUpdating => {
            status.push_str("; fwd=uri-miss; collapsed");
            ttl(&mut status, cache);
        }
        CachePhase::Stale => {
            // The origin failed, and the stale response stands in.
            status.push_str("; fwd=stale");
            ttl(&mut status, cache);
        }
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            status.push_str("; fwd=stale; fwd-status=304");
            ttl(&mut status, cache);
        }
        CachePhase::Expired => stored(&mut status, "stale", cache),
        CachePhase::Miss if cache.cache_key().variance_bin().is_some() => stored(&mut status, "vary-miss", cache),
        CachePhase::Miss => stored(&mut status, "uri-miss", cache),
        CachePhase::Disabled(reason) => status.push_str(not_stored(reason, method)),
        _ => status.push_str("; fwd=bypass"),
    }
    status
}

fn stored(status: &mut String, why: &str, cache: &HttpCache) {
    let _ = write!(status, "; fwd={why}; stored");
    ttl(status, cache);
}

fn ttl(status: &mut String, cache: &HttpCache) {
    let Some(meta) = cache.maybe_cache_meta() else { return };
    let now = SystemTime::now();
    let _ = match meta.fresh_until().duration_since(now) {
        Ok(left) => write!(status, "; ttl={}", left.as_secs()),
        Err(past) => write!(status, "; ttl=-{}", past.duration().as_secs()),
    };
}

fn not_stored(reason: NoCacheReason, method: &http::Method) -> &'static str {
    match reason {
        NoCacheReason::NeverEnabled if !matches!(method.as_str(), "GET" | "HEAD") => "; fwd=method",
        NoCacheReason::NeverEnabled => "; fwd=bypass",
        _ => "; fwd=uri-miss",
    }
}

/// What this cache is called among those on the way.
const NAME: &str = "selvedge";
