//! The `X-Cache` value of an answer, from its status and what the cache did.

use http::StatusCode;
use pingora::cache::CachePhase;

/// The value for an answer that came from the cache or an origin.
pub(crate) fn x_cache(status: StatusCode, phase: CachePhase) -> &'static str {
    if status.as_u16() >= 400 {
        return crate::error::X_CACHE_ERROR;
    }
    match phase {
        CachePhase::Hit => "Hit from cloudfront",
        CachePhase::Stale | CachePhase::StaleUpdating | CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            "RefreshHit from cloudfront"
        }
        _ => "Miss from cloudfront",
    }
}

/// A redirect from HTTP to HTTPS.
pub(crate) const REDIRECT: &str = "Redirect from cloudfront";
/// A response made by a viewer-request function.
pub(crate) const GENERATED: &str = "LambdaGeneratedResponse from cloudfront";

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::cache::NoCacheReason;

    #[test]
    fn each_cache_state_has_its_value() {
        for (status, phase, expected) in [
            (200, CachePhase::Hit, "Hit from cloudfront"),
            (200, CachePhase::Miss, "Miss from cloudfront"),
            (200, CachePhase::Expired, "Miss from cloudfront"),
            (200, CachePhase::Disabled(NoCacheReason::NeverEnabled), "Miss from cloudfront"),
            (200, CachePhase::Revalidated, "RefreshHit from cloudfront"),
            (200, CachePhase::StaleUpdating, "RefreshHit from cloudfront"),
            (404, CachePhase::Hit, "Error from cloudfront"),
        ] {
            assert_eq!(x_cache(StatusCode::from_u16(status).unwrap(), phase), expected);
        }
    }
}
