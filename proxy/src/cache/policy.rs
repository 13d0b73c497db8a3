//! How long a response is kept: CloudFront's TTL table (AWS: "Managing how long
//! content stays in the cache") and its error caching, over what RFC 9111 says of
//! the response itself. Pure.

use super::age;
use super::directives::Directives;
use deployment::{CachePolicy, ErrorPage};
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// How long a response is fresh, and how long it may be served after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// From now on.
    pub(crate) fresh: Duration,
    /// How old it is now.
    pub(crate) age: Duration,
    /// While one request fetches a newer one (RFC 5861 3).
    pub(crate) stale_while_revalidate: Duration,
    /// When the origin fails (RFC 5861 4; CloudFront: without the directive, as long as it is kept).
    pub(crate) stale_if_error: Duration,
}

/// A response as it arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) asker: Asker,
    pub(crate) now: SystemTime,
}

/// For whom the origin made a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Anyone,
    /// It saw an `Authorization` that the cache key does not hold.
    Authorized,
}

/// Whether a behavior caches at all: a policy whose TTLs are all zero does not.
pub(crate) fn caches(policy: &CachePolicy) -> bool {
    !policy.max_ttl.is_zero()
}

/// The lifetime of a response, or `None` when it must not be stored.
pub(crate) fn lifetime(policy: &CachePolicy, pages: &[ErrorPage], arrival: &Arrival<'_>) -> Option<Lifetime> {
    let directives = Directives::of(arrival.headers);
    let code = arrival.status.as_u16();
    let unknown = directives.must_understand && !UNDERSTOOD.contains(&code);
    let personal = arrival.asker == Asker::Authorized && !directives.allows_authorized();
    if !caches(policy) || unknown || personal || matches!(code, 100..=199 | 206 | 304 | 416) {
        return None;
    }
    let arrived_at = age::on_arrival(arrival.headers, arrival.now);
    // What is left of a lifetime; nothing when the age cannot be known.
    let left = |life: Duration| arrived_at.map_or(Duration::ZERO, |age| life.saturating_sub(age));
    let explicit = directives.lifetime().or_else(|| {
        let expires = (!directives.targeted).then(|| age::expires(arrival.headers, arrival.now));
        expires.flatten()
    });
    let fresh = if code >= 400 {
        error_ttl(pages, code, explicit.map(left).filter(|_| !directives.forbids_storing() && !directives.no_cache))?
    } else {
        ttl(policy, &directives, arrival.headers, explicit.map(left))?
    };
    let (stale_while_revalidate, stale_if_error) = stale_windows(policy, &directives);
    Some(Lifetime { fresh, age: arrived_at.unwrap_or_default(), stale_while_revalidate, stale_if_error })
}

/// Table 3.7. `None`: not cached.
fn ttl(policy: &CachePolicy, said: &Directives, headers: &HeaderMap, left: Option<Duration>) -> Option<Duration> {
    if said.forbids_storing() || said.no_cache {
        // With a validator a `no-cache` response can be stored and asked about each time.
        let revalidates = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        let stored = !policy.min_ttl.is_zero() || (!said.forbids_storing() && revalidates);
        return stored.then_some(policy.min_ttl);
    }
    let left = left.unwrap_or(policy.default_ttl);
    Some(left.min(policy.max_ttl).max(policy.min_ttl))
}

/// Rules 3.9: some errors are always kept for the error caching minimum TTL, some only on request.
fn error_ttl(pages: &[ErrorPage], code: u16, asked: Option<Duration>) -> Option<Duration> {
    let minimum = error_caching_min(pages, code);
    let ttl = match code {
        404 | 414 | 500..=504 => asked.unwrap_or_default().max(minimum),
        400 | 403 | 405 | 412 | 415 => asked?.max(minimum),
        // CloudFront says nothing about the others; RFC 9111 3 needs a lifetime.
        _ => asked?,
    };
    (!ttl.is_zero()).then_some(ttl)
}

/// How long an error is kept at least, and how long a stale response stands in for it.
pub(crate) fn error_caching_min(pages: &[ErrorPage], code: u16) -> Duration {
    let page = pages.iter().find(|page| page.error_code == code);
    page.map_or(ERROR_CACHING_MIN_TTL, |page| page.error_caching_min_ttl)
}

/// How long a response may be served stale: while it is revalidated, and when the origin fails.
fn stale_windows(policy: &CachePolicy, said: &Directives) -> (Duration, Duration) {
    if said.forbids_stale() && (policy.min_ttl.is_zero() || said.must_revalidate || said.proxy_revalidate) {
        return (Duration::ZERO, Duration::ZERO);
    }
    // RFC 9111 5.2.2.10: s-maxage alone means proxy-revalidate, unless the origin says otherwise.
    let by_default = if said.s_maxage.is_some() { Duration::ZERO } else { policy.max_ttl };
    let revalidating = said.stale_while_revalidate.unwrap_or_default();
    let failing = said.stale_if_error.unwrap_or(by_default);
    (revalidating.min(policy.max_ttl), failing.min(policy.max_ttl))
}

/// CloudFront's default error caching minimum TTL.
const ERROR_CACHING_MIN_TTL: Duration = Duration::from_secs(10);

/// The statuses whose caching this cache knows all about (RFC 9111 5.2.2.3).
const UNDERSTOOD: [u16; 38] = [
    200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
    411, 413, 414, 415, 417, 421, 422, 426, 429, 500, 501, 502, 503, 504, 505,
];

#[cfg(test)]
mod tests {
    use super::*;
    use deployment::Selection;
    use http::header::CACHE_CONTROL;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn policy(min: u64, default: u64, max: u64) -> CachePolicy {
        CachePolicy {
            name: "test".into(),
            min_ttl: Duration::from_secs(min),
            default_ttl: Duration::from_secs(default),
            max_ttl: Duration::from_secs(max),
            headers: vec![],
            cookies: Selection::None,
            query: Selection::None,
            gzip: false,
            brotli: false,
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    fn kept(policy: &CachePolicy, status: u16, headers: &HeaderMap) -> Option<Lifetime> {
        kept_for(Asker::Anyone, policy, status, headers)
    }

    fn kept_for(asker: Asker, policy: &CachePolicy, status: u16, headers: &HeaderMap) -> Option<Lifetime> {
        let status = StatusCode::from_u16(status).unwrap();
        lifetime(policy, &[], &Arrival { status, headers, asker, now: SystemTime::now() })
    }

    fn fresh(policy: &CachePolicy, status: u16, headers: &HeaderMap) -> Option<u64> {
        kept(policy, status, headers).map(|lifetime| lifetime.fresh.as_secs())
    }

    #[test]
    fn ttl_follows_the_worked_examples() {
        let open = policy(0, 86_400, 31_536_000);
        let held = policy(30, 86_400, 31_536_000);
        for (policy, value, expected) in [
            (&open, "max-age=60", Some(60)),
            (&open, "s-maxage=10,max-age=60", Some(10)),
            (&open, "max-age=0", Some(0)),
            (&open, "public", Some(86_400)),
            (&open, "no-store", None),
            (&open, "private", None),
            (&open, "no-cache=\"Set-Cookie\"", Some(86_400)),
            (&held, "no-store", Some(30)),
            (&held, "max-age=5", Some(30)),
            (&held, "public", Some(86_400)),
            (&policy_capped(), "max-age=100", Some(50)),
        ] {
            assert_eq!(fresh(policy, 200, &headers("cache-control", value)), expected, "{value}");
        }
    }

    fn policy_capped() -> CachePolicy {
        policy(0, 10, 50)
    }

    #[test]
    fn expires_counts_only_without_max_age() {
        let open = policy(0, 86_400, 31_536_000);
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let seconds = fresh(&open, 200, &headers("expires", &soon)).unwrap();
        assert!((98..=100).contains(&seconds), "{seconds}");
        assert_eq!(fresh(&open, 200, &headers("expires", "0")), Some(0));
        let mut both = headers("expires", &soon);
        both.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=7"));
        assert_eq!(fresh(&open, 200, &both), Some(7));
    }

    #[test]
    fn errors_are_cached_by_their_own_rules() {
        let open = policy(0, 86_400, 31_536_000);
        for (status, value, expected) in [
            (404, "", Some(10)),
            (404, "max-age=60", Some(60)),
            (404, "max-age=1", Some(10)),
            (500, "no-store", Some(10)),
            (403, "", None),
            (403, "max-age=60", Some(60)),
            (416, "max-age=60", None),
            (410, "", None),
            (410, "max-age=60", Some(60)),
        ] {
            assert_eq!(fresh(&open, status, &headers("cache-control", value)), expected, "{status} {value}");
        }
    }

    #[test]
    fn an_error_page_sets_how_long_its_error_is_kept() {
        let page = ErrorPage { error_code: 404, page: None, error_caching_min_ttl: Duration::from_secs(300) };
        let headers = HeaderMap::new();
        let (status, asker, now) = (StatusCode::NOT_FOUND, Asker::Anyone, SystemTime::now());
        let kept = lifetime(&policy(0, 1, 100), &[page], &Arrival { status, headers: &headers, asker, now });
        assert_eq!(kept.unwrap().fresh, Duration::from_secs(300));
    }

    #[test]
    fn a_policy_of_zeros_never_caches() {
        assert_eq!(fresh(&policy(0, 0, 0), 200, &headers("cache-control", "max-age=60")), None);
        assert_eq!(fresh(&policy(0, 0, 0), 404, &HeaderMap::new()), None);
    }

    #[test]
    fn stale_windows_are_capped_by_the_maximum_ttl() {
        let sent = headers("cache-control", "max-age=1, stale-while-revalidate=500, stale-if-error=5");
        let kept = kept(&policy(0, 10, 50), 200, &sent).unwrap();
        assert_eq!(kept.stale_while_revalidate, Duration::from_secs(50));
        assert_eq!(kept.stale_if_error, Duration::from_secs(5));
    }

    #[test]
    fn no_cache_is_stored_only_to_be_asked_about() {
        let open = policy(0, 86_400, 31_536_000);
        assert_eq!(fresh(&open, 200, &headers("cache-control", "no-cache")), None);
        let mut sent = headers("cache-control", "no-cache, max-age=60");
        sent.insert(ETAG, HeaderValue::from_static("\"e\""));
        let kept = kept(&open, 200, &sent).unwrap();
        assert_eq!((kept.fresh, kept.stale_if_error), (Duration::ZERO, Duration::ZERO));
        sent.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        assert_eq!(fresh(&open, 200, &sent), None);
    }

    #[test]
    fn age_counts_against_the_lifetime_and_the_minimum_stands() {
        let aged = |value: &'static str| {
            let mut sent = headers("cache-control", "max-age=60");
            sent.insert("age", HeaderValue::from_static(value));
            sent
        };
        assert_eq!(fresh(&policy(0, 1, 100), 200, &aged("20")), Some(40));
        assert_eq!(fresh(&policy(0, 1, 100), 200, &aged("100")), Some(0));
        assert_eq!(fresh(&policy(0, 1, 100), 200, &aged("old")), Some(0));
        assert_eq!(fresh(&policy(30, 30, 100), 200, &aged("old")), Some(30));
        assert_eq!(kept(&policy(0, 1, 100), 200, &aged("20")).unwrap().age, Duration::from_secs(20));
    }

    #[test]
    fn stale_is_never_served_where_the_origin_forbids_it() {
        let stale = |value: &str| {
            let kept = kept(&policy(0, 10, 50), 200, &headers("cache-control", value)).unwrap();
            (kept.stale_while_revalidate.as_secs(), kept.stale_if_error.as_secs())
        };
        assert_eq!(stale("max-age=1"), (0, 50));
        assert_eq!(stale("max-age=1, must-revalidate, stale-if-error=9, stale-while-revalidate=9"), (0, 0));
        assert_eq!(stale("max-age=1, proxy-revalidate, stale-if-error=9"), (0, 0));
        assert_eq!(stale("s-maxage=1"), (0, 0));
        assert_eq!(stale("s-maxage=1, stale-if-error=9"), (0, 9));
        assert_eq!(stale("max-age=1, stale-if-error=0"), (0, 0));
    }

    #[test]
    fn a_response_for_one_who_is_authorized_needs_leave_to_be_shared() {
        let open = policy(0, 86_400, 31_536_000);
        for (value, stored) in [
            ("max-age=60", false),
            ("max-age=60, public", true),
            ("max-age=60, must-revalidate", true),
            ("s-maxage=60", true),
        ] {
            let sent = headers("cache-control", value);
            assert_eq!(kept_for(Asker::Authorized, &open, 200, &sent).is_some(), stored, "{value}");
            assert!(kept(&open, 200, &sent).is_some());
        }
        assert_eq!(kept_for(Asker::Authorized, &policy(30, 30, 30), 404, &HeaderMap::new()), None);
    }

    #[test]
    fn must_understand_needs_a_status_that_is_understood() {
        let open = policy(0, 86_400, 31_536_000);
        let sent = headers("cache-control", "max-age=60, must-understand, no-store");
        assert_eq!(fresh(&open, 200, &sent), Some(60));
        assert_eq!(fresh(&open, 599, &sent), None);
        assert_eq!(fresh(&open, 599, &headers("cache-control", "max-age=60")), Some(60));
    }

    proptest! {
        #[test]
        fn a_lifetime_stays_within_its_policy(
            min in 0u64..1_000, more in 0u64..1_000, most in 1u64..1_000, max_age in 0u64..5_000, age in 0u64..5_000,
        ) {
            let policy = policy(min, min + more, min + more + most);
            let mut sent = headers("cache-control", &format!("max-age={max_age}"));
            sent.insert("age", HeaderValue::from(age));
            let fresh = fresh(&policy, 200, &sent).unwrap();
            prop_assert_eq!(fresh, max_age.saturating_sub(age).clamp(min, min + more + most));
        }
    }
}
