//! The canonical form of a request (AWS: "Create a canonical request"), and targets spelled
//! in the one way in which every verifier has them.

use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a> {
    pub method: &'a Method,
    /// As it is sent.
    pub path: &'a str,
    /// As it is sent; empty when there is none.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// Lower-case names of those that are signed, in the order in which they are stated.
    pub signed_headers: &'a [&'a str],
    /// Lower-case hex, or [`UNSIGNED_PAYLOAD`].
    pub payload_hash: &'a str,
}

impl Canonical<'_> {
    /// Its SHA-256 in lower-case hex. The service decides how the path is written.
    #[must_use]
    pub fn hash(&self, service: &str) -> String {
        payload_hash(self.text(service).as_bytes())
    }

    fn text(&self, service: &str) -> String {
        // Amazon S3 alone takes the path as it was sent.
        let path = match service {
            S3 => Cow::Borrowed(self.path),
            _ => Cow::Owned(encoded(without_dots(self.path).as_bytes(), KEPT_IN_PATH)),
        };
        let mut query: Vec<(String, String)> = pairs(self.query)
            .map(|(name, value)| (encoded(&decoded(name), KEPT), encoded(&decoded(value.unwrap_or_default()), KEPT)))
            .collect();
        query.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = String::new();
        for name in self.signed_headers {
            let values = self.headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
            let values: Vec<String> = values.map(|v| v.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            // Text is always taken.
            let _ = writeln!(headers, "{name}:{}", values.join(","));
        }
        let (query, signed) = (query.join("&"), self.signed_headers.join(";"));
        format!("{}\n{path}\n{query}\n{headers}\n{signed}\n{}", self.method, self.payload_hash)
    }
}

/// The SHA-256 of a body in lower-case hex.
#[must_use]
pub fn payload_hash(body: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The path in the spelling that S3 makes of it before it compares signatures: every byte encoded
/// once, but for RFC 3986's unreserved characters and slashes. `None` when a segment of it is `.`
/// or `..`: S3 takes that for a name, and what stands for S3 may take it for another place.
#[must_use]
pub fn spelled_path(path: &str) -> Option<String> {
    let bytes = decoded(path);
    let leads_elsewhere = bytes.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."));
    (!leads_elsewhere).then(|| encoded(&bytes, KEPT_IN_PATH))
}

/// The query string with every name and value encoded once and in full, in its own order. A plus
/// is a space, as services read it. A name without a value stays one.
#[must_use]
pub fn spelled_query(query: &str) -> String {
    let spelled = |text: &str| encoded(&decoded(&text.replace('+', " ")), KEPT);
    let pairs = pairs(query).map(|(name, value)| match value {
        Some(value) => format!("{}={}", spelled(name), spelled(value)),
        None => spelled(name),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Names with their values, neither decoded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value))))
}

/// RFC 3986 5.2.4, and without empty segments: how every service but S3 has a path.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

fn encoded(bytes: &[u8], set: &'static AsciiSet) -> String {
    percent_encode(bytes, set).to_string()
}

const S3: &str = "s3";
/// Instead of a hash, for a body that nobody reads before it is sent (Amazon S3: "Authenticating
/// Requests: Using the Authorization Header").
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The hash of no body.
pub const EMPTY_PAYLOAD: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// RFC 3986's unreserved characters are all that is not encoded.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const KEPT_IN_PATH: &AsciiSet = &KEPT.remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hashes_to_what_is_written_here() {
        assert_eq!(payload_hash(b""), EMPTY_PAYLOAD);
    }

    #[test]
    fn paths_and_queries_are_spelled_in_one_way() {
        for (path, spelled) in [
            ("/", "/"),
            ("/a%2Fb", "/a/b"),
            ("/a(1)+b:c@d", "/a%281%29%2Bb%3Ac%40d"),
            ("/%41%7e%c3%a9%20//", "/A~%C3%A9%20//"),
            ("/100%", "/100%25"),
            ("/..a/.b", "/..a/.b"),
        ] {
            assert_eq!(spelled_path(path).as_deref(), Some(spelled), "{path}");
            assert_eq!(spelled_path(spelled).as_deref(), Some(spelled), "{path} twice");
        }
        for path in ["/a/../b", "/..", "/.", "/a/%2e%2E/b", "/a/.%2fb", "/a%2F..%2Fb"] {
            assert_eq!(spelled_path(path), None, "{path}");
        }
        for (query, spelled) in [
            ("", ""),
            ("acl", "acl"),
            ("acl=", "acl="),
            ("b=2&a=1&a=0", "b=2&a=1&a=0"),
            ("q=a+b:c/d%2b&&x=(1)", "q=a%20b%3Ac%2Fd%2B&x=%281%29"),
            ("a=b=c", "a=b%3Dc"),
        ] {
            assert_eq!(spelled_query(query), spelled);
            assert_eq!(spelled_query(spelled), spelled, "twice");
        }
    }

    #[test]
    fn other_services_see_a_path_without_dots_and_empty_segments_encoded_twice() {
        let headers = HeaderMap::new();
        let of = |path, service| {
            let (method, query) = (&Method::GET, "a1=2&a=%41&a=");
            let one = Canonical { method, path, query, headers: &headers, signed_headers: &[], payload_hash: "x" };
            one.text(service)
        };
        assert_eq!(of("/a//./b%20c/../d%3A/", "lambda"), "GET\n/a/d%253A/\na=&a=A&a1=2\n\n\nx");
        assert_eq!(of("/..", "lambda"), "GET\n/\na=&a=A&a1=2\n\n\nx");
        assert_eq!(of("/a//b%20c", "s3"), "GET\n/a//b%20c\na=&a=A&a1=2\n\n\nx");
    }
}
