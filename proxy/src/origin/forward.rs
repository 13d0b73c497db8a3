//! Which of the viewer's headers reach the origin (AWS: "Request and response
//! behavior for custom origins"): those a policy names, those HTTP needs, and
//! those the edge makes. Pure.

use crate::cache::key::{AcceptEncoding, ForwardsHeaders, accept_encoding, selected_cookies, selected_query, selects};
use crate::cache::vary::Seen;
use deployment::{Behavior, Selection};
use event::Headers;
use http::{HeaderMap, HeaderName, Method};
use std::net::IpAddr;

/// What the edge adds to every request to an origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OriginHeaders<'a> {
    pub(crate) client_ip: IpAddr,
    pub(crate) request_id: &'a str,
    pub(crate) via: &'a str,
    /// The viewer's host, with its port, as the cache key has it.
    pub(crate) viewer_host: &'a str,
    /// The origin's own.
    pub(crate) origin_host: &'a str,
    /// Whether the viewer wants a WebSocket.
    pub(crate) upgrade: bool,
    /// Whether the response may be stored: then the cache asks its own conditional questions.
    pub(crate) cached: bool,
}

/// The query string and the headers an origin gets.
pub(crate) fn forwarded(
    behavior: &Behavior,
    method: &Method,
    query: &str,
    viewer: (&Headers, &HeaderMap),
    edge: &OriginHeaders<'_>,
) -> (String, Headers) {
    let (lines, map) = viewer;
    let query = selected_query(query, either(&behavior.cache.query, &behavior.forward.query));
    let mut headers = Headers::new();
    let host = if passes(behavior, &http::header::HOST) { edge.viewer_host } else { edge.origin_host };
    headers.push("Host", host.to_owned());
    for (name, value) in lines.iter() {
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if line_passes(behavior, method, &parsed, edge) {
            headers.push(name, value.clone());
        }
    }
    if !headers.contains("user-agent") {
        headers.push("User-Agent", "Amazon CloudFront");
    }
    match accept_encoding(&behavior.cache, map) {
        AcceptEncoding::Ordinary | AcceptEncoding::Absent => {}
        AcceptEncoding::Identity => headers.push("Accept-Encoding", "identity"),
        AcceptEncoding::Normalized(value) => headers.push("Accept-Encoding", value),
    }
    let cookies = selected_cookies(map, either(&behavior.cache.cookies, &behavior.forward.cookies));
    if !cookies.is_empty() {
        headers.push("Cookie", cookies);
    }
    let address = edge.client_ip.to_string();
    headers.push("X-Forwarded-For", appended(lines, "x-forwarded-for", &address, ","));
    headers.push("Via", appended(lines, "via", edge.via, ", "));
    headers.push("X-Amz-Cf-Id", edge.request_id.to_owned());
    (query, headers)
}

/// What a cached read shows the origin of a header, for `Vary`.
pub(crate) fn seen(behavior: &Behavior, client_ip: IpAddr, name: &str, headers: &HeaderMap) -> Seen {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else { return Seen::Always };
    let lines = |list: &HeaderMap| {
        let values = list.get_all(&parsed).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        values.collect::<Vec<_>>()
    };
    let sent = || match lines(headers) {
        lines if lines.is_empty() => Seen::Absent,
        lines => Seen::Value(lines.join(", ")),
    };
    let edge = OriginHeaders {
        client_ip,
        request_id: "",
        via: "",
        viewer_host: "",
        origin_host: "",
        upgrade: false,
        cached: true,
    };
    match name {
        // In the key where the viewer's reaches the origin, the origin's own otherwise.
        "host" => Seen::Always,
        "cookie" => match selected_cookies(headers, either(&behavior.cache.cookies, &behavior.forward.cookies)) {
            _ if behavior.forward.cookies == Selection::None => Seen::Always,
            cookies if cookies.is_empty() => Seen::Absent,
            cookies => Seen::Value(cookies),
        },
        "accept-encoding" => match accept_encoding(&behavior.cache, headers) {
            AcceptEncoding::Normalized(_) => Seen::Always,
            AcceptEncoding::Identity => Seen::Value("identity".to_owned()),
            AcceptEncoding::Absent => Seen::Absent,
            AcceptEncoding::Ordinary if passes(behavior, &parsed) => sent(),
            AcceptEncoding::Ordinary => Seen::Always,
        },
        "x-forwarded-for" => {
            let mut addresses = lines(headers);
            addresses.push(client_ip.to_string());
            Seen::Value(addresses.join(","))
        }
        "via" => sent(),
        _ if behavior.cache.headers.contains(&parsed) => Seen::Always,
        _ if line_passes(behavior, &Method::GET, &parsed, &edge) => sent(),
        _ => Seen::Always,
    }
}

fn line_passes(behavior: &Behavior, method: &Method, name: &HeaderName, edge: &OriginHeaders<'_>) -> bool {
    let reads = method == Method::GET || method == Method::HEAD || edge.cached;
    match name.as_str() {
        // Made above.
        "host" | "cookie" | "x-forwarded-for" | "via" | "x-amz-cf-id" => false,
        "accept-encoding" => {
            accept_encoding(&behavior.cache, &HeaderMap::new()) == AcceptEncoding::Ordinary && passes(behavior, name)
        }
        "connection" | "upgrade" => edge.upgrade,
        "expect" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "x-real-ip" | "x-forwarded-proto"
        | "x-cache" => false,
        "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range" | "range" => {
            !edge.cached
        }
        "authorization" => !reads || passes(behavior, name),
        "cache-control" | "content-encoding" | "content-length" | "content-md5" | "content-type" | "date" | "from"
        | "max-forwards" | "pragma" | "request-range" | "warning" => true,
        other if other.starts_with("proxy-") || other.starts_with("x-edge-") || other.starts_with("x-amz-cf-") => false,
        other if edge.upgrade && other.starts_with("sec-websocket-") => true,
        _ => passes(behavior, name),
    }
}

fn passes(behavior: &Behavior, name: &HeaderName) -> bool {
    behavior.cache.headers.contains(name)
        || behavior.forward.headers.forwards(name)
        || behavior.edge_headers.contains(name)
}

/// What is in the key is always forwarded.
fn either<'a>(cache: &'a Selection, forward: &'a Selection) -> impl Fn(&str) -> bool + 'a {
    move |name| selects(cache, name) || selects(forward, name)
}

/// The viewer's values of a header with one more at their end.
fn appended(lines: &Headers, name: &str, last: &str, separator: &str) -> String {
    let sent = lines.values(name).map(|value| String::from_utf8_lossy(value).into_owned());
    sent.chain([last.to_owned()]).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    fn behavior(lines: &str) -> Arc<Behavior> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("selvedge.toml");
        let head = "[distributions.site]\ndomains = ['*']\n[distributions.site.origins.o]\nurl = 'http://o.test'\n";
        let text =
            format!("{head}[distributions.site.default_behavior]\norigin = 'o'\nallowed_methods = 'all'\n{lines}\n");
        std::fs::write(&file, text).unwrap();
        let config = deployment::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        Arc::clone(config.deployment.distributions[0].behavior("/"))
    }

    /// What an origin gets of these lines.
    fn sent(behavior: &Behavior, method: &Method, lines: &[(&str, &str)], cached: bool) -> Headers {
        let edge = OriginHeaders {
            client_ip: Ipv4Addr::new(192, 0, 2, 7).into(),
            request_id: "id",
            via: "1.1 edge (CloudFront)",
            viewer_host: "viewer.test",
            origin_host: "o.test",
            upgrade: false,
            cached,
        };
        let (mut viewer, mut map) = (Headers::new(), HeaderMap::new());
        for (name, value) in lines {
            viewer.push(*name, (*value).to_owned());
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        forwarded(behavior, method, "", (&viewer, &map), &edge).1
    }

    fn value(headers: &Headers, name: &str) -> Option<String> {
        let values: Vec<String> =
            headers.values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    #[test]
    fn without_policies_the_origin_gets_what_cloudfronts_table_says() {
        let behavior = behavior("");
        let same = Some("v");
        for (name, expected) in [
            ("accept", None),
            ("accept-charset", None),
            ("accept-language", None),
            ("referer", None),
            ("x-http-method-override", None),
            ("accept-encoding", Some("identity")),
            ("authorization", None),
            ("cache-control", same),
            ("pragma", same),
            ("max-forwards", same),
            ("request-range", same),
            ("connection", None),
            ("content-length", same),
            ("content-type", same),
            ("content-md5", same),
            ("date", same),
            ("from", same),
            ("warning", same),
            ("if-match", same),
            ("if-none-match", same),
            ("if-modified-since", same),
            ("if-unmodified-since", same),
            ("if-range", same),
            ("range", same),
            ("origin", None),
            ("via", Some("v, 1.1 edge (CloudFront)")),
            ("cookie", None),
            ("expect", None),
            ("host", Some("o.test")),
            ("keep-alive", None),
            ("proxy-authorization", None),
            ("proxy-connection", None),
            ("te", None),
            ("trailer", None),
            ("transfer-encoding", None),
            ("upgrade", None),
            ("user-agent", Some("Amazon CloudFront")),
            ("x-amz-cf-id", Some("id")),
            ("x-edge-location", None),
            ("x-real-ip", None),
            ("x-forwarded-proto", None),
            ("x-forwarded-for", Some("v,192.0.2.7")),
            ("x-own", None),
        ] {
            let headers = sent(&behavior, &Method::GET, &[(name, "v")], false);
            assert_eq!(value(&headers, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_cached_is_asked_for_without_conditions_ranges_and_credentials() {
        let behavior = behavior("cached_methods = 'read+options'");
        for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"] {
            assert_eq!(value(&sent(&behavior, &Method::GET, &[(name, "v")], true), name), None, "{name}");
        }
        for (method, cached, passes) in [
            (Method::GET, true, false),
            (Method::HEAD, false, false),
            (Method::OPTIONS, true, false),
            (Method::OPTIONS, false, true),
            (Method::POST, false, true),
            (Method::PUT, false, true),
            (Method::PATCH, false, true),
            (Method::DELETE, false, true),
        ] {
            let headers = sent(&behavior, &method, &[("authorization", "v")], cached);
            assert_eq!(value(&headers, "authorization").is_some(), passes, "{method} {cached}");
        }
    }

    #[test]
    fn all_viewer_headers_are_all_but_those_that_are_the_edges() {
        let behavior = behavior("forward = 'AllViewer'\ncache = 'CachingDisabled'");
        let same = Some("v");
        for (name, expected) in [
            ("accept", same),
            ("accept-encoding", same),
            ("authorization", same),
            ("origin", same),
            ("referer", same),
            ("user-agent", same),
            ("x-own", same),
            ("host", Some("viewer.test")),
            ("expect", None),
            ("te", None),
            ("proxy-authorization", None),
            ("x-edge-location", None),
            ("x-real-ip", None),
            ("x-forwarded-proto", None),
            ("x-amz-cf-id", Some("id")),
        ] {
            let headers = sent(&behavior, &Method::GET, &[(name, "v")], false);
            assert_eq!(value(&headers, name).as_deref(), expected, "{name}");
        }
        let headers = sent(&behavior, &Method::GET, &[("cookie", "b=2; a=1")], false);
        assert_eq!(value(&headers, "cookie").as_deref(), Some("a=1; b=2"));
    }
}
