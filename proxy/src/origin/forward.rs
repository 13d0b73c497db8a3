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
    /// The viewer's `Host`, with its port.
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
    let reads = method == Method::GET || method == Method::HEAD;
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
