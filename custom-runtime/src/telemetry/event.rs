//! What can happen, and how each schema says it (AWS: "Lambda Telemetry API
//! Event schema reference"; "Using the Lambda Logs API", log messages).

use super::buffer::Dropped;
use super::subscription::{Schema, Stream};
use environment::{Report, Status};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// What every event may repeat of its function.
pub(crate) struct About {
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) memory_mb: u32,
    pub(crate) initialization: &'static str,
}

/// One thing that happens.
pub(crate) enum Event {
    InitStart,
    InitRuntimeDone { status: Status, error_type: Option<String> },
    InitReport { status: Status, error_type: Option<String>, duration: Duration },
    Start { id: String, trace: String },
    RuntimeDone(RuntimeDone),
    Report { report: Report, trace: String },
    Extension { name: String, events: Vec<&'static str>, state: &'static str },
    Subscribed { extension: String, types: Vec<Stream> },
    Line { source: Source, line: String },
}

/// The runtime has done with an invocation.
pub(crate) struct RuntimeDone {
    pub(crate) id: String,
    pub(crate) trace: String,
    pub(crate) status: Status,
    pub(crate) error_type: Option<String>,
    pub(crate) began: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) response: Option<Response>,
}

/// When it answered, since the beginning, and how many bytes.
#[derive(Clone, Copy)]
pub(crate) struct Response {
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
    pub(crate) bytes: usize,
}

/// Whose line it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Function,
    Extension,
}

impl Event {
    /// What one subscribes to for this.
    pub(super) fn stream(&self) -> Stream {
        match self {
            Event::Line { source: Source::Function, .. } => Stream::Function,
            Event::Line { source: Source::Extension, .. } => Stream::Extension,
            _ => Stream::Platform,
        }
    }

    /// JSON: nothing when this schema does not know it, several where this schema says it in several.
    pub(super) fn texts(&self, about: &About, schema: Schema, at: SystemTime) -> Vec<String> {
        let mut texts = Vec::new();
        if let (Event::Report { report, .. }, true) = (self, schema.is_of_logs()) {
            let id = &report.id;
            if report.status == Status::Failure {
                let fault = format!("RequestId: {id} Process exited before completing request");
                texts.push(object("platform.fault", &fault.into(), at));
            }
            texts.push(object("platform.end", &json!({"requestId": id}), at));
        }
        texts.extend(self.record(about, schema).map(|(kind, record)| object(kind, &record, at)));
        texts
    }

    fn record(&self, about: &About, schema: Schema) -> Option<(&'static str, Value)> {
        let is_later = schema >= Schema::Telemetry20221213;
        Some(match self {
            Event::Line { source: Source::Function, line } => ("function", line.as_str().into()),
            Event::Line { source: Source::Extension, line } => ("extension", line.as_str().into()),
            Event::Extension { name, events, state } => {
                ("platform.extension", json!({"name": name, "state": state, "events": events}))
            }
            Event::Subscribed { extension, types } => {
                let kind =
                    if schema.is_of_logs() { "platform.logsSubscription" } else { "platform.telemetrySubscription" };
                let types: Vec<&str> = types.iter().map(|stream| stream.id()).collect();
                (kind, json!({"name": extension, "state": "Subscribed", "types": types}))
            }
            Event::Start { id, trace } => {
                let mut record = json!({"requestId": id, "version": about.version});
                add(&mut record, !schema.is_of_logs(), "tracing", || tracing(trace));
                ("platform.start", record)
            }
            Event::RuntimeDone(_) if schema == Schema::Logs20200815 => return None,
            Event::RuntimeDone(done) => ("platform.runtimeDone", done.record(schema)),
            Event::Report { report, trace } => ("platform.report", record_of(report, trace, about, schema)),
            Event::InitStart | Event::InitRuntimeDone { .. } | Event::InitReport { .. } if schema.is_of_logs() => {
                return None;
            }
            Event::InitStart => {
                let mut record = json!({"initializationType": about.initialization, "phase": "init"});
                add(&mut record, is_later, "functionName", || about.function.as_str().into());
                add(&mut record, is_later, "functionVersion", || about.version.as_str().into());
                add(&mut record, is_later, "instanceMaxMemory", || (u64::from(about.memory_mb) << 20).into());
                ("platform.initStart", record)
            }
            Event::InitRuntimeDone { status, error_type } => {
                let mut record = json!({"initializationType": about.initialization, "phase": "init", "status": status});
                add_error(&mut record, is_later, error_type.as_ref());
                ("platform.initRuntimeDone", record)
            }
            Event::InitReport { status, error_type, duration } => {
                let mut record = json!({
                    "initializationType": about.initialization,
                    "phase": "init",
                    "metrics": {"durationMs": ms(*duration)},
                });
                add(&mut record, is_later, "status", || json!(status));
                add_error(&mut record, is_later, error_type.as_ref());
                ("platform.initReport", record)
            }
        })
    }
}

impl RuntimeDone {
    fn record(&self, schema: Schema) -> Value {
        let mut record = json!({"requestId": self.id, "status": self.status});
        if schema.is_of_logs() {
            return record;
        }
        let is_later = schema >= Schema::Telemetry20221213;
        add_error(&mut record, is_later, self.error_type.as_ref());
        record["tracing"] = tracing(&self.trace);
        record["metrics"] = json!({"durationMs": ms(self.duration)});
        if let Some(Response { first, whole, bytes }) = self.response {
            record["metrics"]["producedBytes"] = bytes.into();
            let span = |name: &str, from: Duration, to: Duration| json!({"name": name, "start": time(self.began + from), "durationMs": ms(to.saturating_sub(from))});
            let mut spans =
                vec![span("responseLatency", Duration::ZERO, first), span("responseDuration", first, whole)];
            if is_later {
                spans.push(span("runtimeOverhead", whole, self.duration));
            }
            record["spans"] = spans.into();
        }
        record
    }
}

fn record_of(report: &Report, trace: &str, about: &About, schema: Schema) -> Value {
    // A whole number is written without a point.
    #[expect(clippy::cast_possible_truncation, reason = "a duration in milliseconds")]
    let billed_ms = report.duration_ms.ceil().max(1.0) as u64;
    let mut metrics = json!({
        "durationMs": rounded(report.duration_ms),
        "billedDurationMs": billed_ms,
        "memorySizeMB": about.memory_mb,
        "maxMemoryUsedMB": report.memory_used_mb,
    });
    if let Some(init_ms) = report.init_ms {
        metrics["initDurationMs"] = rounded(init_ms).into();
    }
    let mut record = json!({"requestId": report.id, "metrics": metrics});
    if !schema.is_of_logs() {
        record["status"] = json!(report.status);
        record["tracing"] = tracing(trace);
        add_error(&mut record, schema >= Schema::Telemetry20221213, report.error_type.as_ref());
    }
    record
}

/// What a subscriber is told of what it was not sent.
pub(super) fn dropped(dropped: Dropped, at: SystemTime) -> String {
    let record = json!({
        "droppedRecords": dropped.records,
        "droppedBytes": dropped.bytes,
        "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
    });
    object("platform.logsDropped", &record, at)
}

fn object(kind: &str, record: &Value, at: SystemTime) -> String {
    json!({"time": time(at), "type": kind, "record": record}).to_string()
}

fn add(record: &mut Value, is_told: bool, name: &str, value: impl FnOnce() -> Value) {
    if let (true, Some(record)) = (is_told, record.as_object_mut()) {
        let record: &mut Map<String, Value> = record;
        record.insert(name.to_owned(), value());
    }
}

fn add_error(record: &mut Value, is_told: bool, error_type: Option<&String>) {
    if let Some(error_type) = error_type {
        add(record, is_told, "errorType", || error_type.as_str().into());
    }
}

fn tracing(trace: &str) -> Value {
    json!({"type": "X-Amzn-Trace-Id", "value": trace})
}

fn ms(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3)
}

/// To a thousandth.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// ISO 8601, in UTC.
fn time(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (date, clock) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}
