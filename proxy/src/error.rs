//! The one place where a function's failure becomes an HTTP status, an `X-Cache`
//! value and an error page. The viewer gets a status and a request id, never a
//! trace, unless somebody [explains](Explain); the log gets the reason.

use bytes::Bytes;
use environment::{ErrorPayload, Outcome};
use event::InvalidResult;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::fmt;
use std::sync::Arc;

/// `X-Cache` of a page for any failure without a name of its own.
pub const X_CACHE_ERROR: &str = "Error from cloudfront";
/// `X-Cache` when a function failed: threw, crashed, timed out, could not start.
pub const X_CACHE_EXECUTION_ERROR: &str = "LambdaExecutionError from cloudfront";
/// `X-Cache` when no environment was free.
pub const X_CACHE_LIMIT_EXCEEDED: &str = "LambdaLimitExceeded from cloudfront";
/// `X-Cache` when a result broke a rule.
pub const X_CACHE_VALIDATION_ERROR: &str = "LambdaValidationError from cloudfront";

/// Makes the page that a person who works on the functions sees in place of ours, as plain text.
#[derive(Clone)]
pub struct Explain(pub Arc<dyn Fn(&EdgeError) -> String + Send + Sync>);

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explain")
    }
}

impl Explain {
    /// The page for an error, with its `X-Cache`.
    pub(crate) fn page(&self, error: &EdgeError) -> (HeaderMap, Bytes) {
        let text = (self.0)(error);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-cache", HeaderValue::from_static(error.x_cache));
        (headers, Bytes::from(text))
    }
}

/// A failure the viewer is told about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", status.as_u16())]
pub struct EdgeError {
    pub status: StatusCode,
    pub x_cache: &'static str,
    /// For the log only; may hold a function's error message and trace.
    pub reason: String,
}

impl EdgeError {
    /// A failure that no function caused, with `X-Cache: Error from cloudfront`.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> EdgeError {
        EdgeError { status, x_cache: X_CACHE_ERROR, reason: reason.into() }
    }

    /// What the viewer gets for an outcome; `None` for a result, which must be parsed instead.
    #[must_use]
    pub fn from_outcome(outcome: &Outcome) -> Option<EdgeError> {
        let reason = match outcome {
            Outcome::Result(_) => return None,
            Outcome::Throttled(throttle) => {
                let reason = throttle.to_string();
                return Some(EdgeError::function(StatusCode::SERVICE_UNAVAILABLE, X_CACHE_LIMIT_EXCEEDED, reason));
            }
            Outcome::ResultTooLarge { bytes, limit } => {
                let reason = format!("result of {bytes} bytes is over the limit of {limit}");
                return Some(EdgeError::function(StatusCode::BAD_GATEWAY, X_CACHE_VALIDATION_ERROR, reason));
            }
            Outcome::Threw(error) => format!("handler failed: {}", described(error)),
            Outcome::InitFailed(error) => format!("init failed: {}", described(error)),
            Outcome::TimedOut { timeout_ms } => format!("handler ran longer than its timeout of {timeout_ms} ms"),
            Outcome::ExceededMemory { memory_mb, used_mb } => {
                format!("environment used {used_mb} MB, its limit is {memory_mb} MB")
            }
            Outcome::Crashed { reason } => format!("environment ended: {reason}"),
            Outcome::Canceled => "viewer went away before the handler was done".to_owned(),
        };
        Some(EdgeError::function(StatusCode::SERVICE_UNAVAILABLE, X_CACHE_EXECUTION_ERROR, reason))
    }

    /// The page for this error, with its `X-Cache`.
    #[must_use]
    pub fn page(&self, request_id: &str) -> (HeaderMap, Bytes) {
        let (mut headers, body) = page(self.status, request_id);
        headers.insert("x-cache", HeaderValue::from_static(self.x_cache));
        (headers, body)
    }

    fn function(status: StatusCode, x_cache: &'static str, reason: impl Into<String>) -> EdgeError {
        EdgeError { status, x_cache, reason: reason.into() }
    }
}

impl From<&InvalidResult> for EdgeError {
    fn from(invalid: &InvalidResult) -> EdgeError {
        EdgeError::function(StatusCode::BAD_GATEWAY, X_CACHE_VALIDATION_ERROR, invalid.to_string())
    }
}

impl From<InvalidResult> for EdgeError {
    fn from(invalid: InvalidResult) -> EdgeError {
        EdgeError::from(&invalid)
    }
}

/// Headers (`Content-Type`, `Content-Length`, `Cache-Control`) and HTML of the page for a status.
#[must_use]
pub fn page(status: StatusCode, request_id: &str) -> (HeaderMap, Bytes) {
    let code = status.as_u16();
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <title>{code} {reason}</title>\n</head><body>\n\
         <h1>{code} {reason}</h1>\n<p>{explanation}</p>\n<hr>\n\
         <pre>\nGenerated by selvedge\nRequest ID: {id}\n</pre>\n</body></html>\n",
        reason = status.canonical_reason().unwrap_or("Error"),
        explanation = explanation(status),
        id = escaped(request_id),
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(html.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, Bytes::from(html))
}

fn explanation(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 414 | 431 | 494 => "The request is malformed or too large.",
        403 => "This site does not allow the request.",
        404 => "There is nothing at this address.",
        405 => "This site does not allow the request's method.",
        416 => "The requested range is not in the file.",
        502 => "A server behind this site, or a function of it, gave an answer that cannot be used.",
        503 => "A function of this site failed, or the site is over its capacity. It may work later.",
        504 => "A server behind this site did not answer in time.",
        _ => "The request could not be answered.",
    }
}

fn described(error: &ErrorPayload) -> String {
    let mut text = format!("{}: {}", error.error_type, error.error_message);
    for line in &error.trace {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use environment::Throttle;

    fn thrown() -> ErrorPayload {
        ErrorPayload {
            error_type: "TypeError".into(),
            error_message: "secret message".into(),
            trace: vec!["TypeError: secret message".into(), "    at handler (/var/task/index.mjs:1:1)".into()],
        }
    }

    #[test]
    fn each_outcome_has_its_status_and_x_cache() {
        let execution = (503, X_CACHE_EXECUTION_ERROR);
        for (outcome, expected) in [
            (Outcome::Threw(thrown()), execution),
            (Outcome::InitFailed(thrown()), execution),
            (Outcome::TimedOut { timeout_ms: 3000 }, execution),
            (Outcome::ExceededMemory { memory_mb: 128, used_mb: 130 }, execution),
            (Outcome::Crashed { reason: "signal 9".into() }, execution),
            (Outcome::Canceled, execution),
            (Outcome::Throttled(Throttle::Reserved { max: 1 }), (503, X_CACHE_LIMIT_EXCEEDED)),
            (Outcome::ResultTooLarge { bytes: 9, limit: 8 }, (502, X_CACHE_VALIDATION_ERROR)),
        ] {
            let error = EdgeError::from_outcome(&outcome).unwrap();
            assert_eq!((error.status.as_u16(), error.x_cache), expected, "{outcome:?}");
        }
        assert_eq!(EdgeError::from_outcome(&Outcome::Result(Bytes::from_static(b"null"))), None);
    }

    #[test]
    fn an_invalid_result_is_a_502_validation_error() {
        let sent =
            event::EventResponse { status: 200, status_description: "OK".into(), headers: event::Headers::new() };
        let invalid = event::parse_response_result(b"null", event::EventType::OriginResponse, &sent).unwrap_err();
        let error = EdgeError::from(invalid);
        assert_eq!((error.status.as_u16(), error.x_cache), (502, X_CACHE_VALIDATION_ERROR));
        assert!(error.reason.contains("not-an-object"), "{}", error.reason);
    }

    #[test]
    fn the_page_shows_the_request_id_and_never_the_trace() {
        let error = EdgeError::from_outcome(&Outcome::Threw(thrown())).unwrap();
        assert!(error.reason.contains("index.mjs:1:1"));
        let (headers, body) = error.page("id-7==");
        let html = String::from_utf8(body.to_vec()).unwrap();
        assert!(html.contains("503 Service Unavailable") && html.contains("Request ID: id-7=="));
        assert!(!html.contains("secret") && !html.contains("index.mjs") && !html.contains("TypeError"));
        assert_eq!(headers["x-cache"], X_CACHE_EXECUTION_ERROR);
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string().as_str());
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn a_request_id_cannot_inject_html() {
        let (_, body) = page(StatusCode::NOT_FOUND, "<script>\"'&");
        let html = String::from_utf8(body.to_vec()).unwrap();
        assert!(html.contains("&lt;script&gt;&quot;&#39;&amp;") && !html.contains("<script>"));
    }

    #[test]
    fn a_status_without_a_name_still_gets_a_page() {
        let (headers, body) = page(StatusCode::from_u16(494).unwrap(), "x");
        assert!(String::from_utf8(body.to_vec()).unwrap().contains("494 Error"));
        assert_eq!(headers[CACHE_CONTROL], "no-store");
    }
}
