//! The header map, and the headers a function may not see or change.

use super::*;

fn set(name: &'static str, entries: Value) -> impl FnOnce(&mut Value) {
    move |request| request["headers"][name] = entries
}

fn delete(name: &'static str) -> impl FnOnce(&mut Value) {
    move |request| {
        request["headers"].as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn every_disallowed_header_is_hidden_in_any_case() {
    for name in [
        "Connection",
        "Expect",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Trailer",
        "Upgrade",
        "X-Accel-Buffering",
        "X-Accel-Charset",
        "X-Accel-Limit-Rate",
        "X-Accel-Redirect",
        "X-Amz-Cf-Id",
        "X-Amz-Cf-Pop",
        "X-Amzn-Auth",
        "X-Amzn-Cf-Billing",
        "X-Amzn-Cf-Id",
        "X-Amzn-Cf-Xff",
        "X-Amzn-Errortype",
        "X-Amzn-Fle-Profile",
        "X-Amzn-Header-Count",
        "X-Amzn-Header-Order",
        "X-Amzn-Lambda-Integration-Tag",
        "X-Amzn-RequestId",
        "X-Cache",
        "X-Edge-Foo",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "CloudFront-Viewer-Cert-PEM",
        "Client-Cert",
        "Client-Cert-Chain",
    ] {
        assert!(Headers::hidden(name) && Headers::hidden(&name.to_uppercase()), "{name}");
        for event in [EventType::ViewerRequest, EventType::OriginRequest] {
            let added = |request: &mut Value| request["headers"][name] = json!([{"value": "1"}]);
            assert_eq!(request_after(event, &sent(), added), Err(Rule::HeaderDisallowed), "{event} {name}");
        }
    }
    for name in ["X-Edge", "X-Real-IP2", "X-Amz-Date", "X-Cached", "Host", "é"] {
        assert!(!Headers::hidden(name), "{name}");
    }
}

#[test]
fn read_only_headers_may_not_be_added_changed_or_deleted() {
    let locked: [(EventType, &[&str]); 4] = [
        (EventType::ViewerRequest, &["cdn-loop", "content-length", "host", "transfer-encoding", "via"]),
        (
            EventType::OriginRequest,
            &[
                "accept-encoding",
                "cdn-loop",
                "content-length",
                "if-modified-since",
                "if-none-match",
                "if-range",
                "if-unmodified-since",
                "transfer-encoding",
                "via",
            ],
        ),
        (EventType::OriginResponse, &["transfer-encoding", "via"]),
        (EventType::ViewerResponse, &["warning", "via", "content-length", "content-encoding", "transfer-encoding"]),
    ];
    for (event, names) in locked {
        for name in names {
            for (before, after) in [(None, Some("1")), (Some("1"), Some("2")), (Some("1"), None)] {
                assert_eq!(header_change(event, name, before, after), Some(Rule::HeaderReadOnly), "{event} {name}");
            }
            assert_eq!(header_change(event, name, Some("1"), Some("1")), None, "{event} {name}");
            assert_eq!(header_change(event, name, None, None), None, "{event} {name}");
        }
    }
}

/// The rule broken when a function finds `before` and leaves `after`.
fn header_change(event: EventType, name: &str, before: Option<&str>, after: Option<&str>) -> Option<Rule> {
    let headers: Headers = before.map(|value| (name, value.to_owned())).into_iter().collect();
    let map = match after {
        Some(value) => json!({name: [{"key": name.to_uppercase(), "value": value}]}),
        None => json!({}),
    };
    match event {
        EventType::ViewerRequest | EventType::OriginRequest => {
            let result = json!({"uri": "/picture.jpg", "headers": map}).to_string();
            parse_request_result(result.as_bytes(), event, &EventRequest { headers, ..sent() }).err()
        }
        EventType::OriginResponse | EventType::ViewerResponse => {
            let result = json!({"status": "200", "headers": map}).to_string();
            parse_response_result(result.as_bytes(), event, &EventResponse { headers, ..sent_response() }).err()
        }
    }
    .map(|invalid| invalid.rule)
}

#[test]
fn host_is_writable_in_origin_request_only() {
    let host = || set("host", json!([{"key": "Host", "value": "other.example"}]));
    assert_eq!(viewer_request(host()), Err(Rule::HeaderReadOnly));
    assert_eq!(origin_request(host()).unwrap().headers.unwrap().first("host").unwrap(), "other.example");
}

#[test]
fn accept_encoding_is_writable_in_viewer_request_only() {
    assert!(!viewer_request(delete("accept-encoding")).unwrap().headers.unwrap().contains("accept-encoding"));
    assert_eq!(origin_request(delete("accept-encoding")), Err(Rule::HeaderReadOnly));
}

#[test]
fn content_length_and_encoding_are_writable_in_origin_response_only() {
    assert_eq!(header_change(EventType::OriginResponse, "content-length", Some("1"), None), None);
    assert_eq!(header_change(EventType::OriginResponse, "content-encoding", Some("br"), None), None);
}

#[test]
fn cloudfront_viewer_country_may_be_edited_but_not_added_in_viewer_request() {
    let add = || set("cloudfront-viewer-country", json!([{"value": "DE"}]));
    assert_eq!(viewer_request(add()), Err(Rule::HeaderDisallowed));
    assert!(origin_request(add()).is_ok());
    let mut from_viewer = sent();
    from_viewer.headers.push("CloudFront-Viewer-Country", "FR");
    assert!(request_after(EventType::ViewerRequest, &from_viewer, add()).is_ok());
}

#[test]
fn a_header_without_key_gets_a_capital_per_word() {
    let edit = viewer_request(set("X-my-HEAD", json!([{"value": "1"}]))).unwrap();
    assert!(lines(&edit.headers.unwrap()).contains(&("X-My-Head", b"1")));
}

#[test]
fn a_key_is_used_as_it_is() {
    let edit = viewer_request(set("x-my-head", json!([{"key": "x-MY-head", "value": "1"}]))).unwrap();
    assert!(lines(&edit.headers.unwrap()).contains(&("x-MY-head", b"1")));
}

#[test]
fn a_key_of_another_name_is_refused() {
    let smuggled = json!([{"key": "Connection", "value": "1"}]);
    assert_eq!(viewer_request(set("x-my-head", smuggled)), Err(Rule::HeaderKeyMismatch));
}

#[test]
fn entries_become_lines_in_order() {
    let edit = viewer_request(set("x-two", json!([{"value": "1"}, {"value": "2"}]))).unwrap();
    let headers = edit.headers.unwrap();
    assert_eq!(headers.values("x-two").collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn an_empty_array_and_a_deleted_name_remove_the_header() {
    for edit in [viewer_request(set("user-agent", json!([]))), viewer_request(delete("user-agent"))] {
        assert!(!edit.unwrap().headers.unwrap().contains("user-agent"));
    }
    assert_eq!(viewer_request(set("host", json!([]))), Err(Rule::HeaderReadOnly));
}

#[test]
fn an_entry_that_is_not_an_array_is_refused() {
    for entry in [json!({"key": "X-A", "value": "1"}), json!("1"), json!(1), json!(null)] {
        assert_eq!(viewer_request(set("x-a", entry)), Err(Rule::HeaderNotArray));
    }
}

#[test]
fn an_array_of_anything_but_key_and_value_is_refused() {
    for entry in [
        json!(["1"]),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!([{"key": "X-A"}]),
        json!([{"value": 1}]),
        json!([{"value": null}]),
        json!([{"value": ["1"]}]),
        json!([{"key": 1, "value": "1"}]),
        json!([["X-A", "1"]]),
    ] {
        assert_eq!(viewer_request(set("x-a", entry.clone())), Err(Rule::HeaderEntryInvalid), "{entry}");
    }
}

#[test]
fn headers_that_are_not_an_object_are_refused() {
    for headers in [json!(null), json!([]), json!("x"), json!(1)] {
        assert_eq!(viewer_request(|request| request["headers"] = headers.clone()), Err(Rule::HeadersNotObject));
    }
}

#[test]
fn names_that_differ_by_case_only_are_refused() {
    let both = |request: &mut Value| {
        request["headers"]["x-a"] = json!([{"value": "1"}]);
        request["headers"]["X-A"] = json!([{"value": "2"}]);
    };
    assert_eq!(viewer_request(both), Err(Rule::HeaderNameDuplicated));
}

#[test]
fn the_same_name_twice_in_the_json_is_refused() {
    let result = br#"{"uri":"/","headers":{"x-a":[{"value":"1"}],"x-a":[{"value":"2"}]}}"#;
    let invalid = parse_request_result(result, EventType::OriginRequest, &sent()).unwrap_err();
    assert_eq!(invalid.rule, Rule::HeaderNameDuplicated);
}

#[test]
fn names_that_are_not_tokens_are_refused() {
    for name in ["", "x a", "x:a", "x\r\na", "é", "x(a)"] {
        let added = |request: &mut Value| request["headers"][name] = json!([{"value": "1"}]);
        assert_eq!(viewer_request(added), Err(Rule::HeaderNameInvalid), "{name:?}");
    }
}

#[test]
fn values_with_line_breaks_nul_or_other_controls_are_refused() {
    for value in ["a\rb", "a\nb", "a\r\nX-Injected: 1", "a\0", "\u{7f}", "\u{1b}[0m"] {
        assert_eq!(viewer_request(set("x-a", json!([{"value": value}]))), Err(Rule::HeaderValueInvalid), "{value:?}");
    }
    assert!(viewer_request(set("x-a", json!([{"value": "tab\tand é"}]))).is_ok());
}

#[test]
fn a_value_left_alone_keeps_its_bytes_and_a_changed_one_is_utf_8() {
    let mut latin = sent();
    latin.headers.push("X-Name", &b"caf\xe9"[..]);
    let added = request_after(EventType::ViewerRequest, &latin, set("x-new", json!([{"value": "1"}]))).unwrap();
    assert_eq!(added.headers.unwrap().first("x-name").unwrap(), &b"caf\xe9"[..]);
    let changed = set("x-name", json!([{"value": "cafés"}]));
    let changed = request_after(EventType::ViewerRequest, &latin, changed).unwrap();
    assert_eq!(changed.headers.unwrap().first("x-name").unwrap(), "cafés".as_bytes());
}

#[test]
fn the_headers_a_function_never_saw_come_back() {
    let edit = viewer_request(set("x-new", json!([{"value": "1"}]))).unwrap();
    let merged = edit.headers.unwrap().merge_hidden(&sent().headers);
    assert_eq!(merged.first("connection").unwrap(), "keep-alive");
    assert_eq!(merged.len(), sent().headers.len() + 1);
}

#[test]
fn absence_of_a_hidden_header_is_not_a_deletion() {
    assert_eq!(viewer_request(|_| {}), Ok(RequestEdit::default()));
}

#[test]
fn the_order_of_names_in_the_map_does_not_count_as_a_change() {
    let reversed = |request: &mut Value| {
        let map = request["headers"].as_object().unwrap().clone();
        request["headers"] = Value::Object(map.into_iter().rev().collect());
    };
    assert_eq!(viewer_request(reversed).unwrap().headers, None);
}

#[test]
fn a_changed_case_of_key_is_a_change_but_not_of_a_read_only_header() {
    let edit = viewer_request(set("host", json!([{"key": "HOST", "value": "www.example.net"}]))).unwrap();
    assert!(lines(&edit.headers.unwrap()).contains(&("HOST", b"www.example.net")));
}

#[test]
fn an_http_header_map_survives_both_ways() {
    let map = sent().headers.to_header_map();
    assert_eq!(map.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(Headers::from(&map).to_header_map(), map);
}

#[test]
fn a_refused_header_is_named_in_the_log() {
    let result = returned(EventType::ViewerRequest, &sent(), set("host", json!([{"value": "evil"}])));
    let invalid = parse_request_result(&result, EventType::ViewerRequest, &sent()).unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "invalid result (header-read-only): a read-only header was changed: functions of viewer-request must leave it, header \"host\", value \"evil\""
    );
}
