//! Which header fields of a response are stored, and what a 304 changes in them
//! (RFC 9111 3.1, 3.2; RFC 9110 7.6.1). Pure.

use super::directives::{Directives, split_outside_quotes};
use http::header::{AGE, CONNECTION, DATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::SystemTime;

/// The fields that belong to the connection a response came by: those of HTTP/1.1
/// itself and those `Connection` names. `Transfer-Encoding` is left to whoever
/// reads the body.
pub(crate) fn of_the_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let named = lines.flat_map(split_outside_quotes).filter_map(|name| name.parse().ok());
    let named = named.filter(|name: &HeaderName| !END_TO_END.contains(&name.as_str()));
    named.chain(HOP_BY_HOP.map(HeaderName::from_static)).filter(|name| headers.contains_key(name)).collect()
}

/// The fields of a response that are not stored with it.
pub(crate) fn not_stored(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names = of_the_connection(headers);
    names.extend(Directives::of(headers).fields.into_iter().filter(|name| headers.contains_key(name)));
    names.extend(NOT_STORED.map(HeaderName::from_static).into_iter().filter(|name| headers.contains_key(name)));
    // It counts from the arrival from now on.
    names.extend(headers.contains_key(AGE).then_some(AGE));
    names
}

/// What a 304 brings in place of stored fields; the stored representation keeps
/// what describes its bytes.
pub(crate) fn refreshed(not_modified: &HeaderMap) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    let left_out = of_the_connection(not_modified);
    let kept = |name: &&HeaderName| {
        !left_out.contains(name) && !NOT_STORED.contains(&name.as_str()) && !OF_THE_BYTES.contains(&name.as_str())
    };
    let names = not_modified.keys().filter(kept);
    names.map(|name| (name.clone(), not_modified.get_all(name).iter().cloned().collect())).collect()
}

/// The `Date` a response without one gets when it is stored (RFC 9110 6.6.1).
pub(crate) fn missing_date(headers: &HeaderMap, now: SystemTime) -> Option<String> {
    (!headers.contains_key(DATE)).then(|| httpdate::fmt_http_date(now))
}

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
];

/// Fields of a transfer that has ended.
const NOT_STORED: [&str; 2] = ["transfer-encoding", "trailer"];

/// Fields that no `Connection` can take from a response: the cache and the
/// framing live by them.
const END_TO_END: [&str; 6] =
    ["cache-control", "cdn-cache-control", "content-length", "content-encoding", "transfer-encoding", "vary"];

/// They describe the stored bytes, which a 304 does not touch.
const OF_THE_BYTES: [&str; 5] = ["content-encoding", "content-length", "content-md5", "content-range", "etag"];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn names(found: Vec<HeaderName>) -> Vec<String> {
        let mut names: Vec<String> = found.iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn what_connection_names_is_the_connections_but_not_what_frames_and_rules() {
        let sent = headers(&[
            ("connection", "x-a, Keep-Alive, cache-control"),
            ("connection", "content-length"),
            ("keep-alive", "timeout=1"),
            ("cache-control", "no-store"),
            ("content-length", "1"),
            ("x-a", "1"),
            ("x-b", "1"),
        ]);
        let found = names(of_the_connection(&sent));
        assert_eq!(found, ["connection", "keep-alive", "keep-alive", "x-a"]);
    }

    #[test]
    fn fields_that_no_cache_and_private_name_are_not_stored() {
        let sent = headers(&[
            ("cache-control", "max-age=60, no-cache=\"set-cookie\", private=\"x-a, x-none\""),
            ("set-cookie", "a=b"),
            ("x-a", "1"),
            ("age", "3"),
            ("transfer-encoding", "chunked"),
        ]);
        assert_eq!(names(not_stored(&sent)), ["age", "set-cookie", "transfer-encoding", "x-a"]);
    }

    #[test]
    fn a_304_leaves_what_describes_the_stored_bytes() {
        let sent = headers(&[
            ("etag", "\"new\""),
            ("content-length", "0"),
            ("content-encoding", "gzip"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("age", "7"),
        ]);
        let found = refreshed(&sent);
        let lines: Vec<_> = found.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        assert_eq!(lines, [("set-cookie", 2), ("age", 1)]);
    }
}
