//! The path and query string a function sets: what cannot stand in a request
//! target is refused (control characters, `#` and spaces in a query) or, where
//! the meaning is plain, percent-encoded.

use super::{InvalidResult, Rule};
use environment::limits::URI_QUERY_MAX;

/// A new path as it goes on the wire. `?`, `#`, spaces and non-ASCII characters
/// belong to the path here, so they are percent-encoded.
pub(super) fn path(text: &str) -> Result<String, InvalidResult> {
    if !text.starts_with('/') {
        return Err(InvalidResult::new(Rule::UriInvalid, "uri must start with \"/\"").value(text));
    }
    if text.chars().any(|character| character.is_ascii_control()) {
        return Err(InvalidResult::new(Rule::UriInvalid, "uri must not have control characters").value(text));
    }
    Ok(encoded(text, b" \"#<>?\\^`{|}"))
}

/// A new query string as it goes on the wire (AWS: "Restrictions on all edge functions", query string).
pub(super) fn query(text: &str) -> Result<String, InvalidResult> {
    if text.chars().any(|character| character.is_ascii_control() || character == ' ' || character == '#') {
        let reason = "querystring must not have spaces, control characters or \"#\"";
        return Err(InvalidResult::new(Rule::QuerystringInvalid, reason).value(text));
    }
    Ok(encoded(text, b"\"<>\\^`{|}"))
}

/// Path and query together.
pub(super) fn check_length(path: &str, query: &str) -> Result<(), InvalidResult> {
    let length = path.len() + query.len();
    if length <= URI_QUERY_MAX {
        return Ok(());
    }
    let reason = format!("uri and querystring have {length} characters, the limit is {URI_QUERY_MAX}");
    Err(InvalidResult::new(Rule::UrlTooLong, reason))
}

fn encoded(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() && !also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
