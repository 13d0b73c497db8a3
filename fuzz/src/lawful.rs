//! What holds for every result that passes: it can be put on the wire, it holds
//! nothing a function may not set, and an event made of it, returned as it is,
//! changes nothing.

use crate::events::config;
use event::{
    EventBody, EventRequest, EventResponse, EventType, Generated, Headers, RequestEdit, RequestResult, ResponseEdit,
    encode, parse_request_result, parse_response_result,
};
use http::uri::PathAndQuery;
use serde_json::{Value, json};

/// # Panics
/// A rule does not hold.
pub fn check_request(result: &RequestResult, event: EventType, sent: &EventRequest) {
    match result {
        RequestResult::Forward(edit) => check_forward(edit, event, sent),
        RequestResult::Respond(response) => check_generated(response, event, sent),
    }
}

fn check_forward(edit: &RequestEdit, event: EventType, sent: &EventRequest) {
    let queries = edit.querystring.iter().map(|query| format!("/?{query}"));
    for target in edit.uri.iter().cloned().chain(queries) {
        assert!(target.is_ascii() && target.parse::<PathAndQuery>().is_ok(), "{target:?} is no request target");
    }
    edit.headers.iter().for_each(check_headers);
    let mut edited = sent.clone();
    if let Some(uri) = &edit.uri {
        edited.uri.clone_from(uri);
    }
    if let Some(querystring) = &edit.querystring {
        edited.querystring.clone_from(querystring);
    }
    if let Some(headers) = &edit.headers {
        edited.headers = headers.clone().merge_hidden(&sent.headers);
    }
    if let Some(data) = &edit.body {
        edited.body = Some(EventBody { data: data.clone(), truncated: false });
    }
    if let Some(origin) = &edit.origin {
        edited.origin = Some(origin.clone());
    }
    let again = parse_request_result(&part_of_event(event, &edited, None, "request"), event, &edited);
    assert_eq!(again, Ok(RequestResult::Forward(RequestEdit::default())));
}

fn check_generated(response: &Generated, event: EventType, sent: &EventRequest) {
    assert!((200..=599).contains(&response.status));
    check_headers(&response.headers);
    assert!(response.headers.bytes() + response.body.len() <= event.generated_bytes_max());
    let shown = EventResponse {
        status: response.status,
        status_description: response.status_description.clone().unwrap_or_default(),
        headers: response.headers.clone(),
    };
    let mut again: Value =
        serde_json::from_slice(&part_of_event(event, sent, Some(&shown), "response")).expect("events are JSON");
    let Ok(body) = std::str::from_utf8(&response.body) else { return };
    again["body"] = json!(body);
    if response.status_description.is_none() {
        again.as_object_mut().expect("a response is an object").remove("statusDescription");
    }
    let again = parse_request_result(again.to_string().as_bytes(), event, sent);
    assert_eq!(again, Ok(RequestResult::Respond(response.clone())));
}

/// # Panics
/// A rule does not hold.
pub fn check_response(edit: &ResponseEdit, event: EventType, sent: &EventResponse, request: &EventRequest) {
    assert!(edit.status.is_none_or(|status| (200..=599).contains(&status)));
    edit.headers.iter().for_each(check_headers);
    if event == EventType::ViewerResponse {
        assert!(edit.status.is_none() && edit.status_description.is_none() && edit.body.is_none());
    }
    let mut edited = sent.clone();
    edited.status = edit.status.unwrap_or(sent.status);
    if let Some(description) = &edit.status_description {
        edited.status_description.clone_from(description);
    }
    if let Some(headers) = &edit.headers {
        edited.headers = headers.clone().merge_hidden(&sent.headers);
    }
    let again = part_of_event(event, request, Some(&edited), "response");
    assert_eq!(parse_response_result(&again, event, &edited), Ok(ResponseEdit::default()));
}

fn check_headers(headers: &Headers) {
    assert_eq!(headers.to_header_map().len(), headers.len(), "a line cannot be sent");
    assert!(headers.iter().all(|(name, _)| !is_disallowed(name)), "a disallowed header passed");
}

/// `request` or `response` of the event, as JSON.
#[must_use]
pub fn part_of_event(
    event: EventType,
    request: &EventRequest,
    response: Option<&EventResponse>,
    part: &str,
) -> Vec<u8> {
    let encoded = encode(&config(event), request, response);
    let whole: Value = serde_json::from_slice(encoded.json()).expect("events are JSON");
    serde_json::to_vec(&whole["Records"][0]["cf"][part]).expect("values can be written")
}

/// Written a second time, from AWS's page, so that one list checks the other
/// (AWS: "Restrictions on all edge functions", disallowed headers).
#[must_use]
pub fn is_disallowed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "connection"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "trailer"
            | "upgrade"
            | "x-accel-buffering"
            | "x-accel-charset"
            | "x-accel-limit-rate"
            | "x-accel-redirect"
            | "x-amzn-auth"
            | "x-amzn-cf-billing"
            | "x-amzn-cf-id"
            | "x-amzn-cf-xff"
            | "x-amzn-errortype"
            | "x-amzn-fle-profile"
            | "x-amzn-header-count"
            | "x-amzn-header-order"
            | "x-amzn-lambda-integration-tag"
            | "x-amzn-requestid"
            | "x-cache"
            | "x-forwarded-proto"
            | "x-real-ip"
            | "client-cert"
            | "client-cert-chain"
            | "cloudfront-viewer-cert-pem"
    ) || name.starts_with("x-amz-cf-")
        || name.starts_with("x-edge-")
}

/// As [`is_disallowed`], for headers that are read-only in an event.
#[must_use]
pub fn read_only(event: EventType) -> &'static [&'static str] {
    match event {
        EventType::ViewerRequest => &["content-length", "host", "transfer-encoding", "via", "cdn-loop"],
        EventType::OriginRequest => &[
            "accept-encoding",
            "content-length",
            "if-modified-since",
            "if-none-match",
            "if-range",
            "if-unmodified-since",
            "transfer-encoding",
            "via",
            "cdn-loop",
        ],
        EventType::OriginResponse => &["transfer-encoding", "via"],
        EventType::ViewerResponse => &["content-encoding", "content-length", "transfer-encoding", "warning", "via"],
    }
}
