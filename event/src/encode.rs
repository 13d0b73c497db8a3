//! Writes an event as JSON in one pass, without a tree.

use super::headers::{HeaderLine, Headers, text};
use super::{EventBody, EventConfig, EventOrigin, EventRequest, EventResponse, EventType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::io::Write as _;
use std::time::Duration;

/// The event as a handler gets it (AWS: "Lambda@Edge event structure"): hidden
/// headers left out, values in UTF-8. `body` is written in request events only,
/// `origin` in origin events only.
#[must_use]
pub fn encode(config: &EventConfig<'_>, request: &EventRequest, response: Option<&EventResponse>) -> Bytes {
    let mut out = Vec::with_capacity(size_guess(request, response));
    raw(&mut out, r#"{"Records":[{"cf":{"config":{"distributionDomainName":"#);
    string(&mut out, config.distribution_domain_name);
    raw(&mut out, r#","distributionId":"#);
    string(&mut out, config.distribution_id);
    raw(&mut out, r#","eventType":"#);
    string(&mut out, config.event_type.as_str());
    raw(&mut out, r#","requestId":"#);
    string(&mut out, config.request_id);
    raw(&mut out, r#"},"request":"#);
    put_request(&mut out, config.event_type, request);
    if let Some(response) = response {
        raw(&mut out, r#","response":"#);
        put_response(&mut out, response);
    }
    raw(&mut out, "}}]}");
    Bytes::from(out)
}

fn put_request(out: &mut Vec<u8>, event: EventType, request: &EventRequest) {
    raw(out, r#"{"clientIp":"#);
    string(out, &request.client_ip.to_string());
    raw(out, r#","headers":"#);
    put_headers(out, &request.headers);
    raw(out, r#","method":"#);
    string(out, request.method.as_str());
    raw(out, r#","querystring":"#);
    string(out, &request.querystring);
    raw(out, r#","uri":"#);
    string(out, &request.uri);
    if let (Some(body), EventType::ViewerRequest | EventType::OriginRequest) = (&request.body, event) {
        put_body(out, body);
    }
    if let (Some(origin), EventType::OriginRequest | EventType::OriginResponse) = (&request.origin, event) {
        put_origin(out, origin);
    }
    raw(out, "}");
}

fn put_body(out: &mut Vec<u8>, body: &EventBody) {
    raw(out, r#","body":{"action":"read-only","data":""#);
    let start = out.len();
    out.resize(start + body.data.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(&body.data, &mut out[start..]).expect("four bytes are there for every three");
    out.truncate(start + written);
    raw(out, r#"","encoding":"base64","inputTruncated":"#);
    raw(out, if body.truncated { "true}" } else { "false}" });
}

fn put_response(out: &mut Vec<u8>, response: &EventResponse) {
    raw(out, r#"{"headers":"#);
    put_headers(out, &response.headers);
    raw(out, r#","status":""#);
    number(out, u64::from(response.status));
    raw(out, r#"","statusDescription":"#);
    string(out, &response.status_description);
    raw(out, "}");
}

fn put_origin(out: &mut Vec<u8>, origin: &EventOrigin) {
    match origin {
        EventOrigin::Custom {
            domain_name,
            path,
            port,
            protocol,
            read_timeout,
            keepalive_timeout,
            response_completion_timeout,
            ssl_protocols,
            custom_headers,
        } => {
            raw(out, r#","origin":{"custom":{"customHeaders":"#);
            put_headers(out, custom_headers);
            raw(out, r#","domainName":"#);
            string(out, domain_name);
            put_seconds(out, "keepaliveTimeout", Some(*keepalive_timeout));
            raw(out, r#","path":"#);
            string(out, path);
            raw(out, r#","port":"#);
            number(out, u64::from(*port));
            raw(out, r#","protocol":"#);
            string(out, protocol.as_str());
            put_seconds(out, "readTimeout", Some(*read_timeout));
            put_seconds(out, "responseCompletionTimeout", *response_completion_timeout);
            raw(out, r#","sslProtocols":["#);
            for (index, protocol) in ssl_protocols.iter().enumerate() {
                raw(out, if index == 0 { "" } else { "," });
                string(out, protocol);
            }
            raw(out, "]}}");
        }
        EventOrigin::S3 {
            domain_name,
            path,
            region,
            auth_method,
            read_timeout,
            response_completion_timeout,
            custom_headers,
        } => {
            raw(out, r#","origin":{"s3":{"authMethod":"#);
            string(out, auth_method.as_str());
            raw(out, r#","customHeaders":"#);
            put_headers(out, custom_headers);
            raw(out, r#","domainName":"#);
            string(out, domain_name);
            raw(out, r#","path":"#);
            string(out, path);
            put_seconds(out, "readTimeout", *read_timeout);
            raw(out, r#","region":"#);
            string(out, region);
            put_seconds(out, "responseCompletionTimeout", *response_completion_timeout);
            raw(out, "}}");
        }
    }
}

fn put_seconds(out: &mut Vec<u8>, name: &str, duration: Option<Duration>) {
    if let Some(duration) = duration {
        write!(out, r#","{name}":{}"#, duration.as_secs()).expect("a Vec takes every byte");
    }
}

fn put_headers(out: &mut Vec<u8>, headers: &Headers) {
    let mut previous: Option<&str> = None;
    for HeaderLine { name, value } in headers.grouped() {
        match previous {
            Some(previous) if previous.eq_ignore_ascii_case(name) => raw(out, r#",{"key":"#),
            _ => {
                raw(out, if previous.is_none() { "{" } else { "]," });
                string(out, &name.to_ascii_lowercase());
                raw(out, r#":[{"key":"#);
            }
        }
        string(out, name);
        raw(out, r#","value":"#);
        string(out, &text(value));
        raw(out, "}");
        previous = Some(name);
    }
    raw(out, if previous.is_none() { "{}" } else { "]}" });
}

fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always serialises into memory");
}

fn number(out: &mut Vec<u8>, number: u64) {
    write!(out, "{number}").expect("a Vec takes every byte");
}

/// Enough for most events, so that the buffer grows at most once.
fn size_guess(request: &EventRequest, response: Option<&EventResponse>) -> usize {
    let lines = |headers: &Headers| headers.bytes() * 2 + headers.len() * 40;
    let body = request.body.as_ref().map_or(0, |body| body.data.len().div_ceil(3) * 4);
    let response = response.map_or(0, |response| lines(&response.headers) + 100);
    700 + request.uri.len() + request.querystring.len() + lines(&request.headers) + body + response
}
