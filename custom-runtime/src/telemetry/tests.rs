//! Subscriptions, events and buffers without an environment.

use super::buffer::Buffer;
use super::subscription::{Buffering, Destination, Protocol, Schema, Stream};
use super::*;
use environment::{Report, Status};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

fn read(api: Api, body: &Value) -> Result<Subscription, String> {
    Subscription::read(api, body.to_string().as_bytes()).map_err(|Invalid(why)| why)
}

fn wishes() -> Value {
    json!({
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function", "platform"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a?b"},
    })
}

#[test]
fn a_subscription_is_what_was_asked_for_and_the_usual() {
    let read = read(Api::Telemetry, &wishes()).unwrap();
    let buffering = Buffering { items_max: 10_000, bytes_max: 262_144, timeout: Duration::from_secs(1) };
    let protocol = Protocol::Http { method: Method::POST, path: "/a?b".to_owned() };
    let expected = Subscription {
        api: Api::Telemetry,
        schema: Schema::Telemetry20221213,
        types: vec![Stream::Platform, Stream::Function],
        destination: Destination { port: 8080, protocol },
        buffering,
    };
    assert_eq!(read, expected);
}

#[test]
fn everything_that_is_wrong_with_a_subscription_is_named() {
    let with = |pointer: &str, value: Value| {
        let mut body = wishes();
        body[pointer] = value;
        body
    };
    for (body, named) in [
        (with("schemaVersion", json!("2020-08-15")), "schemaVersion is \"2020-08-15\""),
        (with("types", json!([])), "types should not be empty"),
        (with("types", json!(["logs"])), "types has \"logs\""),
        (
            with("destination", json!({"protocol": "HTTP", "URI": "http://sandbox.localdomain"})),
            "URI port is not provided",
        ),
        (with("destination", json!({"protocol": "HTTP", "URI": "http://example.com:80"})), "host sandbox.localdomain"),
        (with("destination", json!({"protocol": "HTTP", "URI": "http://sandbox.localdomain:9001"})), "port 9001"),
        (
            with("destination", json!({"protocol": "HTTP", "URI": "https://sandbox.localdomain:1"})),
            "begin with http://",
        ),
        (with("destination", json!({"protocol": "TCP", "port": 0})), "destination.port is 0"),
        (with("destination", json!({"protocol": "UDP"})), "destination.protocol is \"UDP\""),
        (with("buffering", json!({"maxItems": 999})), "buffering.maxItems is 999, it must be 1000 to 10000"),
        (with("buffering", json!({"maxBytes": 1_048_577})), "buffering.maxBytes is 1048577"),
        (with("buffering", json!({"timeoutMs": 24})), "buffering.timeoutMs is 24, it must be 25 to 30000"),
        (json!([]), "must be an object"),
    ] {
        let why = read(Api::Telemetry, &body).unwrap_err();
        assert!(why.contains(named), "{body}: {why}");
    }
    let both = json!({"schemaVersion": "2022-07-01", "types": [], "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}});
    assert_eq!(read(Api::Telemetry, &both).unwrap_err(), "types should not be empty; URI port is not provided");
}

#[test]
fn the_logs_api_has_its_own_versions_and_methods() {
    let body = json!({
        "types": ["extension"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox:99", "method": "PUT"},
    });
    let read = read(Api::Logs, &body).unwrap();
    assert_eq!(read.schema, Schema::Logs20200815);
    assert_eq!(read.destination.protocol, Protocol::Http { method: Method::PUT, path: "/".to_owned() });
}

fn about() -> About {
    About { function: "f".to_owned(), version: "7".to_owned(), memory_mb: 128, initialization: "on-demand" }
}

fn said(event: &Event, schema: Schema) -> Option<Value> {
    let texts = event.texts(&about(), schema, UNIX_EPOCH + Duration::from_millis(1_660_000_000_123));
    let events = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    (!texts.is_empty()).then_some(Value::Array(events))
}

#[test]
fn a_runtime_that_has_done_is_told_as_each_schema_does() {
    let response = Response { first: Duration::from_millis(20), whole: Duration::from_millis(23), bytes: 16 };
    let event = Event::RuntimeDone(RuntimeDone {
        id: "i".to_owned(),
        trace: "t".to_owned(),
        status: Status::Error,
        error_type: Some("E".to_owned()),
        began: UNIX_EPOCH,
        duration: Duration::from_millis(25),
        response: Some(response),
    });
    let tracing = json!({"type": "X-Amzn-Trace-Id", "value": "t"});
    let span = |name: &str, start: &str, ms: f64| json!({"name": name, "start": start, "durationMs": ms});
    let mut record = json!({
        "requestId": "i", "status": "error", "errorType": "E", "tracing": tracing,
        "metrics": {"durationMs": 25.0, "producedBytes": 16},
        "spans": [
            span("responseLatency", "1970-01-01T00:00:00.000Z", 20.0),
            span("responseDuration", "1970-01-01T00:00:00.020Z", 3.0),
            span("runtimeOverhead", "1970-01-01T00:00:00.023Z", 2.0),
        ],
    });
    let whole = said(&event, Schema::Telemetry20221213).unwrap();
    assert_eq!(whole, json!([{"time": "2022-08-08T23:06:40.123Z", "type": "platform.runtimeDone", "record": record}]));
    record.as_object_mut().unwrap().remove("errorType");
    record["spans"].as_array_mut().unwrap().pop();
    assert_eq!(said(&event, Schema::Telemetry20220701).unwrap()[0]["record"], record);
    assert_eq!(said(&event, Schema::Logs20210318).unwrap()[0]["record"], json!({"requestId": "i", "status": "error"}));
    assert_eq!(said(&event, Schema::Logs20200815), None);
}

#[test]
fn a_report_has_the_numbers_of_report() {
    let report = Report {
        id: "i".to_owned(),
        status: Status::Failure,
        error_type: Some("Runtime.ExitError".to_owned()),
        duration_ms: 693.9251,
        init_ms: Some(397.68),
        memory_used_mb: 84,
    };
    let event = Event::Report { report, trace: "t".to_owned() };
    let metrics = json!({
        "durationMs": 693.925, "billedDurationMs": 694, "memorySizeMB": 128, "maxMemoryUsedMB": 84, "initDurationMs": 397.68,
    });
    let later = said(&event, Schema::Telemetry20221213).unwrap();
    let tracing = json!({"type": "X-Amzn-Trace-Id", "value": "t"});
    let record = json!({"requestId": "i", "metrics": metrics, "status": "failure", "tracing": tracing, "errorType": "Runtime.ExitError"});
    assert_eq!(later[0]["record"], record);
    let logs = said(&event, Schema::Logs20200815).unwrap();
    let kinds: Vec<&str> = logs.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["platform.fault", "platform.end", "platform.report"]);
    assert_eq!(logs[2]["record"], json!({"requestId": "i", "metrics": metrics}));
}

#[tokio::test]
async fn a_batch_is_due_when_it_is_full_or_its_time_is_over() {
    let timeout = Duration::from_millis(50);
    let buffer = Buffer::new(Buffering { items_max: 2, bytes_max: 10, timeout });
    let began = tokio::time::Instant::now();
    buffer.put("1".to_owned());
    assert_eq!(buffer.batch().await, ["1"]);
    assert!(began.elapsed() >= timeout);
    let timeout = Duration::from_secs(60);
    let buffer = Buffer::new(Buffering { items_max: 2, bytes_max: 10, timeout });
    ["1", "2", "3"].into_iter().for_each(|event| buffer.put(event.to_owned()));
    let began = tokio::time::Instant::now();
    assert_eq!(buffer.batch().await, ["1", "2"]);
    assert!(began.elapsed() < timeout, "full");
    buffer.flush();
    assert_eq!(buffer.batch().await, ["3"]);
    ["123456", "123456"].into_iter().for_each(|event| buffer.put(event.to_owned()));
    assert_eq!(buffer.batch().await, ["123456"]);
    buffer.flush();
    assert_eq!(buffer.batch().await, ["123456"]);
    assert!(began.elapsed() < timeout, "urgent");
}

#[tokio::test]
async fn what_a_subscriber_is_too_slow_for_is_counted() {
    let buffer = Buffer::new(Buffering { items_max: 2, bytes_max: 1_000, timeout: Duration::ZERO });
    (0..6).for_each(|number| buffer.put(format!("{number}{number}")));
    let batch = buffer.batch().await;
    let dropped: Value = serde_json::from_str(&batch[0]).unwrap();
    assert_eq!((&dropped["type"], &dropped["record"]["droppedRecords"]), (&json!("platform.logsDropped"), &json!(2)));
    assert_eq!(dropped["record"]["droppedBytes"], 4);
    assert_eq!(batch[1..], ["00"]);
    assert_eq!(buffer.batch().await, ["11", "22"]);
}
