//! What a handler gets.

use super::*;

#[test]
fn a_viewer_request_event_has_every_documented_field() {
    let cf = event(EventType::ViewerRequest, &sent(), None);
    assert_eq!(
        cf,
        json!({
            "config": {
                "distributionDomainName": "dexample.edge.test",
                "distributionId": "E1EXAMPLE",
                "eventType": "viewer-request",
                "requestId": "MRVM==",
            },
            "request": {
                "clientIp": "203.0.113.7",
                "method": "POST",
                "uri": "/picture.jpg",
                "querystring": "size=large",
                "headers": {
                    "host": [{"key": "Host", "value": "www.example.net"}],
                    "user-agent": [{"key": "User-Agent", "value": "curl/8.5.0"}],
                    "x-many": [{"key": "X-Many", "value": "one"}, {"key": "x-many", "value": "two"}],
                    "accept-encoding": [{"key": "Accept-Encoding", "value": "gzip"}],
                },
                "body": {
                    "action": "read-only", "data": "Zm9vPWJhcg==", "encoding": "base64", "inputTruncated": false,
                },
            },
        })
    );
}

#[test]
fn header_names_keep_the_order_of_their_first_line() {
    let cf = event(EventType::ViewerRequest, &sent(), None);
    let names: Vec<&String> = cf["request"]["headers"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["host", "user-agent", "x-many", "accept-encoding"]);
}

#[test]
fn the_event_has_exactly_one_record() {
    let encoded = encode(&config(EventType::ViewerRequest), &sent(), None);
    let event: Value = serde_json::from_slice(encoded.json()).unwrap();
    assert_eq!(event["Records"].as_array().unwrap().len(), 1);
}

#[test]
fn querystring_is_there_when_empty() {
    let request = EventRequest { querystring: String::new(), ..sent() };
    assert_eq!(event(EventType::ViewerRequest, &request, None)["request"]["querystring"], "");
}

#[test]
fn hidden_headers_are_not_in_the_event() {
    let request = event(EventType::ViewerRequest, &sent(), None)["request"].take();
    assert!(request["headers"].get("connection").is_none());
    let response = event(EventType::ViewerResponse, &sent(), Some(&sent_response()))["response"].take();
    assert!(response["headers"].get("x-cache").is_none());
    assert_eq!(response["headers"]["set-cookie"][1], json!({"key": "Set-Cookie", "value": "b=2"}));
}

#[test]
fn iso_8859_1_values_are_shown_in_utf_8() {
    let mut request = sent();
    request.headers.push("X-Name", &b"caf\xe9"[..]);
    let cf = event(EventType::ViewerRequest, &request, None);
    assert_eq!(cf["request"]["headers"]["x-name"][0]["value"], "café");
}

#[test]
fn quotes_and_control_characters_are_escaped() {
    let request = EventRequest { uri: "/\"\\\u{1}é".into(), ..sent() };
    assert_eq!(event(EventType::ViewerRequest, &request, None)["request"]["uri"], "/\"\\\u{1}é");
}

#[test]
fn a_cut_body_says_so() {
    let body = EventBody { data: Bytes::from(vec![0xff; limits::BODY_BYTES_MAX_VIEWER]), truncated: true };
    let cf = event(EventType::ViewerRequest, &EventRequest { body: Some(body), ..sent() }, None);
    assert_eq!(cf["request"]["body"]["inputTruncated"], true);
    assert_eq!(cf["request"]["body"]["data"].as_str().unwrap().len(), limits::BODY_BASE64_MAX_VIEWER);
}

#[test]
fn the_body_is_in_request_events_only() {
    let response = sent_response();
    assert!(event(EventType::OriginRequest, &sent(), None)["request"].get("body").is_some());
    assert!(event(EventType::OriginResponse, &sent(), Some(&response))["request"].get("body").is_none());
    assert!(event(EventType::ViewerResponse, &sent(), Some(&response))["request"].get("body").is_none());
}

#[test]
fn the_origin_is_in_origin_events_only() {
    let has_origin = |event_type| event(event_type, &sent_to_origin(), None)["request"].get("origin").is_some();
    assert_eq!(EventType::ALL.map(has_origin), [false, true, true, false]);
}

#[test]
fn a_custom_origin_has_every_documented_field() {
    let cf = event(EventType::OriginRequest, &sent_to_origin(), None);
    assert_eq!(
        cf["request"]["origin"],
        json!({"custom": {
            "customHeaders": {"x-secret": [{"key": "X-Secret", "value": "s"}]},
            "domainName": "127.0.0.1",
            "keepaliveTimeout": 5,
            "path": "",
            "port": 81,
            "protocol": "http",
            "readTimeout": 0,
            "sslProtocols": ["TLSv1.2"],
        }})
    );
}

#[test]
fn an_s3_origin_has_every_documented_field() {
    let origin = EventOrigin::S3 {
        domain_name: "my-bucket.s3.us-east-1.amazonaws.com".into(),
        path: "/site".into(),
        region: "us-east-1".into(),
        auth_method: AuthMethod::OriginAccessIdentity,
        read_timeout: Some(Duration::from_secs(30)),
        response_completion_timeout: Some(Duration::from_secs(31)),
        custom_headers: Headers::new(),
    };
    let cf = event(EventType::OriginRequest, &EventRequest { origin: Some(origin), ..sent() }, None);
    assert_eq!(
        cf["request"]["origin"],
        json!({"s3": {
            "authMethod": "origin-access-identity",
            "customHeaders": {},
            "domainName": "my-bucket.s3.us-east-1.amazonaws.com",
            "path": "/site",
            "readTimeout": 30,
            "region": "us-east-1",
            "responseCompletionTimeout": 31,
        }})
    );
}

#[test]
fn status_is_a_string_in_response_events() {
    let cf = event(EventType::OriginResponse, &sent(), Some(&sent_response()));
    assert_eq!(cf["response"]["status"], "200");
    assert_eq!(cf["response"]["statusDescription"], "OK");
    assert!(cf["response"].get("body").is_none());
}
