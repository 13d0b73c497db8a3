//! How long a response is kept: CloudFront's TTL table (AWS: "Managing how long
//! content stays in the cache") and its error caching. Pure.

use deployment::{CachePolicy, Distribution, ErrorPage};
use http::header::{CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// How long a response is fresh, and how long it may be served after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) fresh: Duration,
    /// While one request fetches a newer one (RFC 5861 3).
    pub(crate) stale_while_revalidate: Duration,
    /// When the origin fails (RFC 5861 4; CloudFront: without the directive, as long as it is kept).
    pub(crate) stale_if_error: Duration,
}

/// Whether a behavior caches at all: a policy whose TTLs are all zero does not.
pub(crate) fn caches(policy: &CachePolicy) -> bool {
    !policy.max_ttl.is_zero()
}

/// The lifetime of a response, or `None` when it must not be stored.
pub(crate) fn lifetime(
    policy: &CachePolicy,
    distribution: &Distribution,
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Lifetime> {
    if !caches(policy) {
        return None;
    }
    let directives = Directives::parse(headers);
    let fresh = if status.as_u16() >= 400 {
        error_ttl(&distribution.error_pages, status, &directives)?
    } else if matches!(status.as_u16(), 100..=199 | 206 | 304) {
        return None;
    } else {
        ttl(policy, &directives, headers, now)?
    };
    Some(Lifetime {
        fresh,
        stale_while_revalidate: directives.stale_while_revalidate.unwrap_or_default().min(policy.max_ttl),
        stale_if_error: directives.stale_if_error.unwrap_or(policy.max_ttl).min(policy.max_ttl),
    })
}

/// Table 3.7. `None`: not cached.
fn ttl(policy: &CachePolicy, directives: &Directives, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if directives.forbids_caching {
        return (!policy.min_ttl.is_zero()).then_some(policy.min_ttl);
    }
    let bounded = |wanted: Duration| wanted.min(policy.max_ttl).max(policy.min_ttl);
    if let Some(age) = directives.s_maxage.or(directives.max_age) {
        return Some(bounded(age));
    }
    if let Some(expires) = headers.get(EXPIRES) {
        // An unreadable date is one in the past (RFC 9111 5.3).
        let date = expires.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
        return Some(bounded(date.and_then(|date| date.duration_since(now).ok()).unwrap_or_default()));
    }
    Some(policy.default_ttl.max(policy.min_ttl))
}

/// Rules 3.9: some errors are always kept for the error caching minimum TTL, some only on request.
fn error_ttl(pages: &[ErrorPage], status: StatusCode, directives: &Directives) -> Option<Duration> {
    let code = status.as_u16();
    let asked = directives.s_maxage.or(directives.max_age).filter(|_| !directives.forbids_caching);
    let page = pages.iter().find(|page| page.error_code == code);
    let minimum = page.map_or(ERROR_CACHING_MIN_TTL, |page| page.error_caching_min_ttl);
    let ttl = match code {
        416 => return None,
        404 | 414 | 500..=504 => asked.unwrap_or_default().max(minimum),
        _ => asked?.max(minimum),
    };
    (!ttl.is_zero()).then_some(ttl)
}

/// What `Cache-Control` says to a shared cache.
#[derive(Debug, Default)]
struct Directives {
    s_maxage: Option<Duration>,
    max_age: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    /// `no-cache`, `no-store` or `private`, without a field list.
    forbids_caching: bool,
}

impl Directives {
    fn parse(headers: &HeaderMap) -> Directives {
        let mut found = Directives::default();
        let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
            let (name, value) = match directive.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (directive, None),
            };
            let seconds = || value.and_then(|value| value.parse().ok()).map(Duration::from_secs);
            match name.to_ascii_lowercase().as_str() {
                "s-maxage" => found.s_maxage = seconds(),
                "max-age" => found.max_age = seconds(),
                "stale-while-revalidate" => found.stale_while_revalidate = seconds(),
                "stale-if-error" => found.stale_if_error = seconds(),
                "no-store" => found.forbids_caching = true,
                "no-cache" | "private" if value.is_none() => found.forbids_caching = true,
                _ => {}
            }
        }
        found
    }
}

/// CloudFront's default error caching minimum TTL.
const ERROR_CACHING_MIN_TTL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use deployment::Selection;
    use http::{HeaderName, HeaderValue};

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

    fn distribution(error_pages: Vec<ErrorPage>) -> Distribution {
        Distribution {
            name: "site".into(),
            id: "E1".into(),
            domain_name: "site.test".into(),
            domains: vec![],
            default_root_object: None,
            origins: std::collections::BTreeMap::new(),
            behaviors: vec![],
            error_pages,
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    fn fresh(policy: &CachePolicy, status: u16, headers: &HeaderMap) -> Option<u64> {
        let status = StatusCode::from_u16(status).unwrap();
        let now = SystemTime::now();
        lifetime(policy, &distribution(vec![]), status, headers, now).map(|lifetime| lifetime.fresh.as_secs())
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
        ] {
            assert_eq!(fresh(&open, status, &headers("cache-control", value)), expected, "{status} {value}");
        }
    }

    #[test]
    fn an_error_page_sets_how_long_its_error_is_kept() {
        let page = ErrorPage { error_code: 404, page: None, error_caching_min_ttl: Duration::from_secs(300) };
        let now = SystemTime::now();
        let kept =
            lifetime(&policy(0, 1, 100), &distribution(vec![page]), StatusCode::NOT_FOUND, &HeaderMap::new(), now);
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
        let kept = lifetime(&policy(0, 10, 50), &distribution(vec![]), StatusCode::OK, &sent, SystemTime::now());
        let kept = kept.unwrap();
        assert_eq!(kept.stale_while_revalidate, Duration::from_secs(50));
        assert_eq!(kept.stale_if_error, Duration::from_secs(5));
    }
}
