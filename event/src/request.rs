//! The result of a function in a request event: forward the request, changed or
//! not, or respond.

use super::generated::{self, Encoding};
use super::header_map::Written;
use super::json::{self, RawResult};
use super::origin;
use super::{EventRequest, EventType, InvalidResult, RequestEdit, RequestResult, Rule, header_map, url};
use bytes::Bytes;
use environment::limits;
use http::Method;
use serde_json::value::RawValue;

/// What a function of a request event decided. An object with `status` is a
/// response, else one with `uri` is a request.
///
/// # Errors
/// The first rule the result breaks.
pub fn parse_request_result(
    json: &[u8],
    event: EventType,
    sent: &EventRequest,
) -> Result<RequestResult, InvalidResult> {
    parse(json, event, sent, Written::Whole)
}

/// The same of a result whose header map is `written` so.
pub(super) fn parse(
    json: &[u8],
    event: EventType,
    sent: &EventRequest,
    written: Written,
) -> Result<RequestResult, InvalidResult> {
    let result = json::result(json)?;
    match (result.status, result.uri) {
        (Some(status), _) => generated::response(result, status, event).map(RequestResult::Respond),
        (None, Some(uri)) => edit(result, uri, (event, written), sent).map(RequestResult::Forward),
        (None, None) if result.records.is_some() => {
            let reason = "result is the event: return event.Records[0].cf.request or a response";
            Err(InvalidResult::new(Rule::EventReturned, reason))
        }
        (None, None) => {
            let reason = "result is neither a request (no uri) nor a response (no status)";
            Err(InvalidResult::new(Rule::NeitherRequestNorResponse, reason))
        }
    }
}

fn edit(
    result: RawResult<'_>,
    uri: &RawValue,
    (event, written): (EventType, Written),
    sent: &EventRequest,
) -> Result<RequestEdit, InvalidResult> {
    check_read_only_field("method", result.method, sent.method.as_str())?;
    check_read_only_field("clientIp", result.client_ip, &sent.client_ip.to_string())?;
    let (uri, querystring) = target(uri, result.querystring, sent)?;
    let headers = header_map::edit(result.headers, event, &sent.headers, written)?;
    let origin = match result.origin {
        None => None,
        Some(raw) if event == EventType::OriginRequest => {
            origin::parse(raw, sent.origin.as_ref(), headers.as_ref().unwrap_or(&sent.headers))?
        }
        Some(_) => {
            let reason = "origin can be set in origin-request only";
            return Err(InvalidResult::new(Rule::OriginForbidden, reason));
        }
    };
    Ok(RequestEdit {
        uri,
        querystring,
        body: result.body.map(|raw| body(raw, event, sent)).transpose()?.flatten(),
        headers,
        origin,
    })
}

fn check_read_only_field(field: &str, raw: Option<&RawValue>, sent: &str) -> Result<(), InvalidResult> {
    match raw {
        Some(raw) if json::string(raw).as_deref() != Some(sent) => {
            let reason = format!("{field} is read-only, it was {sent:?}");
            Err(InvalidResult::new(Rule::FieldReadOnly, reason).value(raw.get()))
        }
        _ => Ok(()),
    }
}

/// The new path and query string, each `None` when it is as it was.
fn target(
    uri: &RawValue,
    querystring: Option<&RawValue>,
    sent: &EventRequest,
) -> Result<(Option<String>, Option<String>), InvalidResult> {
    let Some(text) = json::string(uri) else {
        return Err(InvalidResult::new(Rule::UriInvalid, "uri must be a string").value(uri.get()));
    };
    let uri = if text == sent.uri { None } else { Some(url::path(&text)?) };
    let querystring = match querystring.map(|raw| (raw, json::string(raw))) {
        None => None,
        Some((raw, None)) => {
            let reason = "querystring must be a string";
            return Err(InvalidResult::new(Rule::QuerystringInvalid, reason).value(raw.get()));
        }
        Some((_, Some(text))) if text == sent.querystring => None,
        Some((_, Some(text))) => Some(url::query(&text)?),
    };
    if uri.is_some() || querystring.is_some() {
        let path = uri.as_ref().unwrap_or(&sent.uri);
        url::check_length(path, querystring.as_ref().unwrap_or(&sent.querystring))?;
    }
    Ok((uri, querystring))
}

/// The new body, or `None` when the function only read it
/// (AWS: "Access the request body by choosing the include body option").
fn body(raw: &RawValue, event: EventType, sent: &EventRequest) -> Result<Option<Bytes>, InvalidResult> {
    let invalid = |reason: String| InvalidResult::new(Rule::BodyInvalid, reason);
    let Some(fields) = json::entries(raw) else {
        return Err(invalid(format!("body is {}, it must be an object", json::kind(raw.get()))));
    };
    let field = |wanted: &str| fields.iter().rev().find(|(name, _)| name == wanted).map(|(_, raw)| *raw);
    match field("action").map(json::string) {
        None => return Ok(None),
        Some(Some(action)) if action == "read-only" => return Ok(None),
        Some(Some(action)) if action == "replace" => {}
        Some(_) => return Err(invalid("body.action must be \"read-only\" or \"replace\"".to_owned())),
    }
    if matches!(sent.method, Method::GET | Method::HEAD) {
        let reason = format!("a {} request has no body to replace", sent.method);
        return Err(InvalidResult::new(Rule::BodyForbidden, reason));
    }
    let Some(data) = field("data").and_then(json::string) else {
        return Err(invalid("body.data must be a string when body.action is \"replace\"".to_owned()));
    };
    let encoding = generated::encoding(field("encoding"), "body.encoding")?;
    let limit = match (encoding, event.is_viewer()) {
        (Encoding::Text, _) => event.body_bytes_max(),
        (Encoding::Base64, true) => limits::BODY_BASE64_MAX_VIEWER,
        (Encoding::Base64, false) => limits::BODY_BASE64_MAX_ORIGIN,
    };
    if data.len() > limit {
        let reason = format!("body.data has {} characters, the limit of {event} is {limit}", data.len());
        return Err(InvalidResult::new(Rule::BodyTooLarge, reason));
    }
    match encoding {
        Encoding::Text => Ok(Some(Bytes::from(data.into_owned()))),
        Encoding::Base64 => generated::base64(&data, "body.data").map(Some),
    }
}
