//! The parts of a response that a function writes: status, description, body,
//! and the whole of a response made in a request event.

use super::header_map::Written;
use super::headers::Headers;
use super::json::{self, RawResult};
use super::{EventType, Generated, InvalidResult, Rule, header_map};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

/// A response made in a request event (AWS: "Generate HTTP responses in request triggers").
pub(super) fn response(
    result: RawResult<'_>,
    raw_status: &RawValue,
    event: EventType,
) -> Result<Generated, InvalidResult> {
    let status = status(raw_status)?;
    let status_description = result.status_description.map(description).transpose()?;
    let headers = header_map::edit(result.headers, event, &Headers::new(), Written::Whole)?.unwrap_or_default();
    let body = match result.body {
        Some(raw) => body(raw, result.body_encoding)?,
        None => Bytes::new(),
    };
    check_size(&headers, &body, event)?;
    if status == 204 && event == EventType::ViewerRequest && !body.is_empty() {
        let reason = format!("a 204 response must not have a body, this one has {} bytes", body.len());
        return Err(InvalidResult::new(Rule::BodyForbidden, reason));
    }
    let body = if bodiless(status) { Bytes::new() } else { body };
    Ok(Generated { status, status_description, headers, body })
}

/// 200 to 599, as a number or a string of three digits.
pub(super) fn status(raw: &RawValue) -> Result<u16, InvalidResult> {
    let text = json::string(raw).unwrap_or(raw.get().into());
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(status @ 200..=599) if digits => Ok(status),
        _ => Err(InvalidResult::new(Rule::StatusInvalid, "status must be 200 to 599").value(&text)),
    }
}

/// Free text of one line.
pub(super) fn description(raw: &RawValue) -> Result<String, InvalidResult> {
    let reason = "statusDescription must be a string without control characters";
    let invalid = || InvalidResult::new(Rule::StatusDescriptionInvalid, reason).value(raw.get());
    let text = json::string(raw).ok_or_else(invalid)?;
    if text.chars().any(|character| character.is_ascii_control() && character != '\t') {
        return Err(invalid());
    }
    Ok(text.into_owned())
}

/// A body, decoded as `bodyEncoding` says; `text` when it says nothing.
pub(super) fn body(raw: &RawValue, encoding: Option<&RawValue>) -> Result<Bytes, InvalidResult> {
    let Some(data) = json::string(raw) else {
        let reason = format!("body is {}, it must be a string", json::kind(raw.get()));
        return Err(InvalidResult::new(Rule::BodyInvalid, reason));
    };
    match self::encoding(encoding, "bodyEncoding")? {
        Encoding::Text => Ok(Bytes::from(data.into_owned())),
        Encoding::Base64 => base64(&data, "body"),
    }
}

/// How a body is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Text,
    Base64,
}

/// The encoding a field says; text when it is missing.
pub(super) fn encoding(raw: Option<&RawValue>, field: &str) -> Result<Encoding, InvalidResult> {
    let Some(raw) = raw else { return Ok(Encoding::Text) };
    match json::string(raw).as_deref() {
        Some("text") => Ok(Encoding::Text),
        Some("base64") => Ok(Encoding::Base64),
        _ => {
            let reason = format!("{field} must be \"text\" or \"base64\"");
            Err(InvalidResult::new(Rule::BodyEncodingInvalid, reason).value(raw.get()))
        }
    }
}

/// The bytes of a base64 string.
pub(super) fn base64(data: &str, field: &str) -> Result<Bytes, InvalidResult> {
    STANDARD
        .decode(data)
        .map(Bytes::from)
        .map_err(|error| InvalidResult::new(Rule::BodyNotBase64, format!("{field} is not base64: {error}")).value(data))
}

/// Headers and body together fit what the event allows.
pub(super) fn check_size(headers: &Headers, body: &[u8], event: EventType) -> Result<(), InvalidResult> {
    let (bytes, limit) = (headers.bytes() + body.len(), event.generated_bytes_max());
    if bytes <= limit {
        return Ok(());
    }
    let reason = format!("headers and body have {bytes} bytes, the limit of {event} is {limit}");
    Err(InvalidResult::new(Rule::BodyTooLarge, reason))
}

/// RFC 9110 6.4.1: responses of these statuses have no content.
pub(super) fn bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}
