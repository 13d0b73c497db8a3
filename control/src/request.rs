//! A received request, taken apart once: method, decoded path segments, query, headers and
//! body. Which operation it is, is its service's to know.

use crate::error::{ApiError, Code};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

/// One request whose signature was verified.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Of the path, decoded, without empty ones.
    pub(crate) segments: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(parts: Parts, body: Bytes) -> Request {
        let path = parts.uri.path();
        let segments = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let query = pairs(parts.uri.query().unwrap_or_default());
        Request { method: parts.method, segments, query, headers: parts.headers, body }
    }

    /// The first value of a query parameter; empty when it has none.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a query parameter.
    pub(crate) fn query_all(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// A header's value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The host that the client spoke to.
    pub(crate) fn host(&self) -> &str {
        self.header("host").unwrap_or("localhost")
    }

    /// Refuses a change that was made for another state than the one with this ETag.
    pub(crate) fn expect_etag(&self, etag: &str) -> Result<(), ApiError> {
        let given = self.header("if-match").map(|given| given.trim().trim_matches('"')).unwrap_or_default();
        if given.is_empty() {
            let message = "The If-Match version is missing or not valid for the resource.";
            return Err(ApiError::new(Code::INVALID_IF_MATCH, message));
        }
        if given != etag {
            let message =
                "The request failed because it didn't meet the preconditions in one or more request-header fields.";
            return Err(ApiError::new(Code::STALE, message));
        }
        Ok(())
    }

    /// The body as JSON; an empty one is an object without members.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| {
            let code = if error.is_data() { Code::INVALID_PARAMETER } else { Code::INVALID_CONTENT };
            ApiError::new(code, format!("the request's body: {error}"))
        })
    }
}

/// Decoded names and values, in order.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
