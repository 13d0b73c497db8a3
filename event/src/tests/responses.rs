//! Results of response events.

use super::*;

const RESPONSE_EVENTS: [EventType; 2] = [EventType::OriginResponse, EventType::ViewerResponse];

fn rule(json: &[u8]) -> Rule {
    parse_response_result(json, EventType::OriginResponse, &sent_response()).unwrap_err().rule
}

#[test]
fn a_response_left_alone_changes_nothing() {
    for event in RESPONSE_EVENTS {
        assert_eq!(response_after(event, |_| {}), Ok(ResponseEdit::default()), "{event}");
    }
}

#[test]
fn a_request_in_a_response_event_is_refused() {
    let request = returned(EventType::OriginRequest, &sent(), |_| {});
    assert_eq!(rule(&request), Rule::RequestInResponseEvent);
}

#[test]
fn nothing_the_event_and_no_status_are_refused_in_response_events() {
    assert_eq!(rule(b"null"), Rule::NotAnObject);
    assert_eq!(rule(b"{}"), Rule::StatusMissing);
    let event = encode(&config(EventType::OriginResponse), &sent(), Some(&sent_response()));
    assert_eq!(rule(event.json()), Rule::EventReturned);
}

#[test]
fn origin_response_can_set_status_and_description() {
    for status in [json!(404), json!("404")] {
        let edit = response_after(EventType::OriginResponse, |response| {
            response["status"] = status;
            response["statusDescription"] = json!("Gone Fishing");
        });
        let expected =
            ResponseEdit { status: Some(404), status_description: Some("Gone Fishing".into()), ..Default::default() };
        assert_eq!(edit, Ok(expected));
    }
    for status in [json!("600"), json!(100), json!("abc"), json!(null)] {
        let edit = response_after(EventType::OriginResponse, |response| response["status"] = status.clone());
        assert_eq!(edit, Err(Rule::StatusInvalid), "{status}");
    }
}

#[test]
fn viewer_response_must_not_change_the_status() {
    let changed = |status: Value| response_after(EventType::ViewerResponse, |response| response["status"] = status);
    assert_eq!(changed(json!("404")), Err(Rule::StatusReadOnly));
    assert_eq!(changed(json!("abc")), Err(Rule::StatusReadOnly));
    assert_eq!(changed(json!(200)), Ok(ResponseEdit::default()));
}

#[test]
fn a_description_set_in_viewer_response_is_ignored() {
    let edit = response_after(EventType::ViewerResponse, |response| response["statusDescription"] = json!("Fine"));
    assert_eq!(edit, Ok(ResponseEdit::default()));
}

#[test]
fn origin_response_can_replace_or_remove_the_body() {
    let body = |body: &str, encoding: &str| {
        response_after(EventType::OriginResponse, |response| {
            response["status"] = json!(200);
            response["body"] = json!(body);
            response["bodyEncoding"] = json!(encoding);
        })
        .map(|edit| edit.body)
    };
    assert_eq!(body("new", "text"), Ok(Some(Bytes::from_static(b"new"))));
    assert_eq!(body("bmV3", "base64"), Ok(Some(Bytes::from_static(b"new"))));
    assert_eq!(body("", "text"), Ok(Some(Bytes::new())));
    assert_eq!(body("***", "base64"), Err(Rule::BodyNotBase64));
}

#[test]
fn a_body_set_in_viewer_response_is_refused() {
    for body in [json!("x"), json!(""), json!(null)] {
        let edit = response_after(EventType::ViewerResponse, |response| response["body"] = body);
        assert_eq!(edit, Err(Rule::BodyForbidden));
    }
}

#[test]
fn a_body_of_origin_response_has_a_limit_with_its_headers() {
    let headers = 12 + 9 + 3 + 10 + 14 + 1 + 2 * 13;
    let of_bytes = |bytes: usize| {
        response_after(EventType::OriginResponse, |response| response["body"] = json!("b".repeat(bytes - headers)))
    };
    assert!(of_bytes(limits::GENERATED_BYTES_MAX_ORIGIN).is_ok());
    assert_eq!(of_bytes(limits::GENERATED_BYTES_MAX_ORIGIN + 1), Err(Rule::BodyTooLarge));
}

#[test]
fn a_body_must_be_a_string_in_origin_response() {
    for body in [json!({}), json!(null), json!(1)] {
        let edit = response_after(EventType::OriginResponse, |response| response["body"] = body);
        assert_eq!(edit, Err(Rule::BodyInvalid));
    }
}

#[test]
fn a_status_without_content_drops_the_body() {
    let edit = response_after(EventType::OriginResponse, |response| {
        response["status"] = json!("304");
        response["body"] = json!("x");
    });
    assert_eq!(edit.unwrap().body, Some(Bytes::new()));
}

#[test]
fn a_new_response_without_via_deletes_a_read_only_header() {
    for event in RESPONSE_EVENTS {
        let new = br#"{"status":"200","headers":{"content-type":[{"value":"text/plain"}]}}"#;
        let invalid = parse_response_result(new, event, &sent_response()).unwrap_err();
        assert_eq!(invalid.rule, Rule::HeaderReadOnly, "{event}");
        let without_headers = parse_response_result(br#"{"status":"200"}"#, event, &sent_response()).unwrap_err();
        assert_eq!(without_headers.rule, Rule::HeaderReadOnly, "{event}");
    }
}

#[test]
fn two_set_cookie_entries_are_two_lines() {
    for event in RESPONSE_EVENTS {
        let edit = response_after(event, |response| {
            response["headers"]["set-cookie"] = json!([{"key": "Set-Cookie", "value": "c=1"}, {"value": "d=2"}]);
        });
        let headers = edit.unwrap().headers.unwrap();
        assert_eq!(headers.values("set-cookie").collect::<Vec<_>>(), ["c=1", "d=2"], "{event}");
        assert!(!headers.contains("x-cache"));
        assert!(headers.merge_hidden(&sent_response().headers).contains("x-cache"));
    }
}

#[test]
fn a_disallowed_header_is_refused_in_response_events() {
    for event in RESPONSE_EVENTS {
        let edit = response_after(event, |response| response["headers"]["x-cache"] = json!([{"value": "Hit"}]));
        assert_eq!(edit, Err(Rule::HeaderDisallowed), "{event}");
    }
}
