//! Whatever a function returns is refused, or is lawful: it can be sent, and an
//! event made of it changes nothing when it is returned as it came. The first
//! byte chooses the event, the rest is the result.
#![no_main]

use event::{
    EventBody, EventOrigin, EventRequest, EventResponse, EventType, OriginProtocol, encode, parse_request_result,
    parse_response_result,
};
use http::Method;
use libfuzzer_sys::fuzz_target;
use selvedge_fuzz::events::config;
use selvedge_fuzz::lawful::{check_request, check_response};
use std::time::Duration;

fuzz_target!(|input: &[u8]| {
    let Some((choice, json)) = input.split_first() else { return };
    let event = EventType::ALL[usize::from(choice % 4)];
    let request = request(event);
    match event {
        EventType::ViewerRequest | EventType::OriginRequest => {
            let parsed = parse_request_result(json, event, &request);
            assert_eq!(encode(&config(event), &request, None).request_result(json, &request), parsed);
            if let Ok(result) = parsed {
                check_request(&result, event, &request);
            }
        }
        EventType::OriginResponse | EventType::ViewerResponse => {
            let response = response();
            let parsed = parse_response_result(json, event, &response);
            let encoded = encode(&config(event), &request, Some(&response));
            assert_eq!(encoded.response_result(json, &response), parsed);
            if let Ok(edit) = parsed {
                check_response(&edit, event, &response, &request);
            }
        }
    }
});

fn request(event: EventType) -> EventRequest {
    let origin = EventOrigin::Custom {
        domain_name: "127.0.0.1".into(),
        path: String::new(),
        port: 81,
        protocol: OriginProtocol::Http,
        read_timeout: Duration::from_secs(30),
        keepalive_timeout: Duration::from_secs(5),
        response_completion_timeout: None,
        ssl_protocols: vec!["TLSv1.2".into()],
        custom_headers: [("X-Secret", "s"), ("X-Edge-Key", "k")].into_iter().collect(),
    };
    EventRequest {
        client_ip: [203, 0, 113, 7].into(),
        method: Method::POST,
        uri: "/picture.jpg".into(),
        querystring: "size=large".into(),
        headers: [("Host", "www.example.net"), ("X-A", "one"), ("Connection", "close"), ("x-a", "caf\u{e9}")]
            .into_iter()
            .collect(),
        body: Some(EventBody { data: bytes::Bytes::from_static(b"foo=bar"), truncated: false }),
        origin: (event == EventType::OriginRequest).then_some(origin),
    }
}

fn response() -> EventResponse {
    EventResponse {
        status: 200,
        status_description: "OK".into(),
        headers: [("Content-Type", "text/html"), ("Via", "1.1 origin"), ("X-Cache", "Hit"), ("Set-Cookie", "a=1")]
            .into_iter()
            .collect(),
    }
}
