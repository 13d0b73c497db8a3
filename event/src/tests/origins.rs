//! Origins that an origin-request function sets.

use super::*;

/// A lawful origin, changed.
fn custom(change: impl FnOnce(&mut Value)) -> Result<Option<EventOrigin>, Rule> {
    let mut origin = json!({
        "customHeaders": {}, "domainName": "backend.example.org", "keepaliveTimeout": 5, "path": "/base", "port": 443,
        "protocol": "https", "readTimeout": 30, "responseCompletionTimeout": 30, "sslProtocols": ["TLSv1.2"],
    });
    change(&mut origin);
    origin_request(|request| request["origin"] = json!({"custom": origin})).map(|edit| edit.origin)
}

fn s3(change: impl FnOnce(&mut Value)) -> Result<Option<EventOrigin>, Rule> {
    let mut origin = json!({
        "authMethod": "origin-access-identity", "customHeaders": {"x-env": [{"key": "X-Env", "value": "prod"}]},
        "domainName": "my-bucket.s3.us-east-1.amazonaws.com", "path": "/site", "region": "us-east-1",
    });
    change(&mut origin);
    origin_request(|request| request["origin"] = json!({"s3": origin})).map(|edit| edit.origin)
}

#[test]
fn a_custom_origin_can_be_set() {
    let expected = EventOrigin::Custom {
        domain_name: "backend.example.org".into(),
        path: "/base".into(),
        port: 443,
        protocol: OriginProtocol::Https,
        read_timeout: Duration::from_secs(30),
        keepalive_timeout: Duration::from_secs(5),
        response_completion_timeout: Some(Duration::from_secs(30)),
        ssl_protocols: vec!["TLSv1.2".into()],
        custom_headers: Headers::new(),
    };
    assert_eq!(custom(|_| {}), Ok(Some(expected)));
}

#[test]
fn an_s3_origin_can_be_set() {
    let Ok(Some(EventOrigin::S3 { auth_method, read_timeout, custom_headers, .. })) = s3(|_| {}) else {
        panic!("the origin was refused")
    };
    assert_eq!((auth_method, read_timeout), (AuthMethod::OriginAccessIdentity, None));
    assert_eq!(lines(&custom_headers), [("X-Env", &b"prod"[..])]);
    let without_region = |origin: &mut Value| {
        origin["authMethod"] = json!("none");
        origin["region"] = json!("");
    };
    assert!(s3(without_region).is_ok());
}

#[test]
fn an_origin_left_as_configured_is_not_judged() {
    assert_eq!(origin_request(|_| {}).unwrap().origin, None);
    let edit = origin_request(|request| request["origin"]["custom"]["path"] = json!("/v2")).unwrap();
    let Some(EventOrigin::Custom { domain_name, port, path, read_timeout, custom_headers, .. }) = edit.origin else {
        panic!("no origin")
    };
    assert_eq!((domain_name.as_str(), port, path.as_str()), ("127.0.0.1", 81, "/v2"));
    assert_eq!(read_timeout, Duration::from_millis(500));
    assert!(custom_headers.contains("x-edge-key") && custom_headers.contains("x-secret"));
}

#[test]
fn a_missing_origin_leaves_it() {
    let missing = |request: &mut Value| request.as_object_mut().unwrap().remove("origin").map_or((), drop);
    assert_eq!(origin_request(missing).unwrap().origin, None);
}

#[test]
fn both_kinds_neither_and_other_shapes_are_refused() {
    let custom = event(EventType::OriginRequest, &sent_to_origin(), None)["request"]["origin"]["custom"].take();
    for origin in
        [json!({"custom": custom, "s3": {}}), json!({}), json!(null), json!([]), json!("x"), json!({"custom": 1})]
    {
        let edit = origin_request(|request| request["origin"] = origin.clone());
        assert_eq!(edit, Err(Rule::OriginInvalid), "{origin}");
    }
}

#[test]
fn an_origin_in_viewer_request_is_refused() {
    assert_eq!(viewer_request(|request| request["origin"] = json!({})), Err(Rule::OriginForbidden));
}

#[test]
fn every_field_of_a_custom_origin_is_required_but_one() {
    for field in
        ["customHeaders", "domainName", "keepaliveTimeout", "path", "port", "protocol", "readTimeout", "sslProtocols"]
    {
        let without = |origin: &mut Value| origin.as_object_mut().unwrap().remove(field).map_or((), drop);
        assert_eq!(custom(without), Err(Rule::OriginInvalid), "{field}");
    }
    assert!(custom(|origin| origin["responseCompletionTimeout"] = json!(0)).is_ok());
    let without =
        |origin: &mut Value| origin.as_object_mut().unwrap().remove("responseCompletionTimeout").map_or((), drop);
    assert!(custom(without).is_ok());
}

#[test]
fn the_fields_of_a_custom_origin_have_bounds() {
    let long_path = format!("/{}", "a".repeat(255));
    let long_domain = format!("{}.org", "a.".repeat(126));
    for (field, value) in [
        ("port", json!(82)),
        ("port", json!(0)),
        ("port", json!(1023)),
        ("port", json!(65536)),
        ("port", json!("443")),
        ("port", json!(-1)),
        ("protocol", json!("ftp")),
        ("protocol", json!("HTTPS")),
        ("readTimeout", json!(-1)),
        ("readTimeout", json!(121)),
        ("readTimeout", json!("30")),
        ("keepaliveTimeout", json!(0)),
        ("keepaliveTimeout", json!(121)),
        ("responseCompletionTimeout", json!(29)),
        ("path", json!("/")),
        ("path", json!("base")),
        ("path", json!("/base/")),
        ("path", json!("/a b")),
        ("path", json!("/é")),
        ("path", json!(long_path)),
        ("domainName", json!("")),
        ("domainName", json!("a:80")),
        ("domainName", json!("192.0.2.1")),
        ("domainName", json!("[::1]")),
        ("domainName", json!("::1")),
        ("domainName", json!("a..b")),
        ("domainName", json!("a/b")),
        ("domainName", json!("a b")),
        ("domainName", json!("u@h")),
        ("domainName", json!(long_domain)),
        ("sslProtocols", json!(["TLSv1.3"])),
        ("sslProtocols", json!("TLSv1.2")),
        ("sslProtocols", json!([1])),
    ] {
        let edit = custom(|origin| origin[field] = value.clone());
        assert_eq!(edit, Err(Rule::OriginInvalid), "{field} {value}");
    }
    for (field, value) in [
        ("port", json!(80)),
        ("port", json!(1024)),
        ("port", json!(65535)),
        ("protocol", json!("http")),
        ("readTimeout", json!(1)),
        ("keepaliveTimeout", json!(120)),
        ("responseCompletionTimeout", json!(3600)),
        ("path", json!("")),
        ("path", json!("/%20")),
        ("domainName", json!("localhost")),
        ("sslProtocols", json!(["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"])),
    ] {
        assert!(custom(|origin| origin[field] = value.clone()).is_ok(), "{field} {value}");
    }
}

#[test]
fn the_fields_of_an_s3_origin_have_bounds() {
    let long = format!("{}.s3.us-east-1.amazonaws.com", "a.".repeat(60));
    for (field, value) in [
        ("authMethod", json!("origin-access-control")),
        ("region", json!("")),
        ("region", json!(1)),
        ("domainName", json!("My-Bucket.s3.us-east-1.amazonaws.com")),
        ("domainName", json!("backend.example.org")),
        ("domainName", json!(long)),
        ("path", json!("site")),
        ("readTimeout", json!(0)),
    ] {
        assert_eq!(s3(|origin| origin[field] = value.clone()), Err(Rule::OriginInvalid), "{field} {value}");
    }
    for field in ["authMethod", "customHeaders", "domainName", "path", "region"] {
        let without = |origin: &mut Value| origin.as_object_mut().unwrap().remove(field).map_or((), drop);
        assert_eq!(s3(without), Err(Rule::OriginInvalid), "{field}");
    }
}

#[test]
fn custom_headers_are_not_disallowed_read_only_or_request_headers() {
    for name in ["X-Edge-Foo", "connection", "user-agent", "Host", "Content-Length", "transfer-encoding", "via"] {
        let added = |origin: &mut Value| origin["customHeaders"] = json!({name: [{"value": "1"}]});
        assert_eq!(custom(added), Err(Rule::HeaderDisallowed), "{name}");
    }
    assert!(custom(|origin| origin["customHeaders"] = json!({"x-new": [{"value": "1"}]})).is_ok());
}

#[test]
fn hidden_custom_headers_do_not_follow_to_another_host() {
    let elsewhere = |request: &mut Value| request["origin"]["custom"]["domainName"] = json!("other.example");
    let Some(EventOrigin::Custom { custom_headers, .. }) = origin_request(elsewhere).unwrap().origin else {
        panic!("no origin")
    };
    assert_eq!(lines(&custom_headers), [("X-Secret", &b"s"[..])]);
}
