//! Results of request events: requests, generated responses, and neither.

use super::*;

fn rule(json: &[u8]) -> Rule {
    parse_request_result(json, EventType::ViewerRequest, &sent()).unwrap_err().rule
}

#[test]
fn a_request_left_alone_changes_nothing() {
    assert_eq!(viewer_request(|_| {}), Ok(RequestEdit::default()));
    assert_eq!(origin_request(|_| {}), Ok(RequestEdit::default()));
}

#[test]
fn null_and_anything_but_an_object_is_refused() {
    for json in [&b"null"[..], b" null ", b"[]", b"[{\"status\":200}]", b"1", b"\"x\"", b"true"] {
        assert_eq!(rule(json), Rule::NotAnObject, "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for json in [
        &b""[..],
        b"{",
        b"{\"status\":}",
        b"undefined",
        b"{}{}",
        b"\xff",
        b"{\"uri\":\"\xff\"}",
        b"{\"uri\":1,\"uri\":2}",
    ] {
        assert_eq!(rule(json), Rule::NotParsable, "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn the_whole_event_is_refused() {
    let event = encode(&config(EventType::ViewerRequest), &sent(), None);
    assert_eq!(rule(event.json()), Rule::EventReturned);
}

#[test]
fn an_object_that_is_neither_request_nor_response_is_refused() {
    assert_eq!(rule(b"{}"), Rule::NeitherRequestNorResponse);
    assert_eq!(rule(br#"{"request":{"uri":"/"}}"#), Rule::NeitherRequestNorResponse);
}

#[test]
fn read_only_fields_may_be_missing_but_not_changed() {
    assert_eq!(viewer_request(|request| request["method"] = json!("PUT")), Err(Rule::FieldReadOnly));
    assert_eq!(viewer_request(|request| request["clientIp"] = json!("203.0.113.8")), Err(Rule::FieldReadOnly));
    let without = |request: &mut Value| {
        request.as_object_mut().unwrap().remove("method");
        request.as_object_mut().unwrap().remove("clientIp");
    };
    assert_eq!(viewer_request(without), Ok(RequestEdit::default()));
}

#[test]
fn uri_and_querystring_can_be_set() {
    let edit = viewer_request(|request| {
        request["uri"] = json!("/index.html");
        request["querystring"] = json!("a=1&b=%20");
    });
    let expected =
        RequestEdit { uri: Some("/index.html".into()), querystring: Some("a=1&b=%20".into()), ..Default::default() };
    assert_eq!(edit, Ok(expected));
}

#[test]
fn an_empty_querystring_removes_it_and_a_missing_one_leaves_it() {
    let edit = viewer_request(|request| request["querystring"] = json!(""));
    assert_eq!(edit.unwrap().querystring, Some(String::new()));
    let missing = |request: &mut Value| request.as_object_mut().unwrap().remove("querystring").map_or((), drop);
    assert_eq!(viewer_request(missing).unwrap().querystring, None);
}

#[test]
fn a_uri_must_be_a_string_that_starts_with_a_slash() {
    for uri in
        [json!("index.html"), json!(""), json!("http://x/"), json!("/a\r\nb"), json!("/\0"), json!(1), json!(null)]
    {
        assert_eq!(viewer_request(|request| request["uri"] = uri.clone()), Err(Rule::UriInvalid), "{uri}");
    }
}

#[test]
fn a_lone_surrogate_in_a_uri_is_refused() {
    assert_eq!(rule(br#"{"uri":"/\ud800"}"#), Rule::UriInvalid);
}

#[test]
fn characters_that_cannot_stand_in_a_path_are_percent_encoded() {
    let edit = viewer_request(|request| request["uri"] = json!("/a b/é?x#y%20"));
    assert_eq!(edit.unwrap().uri.unwrap(), "/a%20b/%C3%A9%3Fx%23y%20");
}

#[test]
fn a_querystring_has_no_spaces_controls_or_hash() {
    for query in
        [json!("a b"), json!("a\tb"), json!("a\r\n"), json!("a#b"), json!("\u{7f}"), json!(1), json!(null), json!({})]
    {
        assert_eq!(
            viewer_request(|request| request["querystring"] = query.clone()),
            Err(Rule::QuerystringInvalid),
            "{query}"
        );
    }
}

#[test]
fn uri_and_querystring_together_have_a_limit() {
    let of_length = |length: usize| {
        viewer_request(move |request| {
            request["querystring"] = json!("q=1");
            request["uri"] = json!(format!("/{}", "a".repeat(length - 4)));
        })
    };
    assert!(of_length(limits::URI_QUERY_MAX).is_ok());
    assert_eq!(of_length(limits::URI_QUERY_MAX + 1), Err(Rule::UrlTooLong));
}

#[test]
fn a_long_url_that_the_viewer_sent_is_not_judged() {
    let long = EventRequest { uri: format!("/{}", "a".repeat(9000)), ..sent() };
    assert_eq!(request_after(EventType::ViewerRequest, &long, |_| {}), Ok(RequestEdit::default()));
}

#[test]
fn a_read_only_body_is_left_whatever_data_says() {
    assert_eq!(viewer_request(|request| request["body"]["data"] = json!("!!")).unwrap().body, None);
    assert_eq!(viewer_request(|request| request["body"] = json!({"data": 1})).unwrap().body, None);
}

fn replaced(event: EventType, encoding: &str, data: &str) -> Result<Option<Bytes>, Rule> {
    let body = json!({"action": "replace", "encoding": encoding, "data": data});
    request_after(event, &sent(), |request| request["body"] = body).map(|edit| edit.body)
}

#[test]
fn a_replaced_body_is_decoded() {
    let text = replaced(EventType::ViewerRequest, "text", "zehn bytes");
    assert_eq!(text, Ok(Some(Bytes::from_static(b"zehn bytes"))));
    let base64 = replaced(EventType::OriginRequest, "base64", "/wA=");
    assert_eq!(base64, Ok(Some(Bytes::from_static(b"\xff\0"))));
}

#[test]
fn a_replaced_body_that_is_not_base64_is_refused() {
    assert_eq!(replaced(EventType::ViewerRequest, "base64", "***"), Err(Rule::BodyNotBase64));
    assert_eq!(replaced(EventType::ViewerRequest, "hex", "00"), Err(Rule::BodyEncodingInvalid));
}

#[test]
fn a_replaced_body_has_a_limit_per_event_and_encoding() {
    for (event, encoding, limit) in [
        (EventType::ViewerRequest, "text", limits::BODY_BYTES_MAX_VIEWER),
        (EventType::ViewerRequest, "base64", limits::BODY_BASE64_MAX_VIEWER),
        (EventType::OriginRequest, "text", limits::BODY_BYTES_MAX_ORIGIN),
        (EventType::OriginRequest, "base64", limits::BODY_BASE64_MAX_ORIGIN),
    ] {
        assert!(replaced(event, encoding, &"A".repeat(limit)).is_ok(), "{event} {encoding}");
        let over = replaced(event, encoding, &"A".repeat(limit + 4));
        assert_eq!(over, Err(Rule::BodyTooLarge), "{event} {encoding}");
    }
}

#[test]
fn a_body_of_the_wrong_shape_is_refused() {
    for body in [
        json!("text"),
        json!(null),
        json!([]),
        json!({"action": "drop"}),
        json!({"action": null}),
        json!({"action": "replace"}),
        json!({"action": "replace", "data": 1}),
    ] {
        assert_eq!(viewer_request(|request| request["body"] = body.clone()), Err(Rule::BodyInvalid), "{body}");
    }
}

#[test]
fn a_get_request_gets_no_body() {
    let get = EventRequest { method: Method::GET, body: None, ..sent() };
    let body = json!({"action": "replace", "encoding": "text", "data": "x"});
    let edit = request_after(EventType::ViewerRequest, &get, |request| request["body"] = body);
    assert_eq!(edit, Err(Rule::BodyForbidden));
}

#[test]
fn a_generated_response_is_parsed() {
    let result = json!({"status": "302", "statusDescription": "Found", "headers": {"location": [{"value": "/x"}]}});
    let response = generated(EventType::ViewerRequest, &result).unwrap();
    assert_eq!((response.status, response.status_description.as_deref()), (302, Some("Found")));
    assert_eq!(lines(&response.headers), [("Location", &b"/x"[..])]);
    assert!(response.body.is_empty());
}

#[test]
fn a_status_may_be_a_string_or_a_number() {
    for status in [json!("200"), json!(200), json!("599"), json!(599)] {
        assert!(generated(EventType::ViewerRequest, &json!({"status": status})).is_ok(), "{status}");
    }
}

#[test]
fn a_status_outside_200_to_599_is_refused() {
    for status in [
        json!("600"),
        json!("99"),
        json!("abc"),
        json!(199),
        json!(600),
        json!("0200"),
        json!("+20"),
        json!(" 200"),
        json!(200.5),
        json!(-200),
        json!(""),
        json!(null),
        json!([200]),
        json!({}),
        json!(true),
        json!("２００"),
    ] {
        assert_eq!(
            generated(EventType::ViewerRequest, &json!({"status": status})),
            Err(Rule::StatusInvalid),
            "{status}"
        );
    }
}

#[test]
fn a_status_description_is_one_line_of_text() {
    for text in [json!("a\r\nb"), json!("\0"), json!(1), json!(null)] {
        let result = json!({"status": 200, "statusDescription": text});
        assert_eq!(generated(EventType::ViewerRequest, &result), Err(Rule::StatusDescriptionInvalid), "{text}");
    }
}

#[test]
fn status_wins_over_uri() {
    let result = json!({"status": "200", "uri": "/", "method": "PUT"});
    assert_eq!(generated(EventType::ViewerRequest, &result).unwrap().status, 200);
}

#[test]
fn a_generated_body_is_text_or_base64() {
    let body = |encoding: Value, body: &str| {
        generated(EventType::ViewerRequest, &json!({"status": 200, "body": body, "bodyEncoding": encoding}))
            .map(|response| response.body)
    };
    assert_eq!(body(json!("text"), "hé"), Ok(Bytes::from("hé")));
    assert_eq!(body(json!("base64"), "/wA="), Ok(Bytes::from_static(b"\xff\0")));
    assert_eq!(body(json!("base64"), "***"), Err(Rule::BodyNotBase64));
    assert_eq!(body(json!("hex"), "00"), Err(Rule::BodyEncodingInvalid));
    assert_eq!(body(json!(null), "00"), Err(Rule::BodyEncodingInvalid));
}

#[test]
fn a_generated_body_must_be_a_string() {
    for body in [json!({}), json!(null), json!(1), json!(["x"]), json!({"data": "x"})] {
        assert_eq!(generated(EventType::ViewerRequest, &json!({"status": 200, "body": body})), Err(Rule::BodyInvalid));
    }
}

#[test]
fn headers_and_body_of_a_generated_response_have_a_limit() {
    for (event, limit) in [
        (EventType::ViewerRequest, limits::GENERATED_BYTES_MAX_VIEWER),
        (EventType::OriginRequest, limits::GENERATED_BYTES_MAX_ORIGIN),
    ] {
        let of_bytes = |bytes: usize| {
            let headers = json!({"x-a": [{"value": "12345"}]});
            generated(event, &json!({"status": 200, "headers": headers, "body": "b".repeat(bytes - 8)}))
        };
        assert!(of_bytes(limit).is_ok(), "{event}");
        assert_eq!(of_bytes(limit + 1), Err(Rule::BodyTooLarge), "{event}");
    }
}

#[test]
fn a_204_with_a_body_is_refused_in_viewer_request() {
    let with_body = json!({"status": "204", "body": "x"});
    assert_eq!(generated(EventType::ViewerRequest, &with_body), Err(Rule::BodyForbidden));
    assert!(generated(EventType::OriginRequest, &with_body).unwrap().body.is_empty());
    assert!(generated(EventType::ViewerRequest, &json!({"status": "204", "body": ""})).is_ok());
}

#[test]
fn a_generated_response_has_no_disallowed_or_read_only_header() {
    for (event, name, rule) in [
        (EventType::ViewerRequest, "x-cache", Rule::HeaderDisallowed),
        (EventType::ViewerRequest, "connection", Rule::HeaderDisallowed),
        (EventType::ViewerRequest, "via", Rule::HeaderReadOnly),
        (EventType::ViewerRequest, "content-length", Rule::HeaderReadOnly),
        (EventType::ViewerRequest, "transfer-encoding", Rule::HeaderReadOnly),
        (EventType::OriginRequest, "transfer-encoding", Rule::HeaderReadOnly),
        (EventType::OriginRequest, "x-edge-a", Rule::HeaderDisallowed),
    ] {
        let result = json!({"status": 200, "headers": {name: [{"value": "1"}]}});
        assert_eq!(generated(event, &result), Err(rule), "{event} {name}");
    }
}
