//! The result of a function in a response event: the response, changed or not.

use super::header_map::Written;
use super::json::{self, RawResult};
use super::{EventResponse, EventType, InvalidResult, ResponseEdit, Rule, generated, header_map};
use bytes::Bytes;
use serde_json::value::RawValue;

/// What a function of a response event decided.
///
/// # Errors
/// The first rule the result breaks.
pub fn parse_response_result(
    json: &[u8],
    event: EventType,
    sent: &EventResponse,
) -> Result<ResponseEdit, InvalidResult> {
    parse(json, event, sent, Written::Whole)
}

/// The same of a result whose header map is `written` so.
pub(super) fn parse(
    json: &[u8],
    event: EventType,
    sent: &EventResponse,
    written: Written,
) -> Result<ResponseEdit, InvalidResult> {
    let result = json::result(json)?;
    let Some(raw_status) = result.status else { return Err(without_status(&result)) };
    let status = changed_status(raw_status, event, sent)?;
    let description = result.status_description.map(generated::description).transpose()?;
    let headers = header_map::edit(result.headers, event, &sent.headers, written)?;
    let body = match result.body {
        None => None,
        Some(_) if event == EventType::ViewerResponse => {
            let reason = "viewer-response can change headers only, not the body";
            return Err(InvalidResult::new(Rule::BodyForbidden, reason));
        }
        Some(raw) => {
            let body = generated::body(raw, result.body_encoding)?;
            let left = headers.clone().unwrap_or_else(|| sent.headers.clone().without_hidden());
            generated::check_size(&left, &body, event)?;
            Some(if generated::bodiless(status.unwrap_or(sent.status)) { Bytes::new() } else { body })
        }
    };
    Ok(ResponseEdit {
        status,
        status_description: description
            .filter(|text| event != EventType::ViewerResponse && *text != sent.status_description),
        headers,
        body,
    })
}

fn without_status(result: &RawResult<'_>) -> InvalidResult {
    if result.records.is_some() {
        let reason = "result is the event: return event.Records[0].cf.response";
        InvalidResult::new(Rule::EventReturned, reason)
    } else if result.uri.is_some() {
        let reason = "result is a request: a function of a response event must return the response";
        InvalidResult::new(Rule::RequestInResponseEvent, reason)
    } else {
        InvalidResult::new(Rule::StatusMissing, "result has no status")
    }
}

/// The status, when it is not the one sent. One the origin gave and the function
/// left is not judged.
fn changed_status(raw: &RawValue, event: EventType, sent: &EventResponse) -> Result<Option<u16>, InvalidResult> {
    let text = json::string(raw).unwrap_or(raw.get().into());
    if text == sent.status.to_string() {
        return Ok(None);
    }
    if event == EventType::ViewerResponse {
        let reason = format!("viewer-response must not change the status, it was {}", sent.status);
        return Err(InvalidResult::new(Rule::StatusReadOnly, reason).value(&text));
    }
    generated::status(raw).map(Some)
}
