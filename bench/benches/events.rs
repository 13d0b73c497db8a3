//! What a hook costs besides its handler: writing the event, reading the result.

use criterion::{Criterion, criterion_group, criterion_main};
use event::{EventConfig, EventRequest, EventResponse, EventType, Headers, encode};
use http::Method;
use std::hint::black_box;

/// A browser's GET.
fn request() -> EventRequest {
    EventRequest {
        client_ip: [203, 0, 113, 7].into(),
        method: Method::GET,
        uri: "/stamped/page.html".into(),
        querystring: "size=large".into(),
        headers: lines(&[
            ("Host", "www.example.net"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("Accept-Language", "en-US,en;q=0.5"),
            ("Accept-Encoding", "gzip, deflate, br"),
            ("Connection", "keep-alive"),
            ("Referer", "https://www.example.net/"),
            ("Cookie", "session=0123456789abcdef0123456789abcdef; group=b"),
            ("If-None-Match", "\"5f2d-61a\""),
        ]),
        body: None,
        origin: None,
    }
}

/// A cached page.
fn response() -> EventResponse {
    EventResponse {
        status: 200,
        status_description: "OK".into(),
        headers: lines(&[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", "10240"),
            ("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT"),
            ("ETag", "\"5f2d-61a\""),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", "max-age=86400"),
            ("Date", "Mon, 23 Nov 2026 10:00:01 GMT"),
            ("Age", "12"),
            ("Via", "1.1 d111111abcdef8.example.net (CloudFront)"),
        ]),
    }
}

fn lines(lines: &[(&'static str, &'static str)]) -> Headers {
    lines.iter().copied().collect()
}

fn config(event_type: EventType) -> EventConfig<'static> {
    EventConfig {
        distribution_domain_name: "d111111abcdef8.example.net",
        distribution_id: "EDFDVBD6EXAMPLE",
        request_id: "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        event_type,
    }
}

/// The request or the response of the event: what a handler that changes nothing returns.
fn echoed(event_type: EventType, part: &str) -> String {
    let encoded = encode(&config(event_type), &request(), Some(&response()));
    let text = String::from_utf8(encoded.json().to_vec()).expect("events are JSON");
    let (start, end) = match part {
        "request" => (text.find(r#""request":"#).expect("it is there") + 10, text.find(r#","response":"#)),
        _ => (text.find(r#""response":"#).expect("it is there") + 11, text.find("}}]}")),
    };
    text[start..end.expect("it is there")].to_owned()
}

fn encoding(bench: &mut Criterion) {
    let (request, response) = (request(), response());
    let viewer_request = config(EventType::ViewerRequest);
    bench.bench_function("encode a viewer-request event", |b| {
        b.iter(|| encode(&viewer_request, black_box(&request), None));
    });
    let viewer_response = config(EventType::ViewerResponse);
    bench.bench_function("encode a viewer-response event", |b| {
        b.iter(|| encode(&viewer_response, black_box(&request), Some(black_box(&response))));
    });
}

fn parsing(bench: &mut Criterion) {
    let (request, response) = (request(), response());
    let sent = encode(&config(EventType::ViewerRequest), &request, None);
    let unchanged = echoed(EventType::ViewerRequest, "request");
    bench.bench_function("parse a request left alone", |b| {
        b.iter(|| sent.request_result(black_box(unchanged.as_bytes()), &request).expect("it is lawful"));
    });
    let moved = unchanged.replacen("/stamped/", "/moved/", 1);
    assert_ne!(moved, unchanged, "the path was changed");
    bench.bench_function("parse a request with another path", |b| {
        b.iter(|| sent.request_result(black_box(moved.as_bytes()), &request).expect("it is lawful"));
    });
    let made =
        br#"{"status":"302","statusDescription":"Found","headers":{"location":[{"key":"Location","value":"/x"}]}}"#;
    bench.bench_function("parse a generated redirect", |b| {
        b.iter(|| sent.request_result(black_box(made), &request).expect("it is lawful"));
    });
    let sent = encode(&config(EventType::ViewerResponse), &request, Some(&response));
    let unchanged = echoed(EventType::ViewerResponse, "response");
    bench.bench_function("parse a response left alone", |b| {
        b.iter(|| sent.response_result(black_box(unchanged.as_bytes()), &response).expect("it is lawful"));
    });
    let stamped = unchanged.replacen(r#"}]},"status""#, r#"}],"x-stamp":[{"key":"X-Stamp","value":"1"}]},"status""#, 1);
    assert_ne!(stamped, unchanged, "a header was added");
    bench.bench_function("parse a response with one header added", |b| {
        b.iter(|| sent.response_result(black_box(stamped.as_bytes()), &response).expect("it is lawful"));
    });
    let other = unchanged.replacen("max-age=86400", "no-store", 1);
    assert_ne!(other, unchanged, "a header was changed");
    bench.bench_function("parse a response with one header changed", |b| {
        b.iter(|| sent.response_result(black_box(other.as_bytes()), &response).expect("it is lawful"));
    });
}

criterion_group!(benches, encoding, parsing);
criterion_main!(benches);
