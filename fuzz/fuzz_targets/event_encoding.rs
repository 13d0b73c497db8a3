//! Whatever a proxy holds becomes an event that any JSON reader understands, that
//! shows every visible header and no hidden one, and that changes nothing when
//! it is returned as it came.
#![no_main]

use event::{Headers, RequestEdit, RequestResult, ResponseEdit, encode, parse_request_result, parse_response_result};
use libfuzzer_sys::fuzz_target;
use selvedge_fuzz::events::{Seen, config};
use selvedge_fuzz::lawful::{is_disallowed, part_of_event};
use serde_json::Value;

fuzz_target!(|seen: Seen| {
    let Seen { event, request, response } = seen;
    let answered = matches!(event, event::EventType::OriginResponse | event::EventType::ViewerResponse);
    let response = answered.then_some(&response);
    let encoded = encode(&config(event), &request, response);
    let whole: Value = serde_json::from_slice(encoded.json()).expect("an event is JSON");
    let cf = &whole["Records"][0]["cf"];
    assert_eq!(cf["config"]["eventType"], event.as_str());
    assert_eq!(cf["request"]["uri"], request.uri.as_str());
    assert_eq!(cf["request"]["querystring"], request.querystring.as_str());
    check_headers(&request.headers, &cf["request"]["headers"]);
    match response {
        None => {
            let returned = part_of_event(event, &request, None, "request");
            let parsed = parse_request_result(&returned, event, &request);
            assert_eq!(parsed, Ok(RequestResult::Forward(RequestEdit::default())));
            assert_eq!(encoded.request_result(&returned, &request), parsed);
        }
        Some(response) => {
            check_headers(&response.headers, &cf["response"]["headers"]);
            let returned = part_of_event(event, &request, Some(response), "response");
            let parsed = parse_response_result(&returned, event, response);
            assert_eq!(parsed, Ok(ResponseEdit::default()));
            assert_eq!(encoded.response_result(&returned, response), parsed);
        }
    }
});

/// Each visible line is there, under its lower-case name, in its place among its namesakes.
fn check_headers(headers: &Headers, shown: &Value) {
    let shown = shown.as_object().expect("headers are an object");
    let visible = headers.iter().filter(|(name, _)| !is_disallowed(name)).count();
    let lines: usize = shown.values().map(|lines| lines.as_array().expect("lines are an array").len()).sum();
    assert_eq!(lines, visible);
    for (name, lines) in shown {
        assert!(!is_disallowed(name) && *name == name.to_ascii_lowercase());
        let sent = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        for ((key, value), line) in sent.zip(lines.as_array().expect("seen above")) {
            assert_eq!(line["key"], key);
            let text = String::from_utf8(value.to_vec())
                .unwrap_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect());
            assert_eq!(line["value"], text.as_str());
        }
    }
}
