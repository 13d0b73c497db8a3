//! What holds for every event and every result.

use super::*;
use http::uri::PathAndQuery;
use proptest::prelude::*;

pub(super) fn header_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}",
        prop_oneof![Just("Host"), Just("Via"), Just("X-Edge-A"), Just("Cookie"), Just("__proto__")]
            .prop_map(String::from),
    ]
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, Just(b'\t')], 0..30)
}

fn headers() -> impl Strategy<Value = Headers> {
    prop::collection::vec((header_name(), header_value()), 0..20).prop_map(|lines| lines.into_iter().collect())
}

pub(super) fn request() -> impl Strategy<Value = EventRequest> {
    ("/[ -~é]{0,30}", "[!-~]{0,30}", headers(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(
        |(uri, querystring, headers, body)| EventRequest {
            uri,
            querystring,
            headers,
            body: Some(EventBody { data: body.into(), truncated: false }),
            ..sent_to_origin()
        },
    )
}

/// JSON of any shape, with the names and values that matter more often than chance has them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..1000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("/x"),
            Just("200"),
            Just("204"),
            Just("replace"),
            Just("base64"),
            Just("text"),
            Just("read-only"),
            Just("https"),
            Just("none"),
            Just("POST"),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |element| {
        prop_oneof![
            prop::collection::vec(element.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((field_name(), element), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn field_name() -> impl Strategy<Value = String> {
    let known = [
        "status",
        "statusDescription",
        "headers",
        "body",
        "bodyEncoding",
        "uri",
        "querystring",
        "method",
        "clientIp",
        "origin",
        "custom",
        "s3",
        "action",
        "data",
        "encoding",
        "key",
        "value",
        "Records",
        "domainName",
        "port",
        "path",
        "host",
        "via",
        "x-a",
        "connection",
        "customHeaders",
        "sslProtocols",
        "readTimeout",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(String::from), 1 => ".{0,8}"]
}

fn parse_everywhere(json: &[u8]) {
    for event in EventType::ALL {
        if let Ok(result) = parse_request_result(json, event, &sent_to_origin()) {
            assert_lawful(&result);
        }
        if let Ok(edit) = parse_response_result(json, event, &sent_response()) {
            assert!(edit.status.is_none_or(|status| (200..=599).contains(&status)));
            edit.headers.iter().for_each(assert_lawful_headers);
        }
    }
}

/// What is accepted can be put on the wire.
fn assert_lawful(result: &RequestResult) {
    match result {
        RequestResult::Forward(edit) => {
            for target in edit.uri.iter().cloned().chain(edit.querystring.iter().map(|query| format!("/?{query}"))) {
                assert!(target.is_ascii() && target.parse::<PathAndQuery>().is_ok(), "{target:?}");
            }
            edit.headers.iter().for_each(assert_lawful_headers);
        }
        RequestResult::Respond(response) => {
            assert!((200..=599).contains(&response.status));
            assert_lawful_headers(&response.headers);
        }
    }
}

fn assert_lawful_headers(headers: &Headers) {
    assert_eq!(headers.to_header_map().len(), headers.len());
    assert!(headers.iter().all(|(name, _)| !Headers::hidden(name)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn an_event_returned_as_it_came_changes_nothing(request in request()) {
        for event in [EventType::ViewerRequest, EventType::OriginRequest] {
            prop_assert_eq!(request_after(event, &request, |_| {}), Ok(RequestEdit::default()));
        }
        let response = EventResponse { headers: request.headers.clone(), ..sent_response() };
        for event_type in [EventType::OriginResponse, EventType::ViewerResponse] {
            let result = event(event_type, &request, Some(&response))["response"].to_string();
            let edit = parse_response_result(result.as_bytes(), event_type, &response);
            prop_assert_eq!(edit, Ok(ResponseEdit::default()));
        }
    }

    #[test]
    fn headers_a_function_leaves_alone_keep_case_bytes_and_order_per_name(request in request()) {
        let added = |request: &mut Value| request["headers"]["x-added-here"] = json!([{"value": "1"}]);
        let edit = request_after(EventType::ViewerRequest, &request, added).unwrap();
        let headers = edit.headers.unwrap().merge_hidden(&request.headers);
        prop_assert_eq!(headers.len(), request.headers.len() + 1);
        for (name, _) in request.headers.iter() {
            let of_name = |headers: &Headers| -> Vec<HeaderLine> {
                headers.clone().into_iter().filter(|line| line.name.eq_ignore_ascii_case(name)).collect()
            };
            prop_assert_eq!(of_name(&headers), of_name(&request.headers));
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_everywhere(&json);
    }

    #[test]
    fn any_json_is_parsed_or_refused_and_what_passes_is_lawful(json in any_json()) {
        parse_everywhere(json.to_string().as_bytes());
    }

    #[test]
    fn any_value_in_place_of_a_field_is_parsed_or_refused(field in field_name(), value in any_json()) {
        parse_everywhere(&returned(EventType::OriginRequest, &sent_to_origin(), |request| request[&field] = value.clone()));
        parse_everywhere(&returned_response(EventType::OriginResponse, |response| response[&field] = value));
    }

    #[test]
    fn any_uri_and_query_that_pass_are_valid_request_targets(uri in "/\\PC{0,40}|/.{0,20}", query in ".{0,40}") {
        let result = json!({"uri": uri, "querystring": query, "headers": {"host": [{"value": "www.example.net"}]}});
        if let Ok(result) = parse_request_result(result.to_string().as_bytes(), EventType::ViewerRequest, &sent()) {
            assert_lawful(&result);
        }
    }
}

#[test]
fn deeply_nested_json_is_refused_without_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 200_000;
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for field in ["uri", "headers", "body", "status", "origin", "unknown"] {
            parse_everywhere(format!("{{\"{field}\":{nested}}}").as_bytes());
        }
        parse_everywhere(nested.as_bytes());
    }
}
