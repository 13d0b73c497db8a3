//! What a function sees and what it may answer: events are encoded and results
//! are parsed here, under CloudFront's rules. Pure: `http` types and bytes in,
//! values out; it knows no runtime, no cache and no Pingora. `docs/lambda-edge.md`
//! lists every rule with its test.
//!
//! A result that passes is already lawful: `proxy` can apply it without a check.

use bytes::Bytes;
use http::Method;
use std::net::IpAddr;

mod encode;
mod encoded;
mod generated;
mod header_lines;
mod header_map;
mod headers;
mod invalid;
mod json;
mod origin;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod url;

pub use encode::encode;
pub use encoded::Encoded;
pub use headers::{HeaderLine, Headers};
pub use invalid::{InvalidResult, Rule};
pub use origin::{AuthMethod, EventOrigin, OriginProtocol, SSL_PROTOCOLS};
pub use request::parse_request_result;
pub use response::parse_response_result;

use environment::limits;

/// The four trigger points (AWS: "CloudFront events that can trigger a Lambda@Edge function").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    ViewerRequest,
    OriginRequest,
    OriginResponse,
    ViewerResponse,
}

impl EventType {
    /// In the order in which a request meets them.
    pub const ALL: [EventType; 4] =
        [EventType::ViewerRequest, EventType::OriginRequest, EventType::OriginResponse, EventType::ViewerResponse];

    /// `config.eventType`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::ViewerRequest => "viewer-request",
            EventType::OriginRequest => "origin-request",
            EventType::OriginResponse => "origin-response",
            EventType::ViewerResponse => "viewer-response",
        }
    }

    /// Whether it runs on the viewer's side of the cache.
    #[must_use]
    pub fn is_viewer(self) -> bool {
        matches!(self, EventType::ViewerRequest | EventType::ViewerResponse)
    }

    /// Raw bytes of the request body a function may see; what is longer is cut before the event is encoded.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        if self.is_viewer() { limits::BODY_BYTES_MAX_VIEWER } else { limits::BODY_BYTES_MAX_ORIGIN }
    }

    /// Bytes of headers and body of a response that a function makes.
    #[must_use]
    pub fn generated_bytes_max(self) -> usize {
        if self.is_viewer() { limits::GENERATED_BYTES_MAX_VIEWER } else { limits::GENERATED_BYTES_MAX_ORIGIN }
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `config` of an event.
#[derive(Clone, Copy, Debug)]
pub struct EventConfig<'a> {
    pub distribution_domain_name: &'a str,
    pub distribution_id: &'a str,
    pub request_id: &'a str,
    pub event_type: EventType,
}

/// `request` of an event: what the viewer sent (viewer events) or what the
/// origin will get (origin events).
#[derive(Clone, Debug, PartialEq)]
pub struct EventRequest {
    pub client_ip: IpAddr,
    pub method: Method,
    /// The raw path, with its percent escapes.
    pub uri: String,
    /// Without `?`; empty when there is none.
    pub querystring: String,
    /// May hold hidden headers: [`encode`] leaves them out.
    pub headers: Headers,
    /// Only in request events of functions that include the body.
    pub body: Option<EventBody>,
    /// Only in origin events.
    pub origin: Option<EventOrigin>,
}

/// The request body a function sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBody {
    /// Raw bytes, already cut to [`EventType::body_bytes_max`].
    pub data: Bytes,
    /// Whether it was cut.
    pub truncated: bool,
}

/// `response` of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventResponse {
    pub status: u16,
    pub status_description: String,
    /// May hold hidden headers: [`encode`] leaves them out.
    pub headers: Headers,
}

/// What a function decided in a request event.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestResult {
    /// Go on with the request, changed so.
    Forward(RequestEdit),
    /// Answer with this response.
    Respond(Generated),
}

/// Changes to a request; `None` is "as it was".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestEdit {
    /// The new raw path; starts with `/`, and is a valid request target.
    pub uri: Option<String>,
    /// The new query string, without `?`.
    pub querystring: Option<String>,
    /// All headers the function left, when any differs; see [`Headers::merge_hidden`].
    pub headers: Option<Headers>,
    /// The new body, decoded. The caller sets `Content-Length`.
    pub body: Option<Bytes>,
    /// The new origin, whole. Only in origin-request.
    pub origin: Option<EventOrigin>,
}

/// A response made by a function in a request event. The caller sets `Content-Length`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// 200 to 599.
    pub status: u16,
    pub status_description: Option<String>,
    pub headers: Headers,
    pub body: Bytes,
}

/// Changes to a response; `None` is "as it was".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseEdit {
    /// 200 to 599. Never in viewer-response.
    pub status: Option<u16>,
    /// Never in viewer-response, where it is read-only and a change is ignored.
    pub status_description: Option<String>,
    /// All headers the function left, when any differs; see [`Headers::merge_hidden`].
    pub headers: Option<Headers>,
    /// The new body, decoded; empty removes it. The caller sets `Content-Length`. Never in viewer-response.
    pub body: Option<Bytes>,
}
