//! A behavior's response headers policy on its way to the viewer (AWS: "Understand
//! response headers policies"): what goes, CORS, what is added, `Server-Timing`.

use deployment::{AddedHeader, AllowedOrigin, Cors, ResponseHeadersPolicy};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, PRAGMA, VARY,
};
use http::{HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::cache::CachePhase;
use pingora::http::{RequestHeader, ResponseHeader};
use std::time::Duration;

/// Applies a policy to a response of its behavior.
///
/// # Errors
/// None that a checked policy can cause.
pub(crate) fn apply(
    policy: &ResponseHeadersPolicy,
    request: &RequestHeader,
    response: &mut ResponseHeader,
) -> Result<()> {
    for name in &policy.remove {
        response.remove_header(name);
    }
    if let Some(cors) = &policy.cors {
        allow(cors, request, response)?;
    }
    for AddedHeader { name, value, overrides } in &policy.add {
        if *overrides || !response.headers.contains_key(name) {
            response.insert_header(name.clone(), value.clone())?;
        }
    }
    Ok(())
}

fn allow(cors: &Cors, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
    let Some(origin) = request.headers.get(ORIGIN) else { return Ok(()) };
    let said = CORS.iter().any(|name| response.headers.contains_key(name));
    if said && !cors.overrides {
        return Ok(());
    }
    for name in &CORS {
        response.remove_header(name);
    }
    let named = !cors.origins.contains(&AllowedOrigin::Any);
    if named {
        // Shared caches behind this one must not give one origin's answer to another.
        response.append_header(VARY, "Origin")?;
    }
    let allowed = cors.origins.iter().any(|pattern| origin.to_str().is_ok_and(|origin| pattern.matches(origin)));
    if !allowed {
        return Ok(());
    }
    let allow = if named { origin.clone() } else { HeaderValue::from_static("*") };
    response.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, allow)?;
    if cors.credentials {
        response.insert_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
    }
    if let Some(expose) = &cors.expose {
        response.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone())?;
    }
    let preflight = request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !preflight {
        return Ok(());
    }
    response.insert_header(ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone())?;
    if let Some(headers) = &cors.headers {
        response.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone())?;
    }
    if let Some(age) = cors.max_age {
        response.insert_header(ACCESS_CONTROL_MAX_AGE, age)?;
    }
    Ok(())
}

/// What `Server-Timing` tells of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing<'a> {
    pub(crate) cache: CachePhase,
    pub(crate) pop: &'a str,
    pub(crate) request_id: &'a str,
    /// From the request to the origin's first byte.
    pub(crate) upstream: Option<Duration>,
    /// From the viewer's request to this header.
    pub(crate) downstream: Duration,
}

/// The `Server-Timing` value of an answer, when its turn has come or `Pragma: server-timing` asks.
pub(crate) fn server_timing(
    policy: &ResponseHeadersPolicy,
    request: &RequestHeader,
    timing: &Timing<'_>,
) -> Option<String> {
    if policy.server_timing <= 0.0 {
        return None;
    }
    let asked = request.headers.get_all(PRAGMA).iter().any(|pragma| pragma == "server-timing");
    if !asked && rand::random::<f64>() * 100.0 >= policy.server_timing {
        return None;
    }
    let cache = match timing.cache {
        CachePhase::Hit | CachePhase::Stale | CachePhase::StaleUpdating => "cdn-cache-hit",
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => "cdn-cache-refresh",
        _ => "cdn-cache-miss",
    };
    let mut value = format!(
        "{cache}, cdn-pop;desc=\"{}\", cdn-rid;desc=\"{}\", cdn-hit-layer;desc=\"EDGE\"",
        timing.pop, timing.request_id
    );
    if let Some(upstream) = timing.upstream {
        value.push_str(&format!(", cdn-upstream-layer;desc=\"EDGE\", cdn-upstream-fbl;dur={}", upstream.as_millis()));
    }
    value.push_str(&format!(", cdn-downstream-fbl;dur={}", timing.downstream.as_millis()));
    Some(value)
}

const CORS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], overrides: bool) -> ResponseHeadersPolicy {
        let origin = |origin: &&str| match *origin {
            "*" => AllowedOrigin::Any,
            exact => AllowedOrigin::Exact(exact.to_owned()),
        };
        let cors = Cors {
            origins: origins.iter().map(origin).collect(),
            methods: HeaderValue::from_static("GET, PUT"),
            headers: Some(HeaderValue::from_static("x-a")),
            expose: Some(HeaderValue::from_static("x-b")),
            credentials: false,
            max_age: Some(600),
            overrides,
        };
        ResponseHeadersPolicy { cors: Some(cors), ..ResponseHeadersPolicy::default() }
    }

    fn request(method: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn answered(
        policy: &ResponseHeadersPolicy,
        request: &RequestHeader,
        from_origin: &[(&'static str, &str)],
    ) -> String {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in from_origin {
            response.append_header(*name, *value).unwrap();
        }
        apply(policy, request, &mut response).unwrap();
        let mut lines: Vec<String> =
            response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn cors_speaks_only_to_requests_with_an_origin() {
        let plain = request("GET", &[]);
        assert_eq!(answered(&cors(&["*"], true), &plain, &[]), "");
        let asked = request("GET", &[("origin", "https://a.test")]);
        let expected = "access-control-allow-origin: *\naccess-control-expose-headers: x-b";
        assert_eq!(answered(&cors(&["*"], false), &asked, &[]), expected);
        let expected = "access-control-allow-origin: https://a.test\naccess-control-expose-headers: x-b\nvary: Origin";
        assert_eq!(answered(&cors(&["https://a.test"], false), &asked, &[]), expected);
        assert_eq!(answered(&cors(&["https://b.test"], false), &asked, &[]), "vary: Origin");
    }

    #[test]
    fn a_preflight_hears_of_methods_headers_and_age() {
        let preflight = request("OPTIONS", &[("origin", "https://a.test"), ("access-control-request-method", "PUT")]);
        let answer = answered(&cors(&["*"], false), &preflight, &[]);
        for line in ["access-control-allow-methods: GET, PUT", "access-control-allow-headers: x-a", "max-age: 600"] {
            assert!(answer.contains(line), "{answer}");
        }
    }

    #[test]
    fn the_origins_cors_stays_whole_unless_it_is_overridden() {
        let asked = request("GET", &[("origin", "https://a.test")]);
        let theirs = [("access-control-allow-origin", "https://own.test"), ("access-control-max-age", "5")];
        let kept = "access-control-allow-origin: https://own.test\naccess-control-max-age: 5";
        assert_eq!(answered(&cors(&["*"], false), &asked, &theirs), kept);
        let replaced = "access-control-allow-origin: *\naccess-control-expose-headers: x-b";
        assert_eq!(answered(&cors(&["*"], true), &asked, &theirs), replaced);
    }

    #[test]
    fn what_is_removed_and_added_is_there() {
        let add = |name, overrides| AddedHeader {
            name: HeaderName::from_static(name),
            value: HeaderValue::from_static("policy"),
            overrides,
        };
        let policy = ResponseHeadersPolicy {
            remove: vec![HeaderName::from_static("x-gone"), HeaderName::from_static("x-both")],
            add: vec![add("x-both", false), add("x-mild", false), add("x-strict", true)],
            ..ResponseHeadersPolicy::default()
        };
        let origin = [("x-gone", "o"), ("x-both", "o"), ("x-mild", "o"), ("x-strict", "o")];
        let expected = "x-both: policy\nx-mild: o\nx-strict: policy";
        assert_eq!(answered(&policy, &request("GET", &[]), &origin), expected);
    }

    #[test]
    fn server_timing_is_for_its_share_and_for_those_who_ask() {
        let mut policy = ResponseHeadersPolicy { server_timing: 0.000_1, ..ResponseHeadersPolicy::default() };
        let timing = Timing {
            cache: CachePhase::Hit,
            pop: "P",
            request_id: "r",
            upstream: None,
            downstream: Duration::from_millis(3),
        };
        let asked = request("GET", &[("pragma", "server-timing")]);
        let value = server_timing(&policy, &asked, &timing).unwrap();
        let expected = "cdn-cache-hit, cdn-pop;desc=\"P\", cdn-rid;desc=\"r\", cdn-hit-layer;desc=\"EDGE\", cdn-downstream-fbl;dur=3";
        assert_eq!(value, expected);
        policy.server_timing = 100.0;
        assert!(server_timing(&policy, &request("GET", &[]), &timing).is_some());
        policy.server_timing = 0.0;
        assert_eq!(server_timing(&policy, &asked, &timing), None);
    }
}
