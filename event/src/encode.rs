//! Writes an event as JSON in one pass, without a tree.

use super::encoded::{Encoded, Place};
use super::headers::{HeaderLine, Headers, text};
use super::{EventBody, EventConfig, EventOrigin, EventRequest, EventResponse, EventType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

/// The event as a handler gets it (AWS: "Lambda@Edge event structure"): hidden
/// headers left out, values in UTF-8. `body` is written in request events only,
/// `origin` in origin events only.
#[must_use]
pub fn encode(config: &EventConfig<'_>, request: &EventRequest, response: Option<&EventResponse>) -> Encoded {
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
    let request = put_request(&mut out, config.event_type, request);
    let response = response.map(|response| {
        raw(&mut out, r#","response":"#);
        put_response(&mut out, response)
    });
    raw(&mut out, "}}]}");
    Encoded { json: Bytes::from(out), event_type: config.event_type, request, response }
}

fn put_request(out: &mut Vec<u8>, event: EventType, request: &EventRequest) -> Place {
    let start = out.len();
    raw(out, r#"{"clientIp":"#);
    put_ip(out, request.client_ip);
    raw(out, r#","headers":"#);
    let lines = put_headers(out, &request.headers);
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
    Place { whole: start..out.len(), lines }
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else { return string(out, &ip.to_string()) };
    for (index, octet) in ip.octets().into_iter().enumerate() {
        raw(out, if index == 0 { "\"" } else { "." });
        number(out, octet);
    }
    raw(out, "\"");
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

fn put_response(out: &mut Vec<u8>, response: &EventResponse) -> Place {
    let start = out.len();
    raw(out, r#"{"headers":"#);
    let lines = put_headers(out, &response.headers);
    raw(out, r#","status":""#);
    number(out, response.status);
    raw(out, r#"","statusDescription":"#);
    string(out, &response.status_description);
    raw(out, "}");
    Place { whole: start..out.len(), lines }
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
            number(out, *port);
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
        raw(out, ",\"");
        raw(out, name);
        raw(out, "\":");
        number(out, duration.as_secs());
    }
}

/// Returns where the map's entries stand.
fn put_headers(out: &mut Vec<u8>, headers: &Headers) -> Range<usize> {
    raw(out, "{");
    let start = out.len();
    let mut previous: Option<&str> = None;
    for HeaderLine { name, value } in headers.grouped() {
        match previous {
            Some(previous) if previous.eq_ignore_ascii_case(name) => raw(out, r#",{"key":"#),
            _ => {
                raw(out, if previous.is_none() { "" } else { "]," });
                let start = out.len();
                string(out, name);
                out[start..].make_ascii_lowercase();
                raw(out, r#":[{"key":"#);
            }
        }
        string(out, name);
        raw(out, r#","value":"#);
        string(out, &text(value));
        raw(out, "}");
        previous = Some(name);
    }
    raw(out, if previous.is_none() { "" } else { "]" });
    let end = out.len();
    raw(out, "}");
    start..end
}

fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    if !is_plain(text.as_bytes()) {
        return serde_json::to_writer(out, text).expect("a string always serialises into memory");
    }
    raw(out, "\"");
    raw(out, text);
    raw(out, "\"");
}

/// Whether JSON has these bytes as they are. Sixteen at a time, which is one comparison for the processor.
fn is_plain(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<16>();
    let mut last = [b' '; 16];
    last[..rest.len()].copy_from_slice(rest);
    let plain = |chunk: &[u8; 16]| {
        let escaped = |byte: &u8| u8::from(*byte < b' ') | u8::from(*byte == b'"') | u8::from(*byte == b'\\');
        chunk.iter().map(escaped).fold(0, |any, one| any | one) == 0
    };
    chunks.iter().all(plain) && plain(&last)
}

fn number(out: &mut Vec<u8>, number: impl Serialize) {
    serde_json::to_writer(out, &number).expect("a number always serialises into memory");
}

/// Enough for most events, so that the buffer grows at most once.
fn size_guess(request: &EventRequest, response: Option<&EventResponse>) -> usize {
    let lines = |headers: &Headers| headers.bytes() * 2 + headers.len() * 40;
    let body = request.body.as_ref().map_or(0, |body| body.data.len().div_ceil(3) * 4);
    let response = response.map_or(0, |response| lines(&response.headers) + 100);
    700 + request.uri.len() + request.querystring.len() + lines(&request.headers) + body + response
}
