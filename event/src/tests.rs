//! Claims about events and results, and the values they share.

mod encoded;
mod encoding;
mod headers;
mod origins;
mod properties;
mod requests;
mod responses;

use super::*;
use serde_json::{Value, json};
use std::time::Duration;

/// A viewer's POST; in origin-request also its origin.
fn sent() -> EventRequest {
    EventRequest {
        client_ip: "203.0.113.7".parse().unwrap(),
        method: Method::POST,
        uri: "/picture.jpg".into(),
        querystring: "size=large".into(),
        headers: [
            ("Host", "www.example.net"),
            ("User-Agent", "curl/8.5.0"),
            ("Connection", "keep-alive"),
            ("X-Many", "one"),
            ("Accept-Encoding", "gzip"),
            ("x-many", "two"),
        ]
        .into_iter()
        .collect(),
        body: Some(EventBody { data: Bytes::from_static(b"foo=bar"), truncated: false }),
        origin: None,
    }
}

fn sent_to_origin() -> EventRequest {
    EventRequest { origin: Some(custom_origin()), ..sent() }
}

fn custom_origin() -> EventOrigin {
    EventOrigin::Custom {
        domain_name: "127.0.0.1".into(),
        path: String::new(),
        port: 81,
        protocol: OriginProtocol::Http,
        read_timeout: Duration::from_millis(500),
        keepalive_timeout: Duration::from_secs(5),
        response_completion_timeout: None,
        ssl_protocols: vec!["TLSv1.2".into()],
        custom_headers: [("X-Secret", "s"), ("X-Edge-Key", "k")].into_iter().collect(),
    }
}

fn sent_response() -> EventResponse {
    EventResponse {
        status: 200,
        status_description: "OK".into(),
        headers: [
            ("Content-Type", "text/html"),
            ("Via", "1.1 origin"),
            ("Content-Length", "5"),
            ("Set-Cookie", "a=1"),
            ("X-Cache", "Hit"),
            ("Set-Cookie", "b=2"),
        ]
        .into_iter()
        .collect(),
    }
}

fn config(event_type: EventType) -> EventConfig<'static> {
    EventConfig {
        distribution_domain_name: "dexample.edge.test",
        distribution_id: "E1EXAMPLE",
        request_id: "MRVM==",
        event_type,
    }
}

/// `cf` of the encoded event.
fn event(event_type: EventType, request: &EventRequest, response: Option<&EventResponse>) -> Value {
    let encoded = encode(&config(event_type), request, response);
    let mut event: Value = serde_json::from_slice(encoded.json()).unwrap();
    event["Records"][0]["cf"].take()
}

/// The request of the event, as a handler would return it after `change`.
fn returned(event_type: EventType, request: &EventRequest, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut result = event(event_type, request, None)["request"].take();
    change(&mut result);
    serde_json::to_vec(&result).unwrap()
}

/// The response of the event, as a handler would return it after `change`.
fn returned_response(event_type: EventType, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut result = event(event_type, &sent(), Some(&sent_response()))["response"].take();
    change(&mut result);
    serde_json::to_vec(&result).unwrap()
}

/// What a viewer-request function that changes its request so ends with.
fn viewer_request(change: impl FnOnce(&mut Value)) -> Result<RequestEdit, Rule> {
    request_after(EventType::ViewerRequest, &sent(), change)
}

fn origin_request(change: impl FnOnce(&mut Value)) -> Result<RequestEdit, Rule> {
    request_after(EventType::OriginRequest, &sent_to_origin(), change)
}

fn request_after(event: EventType, sent: &EventRequest, change: impl FnOnce(&mut Value)) -> Result<RequestEdit, Rule> {
    let result = returned(event, sent, change);
    let parsed = parse_request_result(&result, event, sent);
    assert_eq!(encode(&config(event), sent, None).request_result(&result, sent), parsed);
    match parsed {
        Ok(RequestResult::Forward(edit)) => Ok(edit),
        Ok(RequestResult::Respond(response)) => panic!("a request was taken for a response: {response:?}"),
        Err(invalid) => Err(invalid.rule),
    }
}

fn generated(event: EventType, result: &Value) -> Result<Generated, Rule> {
    match parse_request_result(&serde_json::to_vec(result).unwrap(), event, &sent()) {
        Ok(RequestResult::Respond(response)) => Ok(response),
        Ok(RequestResult::Forward(edit)) => panic!("a response was taken for a request: {edit:?}"),
        Err(invalid) => Err(invalid.rule),
    }
}

fn response_after(event: EventType, change: impl FnOnce(&mut Value)) -> Result<ResponseEdit, Rule> {
    let (result, sent_response) = (returned_response(event, change), sent_response());
    let parsed = parse_response_result(&result, event, &sent_response);
    let encoded = encode(&config(event), &sent(), Some(&sent_response));
    assert_eq!(encoded.response_result(&result, &sent_response), parsed);
    parsed.map_err(|invalid| invalid.rule)
}

fn lines(headers: &Headers) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name, value.as_ref())).collect()
}

#[test]
fn each_event_type_has_the_name_of_aws() {
    let names = EventType::ALL.map(EventType::as_str);
    assert_eq!(names, ["viewer-request", "origin-request", "origin-response", "viewer-response"]);
}
