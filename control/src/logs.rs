//! Amazon CloudWatch Logs' API over the functions' logs, as far as reading them goes: each
//! function is a log group with one stream, in which the lines of all of its environments
//! follow each other. Which lines a pattern finds is `pattern`'s.

mod pattern;

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::lambda::{ACCOUNT, REGION};
use crate::plane::Plane;
use crate::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use functions::{LogLine, LogPlace, LogSummary};
use http::StatusCode;
use pattern::Pattern;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What requests for it are signed for.
pub(crate) const SERVICE: &str = "logs";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Groups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Streams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Get {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: String,
    start_time: Option<u64>,
    end_time: Option<u64>,
    next_token: Option<String>,
    limit: Option<usize>,
    start_from_head: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
    /// Always so.
    #[serde(rename = "interleaved")]
    _interleaved: Option<bool>,
}

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let plane = Arc::clone(plane);
    let done = tokio::task::spawn_blocking(move || {
        let target = request.header("x-amz-target").unwrap_or_default();
        match target.strip_prefix(TARGET).unwrap_or_default() {
            "DescribeLogGroups" => groups(&plane, request.json()?),
            "DescribeLogStreams" => streams(&plane, request.json()?),
            "GetLogEvents" => get(&plane, &request.json()?),
            "FilterLogEvents" => filter(&plane, &request.json()?),
            _ => Err(ApiError::new(Code::UNKNOWN_OPERATION, format!("{target} is not supported by this edge"))),
        }
    });
    done.await.map_err(|error| ApiError::of_ours(&error))?
}

fn groups(plane: &Plane, asked: Groups) -> Result<Answer, ApiError> {
    let prefix = asked.log_group_name_prefix.unwrap_or_default();
    let part = asked.log_group_name_pattern.unwrap_or_default();
    let limit = limited(asked.limit, GROUPS_MAX)?;
    let all = plane.logs.all().map_err(|error| ApiError::of_ours(&error))?;
    let after = asked.next_token.unwrap_or_default();
    let mut found = all.iter().filter(|log| {
        let name = group_name(&log.function);
        name.starts_with(&prefix) && name.contains(&part) && log.function > after
    });
    let shown: Vec<&LogSummary> = found.by_ref().take(limit).collect();
    let list: Vec<Value> = shown.iter().map(|log| group(log)).collect();
    let mut value = json!({ "logGroups": list });
    if let (Some(_), Some(last)) = (found.next(), shown.last()) {
        value["nextToken"] = last.function.clone().into();
    }
    answer(&value)
}

fn group(log: &LogSummary) -> Value {
    let name = group_name(&log.function);
    let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}");
    json!({
        "logGroupName": name,
        "creationTime": log.since_ms,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": log.bytes,
        "logGroupClass": "STANDARD",
    })
}

fn streams(plane: &Plane, asked: Streams) -> Result<Answer, ApiError> {
    let log = existing(plane, asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    limited(asked.limit, STREAMS_MAX)?;
    if let Some(order) = asked.order_by.filter(|order| order != "LogStreamName" && order != "LastEventTime") {
        return Err(invalid(format!("orderBy is {order:?}, it must be LogStreamName or LastEventTime")));
    }
    // There is one: it is first and last, and no page follows.
    let _ = asked.descending;
    let is_shown = asked.next_token.is_none() && STREAM.starts_with(&asked.log_stream_name_prefix.unwrap_or_default());
    let stream = json!({
        "logStreamName": STREAM,
        "creationTime": log.since_ms,
        "firstEventTimestamp": log.since_ms,
        "lastEventTimestamp": log.until_ms,
        "lastIngestionTime": log.until_ms,
        "arn": format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{}:log-stream:{STREAM}", group_name(&log.function)),
        "storedBytes": 0,
    });
    answer(&json!({ "logStreams": if is_shown { vec![stream] } else { Vec::new() } }))
}

/// GetLogEvents. Both tokens lead on from the end of what is shown; backwards there is nothing more,
/// unless the end was asked for.
fn get(plane: &Plane, asked: &Get) -> Result<Answer, ApiError> {
    let log = existing(plane, asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    if asked.log_stream_name != STREAM {
        return Err(none("The specified log stream does not exist."));
    }
    let limit = limited(asked.limit, EVENTS_MAX)?;
    let from = asked.next_token.as_deref().map(place).transpose()?;
    let span = Span { from, start: asked.start_time.unwrap_or(0), end: asked.end_time.unwrap_or(u64::MAX) };
    // Without a word the last ones are wanted, with a token those that follow.
    let of_head = asked.start_from_head == Some(true) || from.is_some();
    let found = read(plane, &log, &span, (limit, of_head), &Pattern::default())?;
    let events: Vec<Value> = found.lines.iter().map(event).collect();
    let forward = found.next.or(found.end).or(from).unwrap_or_default();
    answer(&json!({
        "events": events,
        "nextForwardToken": format!("f/{}", token(forward)),
        "nextBackwardToken": format!("b/{}", token(forward)),
    }))
}

fn filter(plane: &Plane, asked: &Filter) -> Result<Answer, ApiError> {
    let log = existing(plane, asked.log_group_name.as_deref(), asked.log_group_identifier.as_deref())?;
    let limit = limited(asked.limit, EVENTS_MAX)?;
    let pattern = Pattern::parse(asked.filter_pattern.as_deref().unwrap_or_default()).map_err(invalid)?;
    let from = asked.next_token.as_deref().map(place).transpose()?;
    let span = Span { from, start: asked.start_time.unwrap_or(0), end: asked.end_time.unwrap_or(u64::MAX) };
    let is_named = asked.log_stream_names.as_ref().is_none_or(|names| names.iter().any(|name| name == STREAM));
    let is_meant = is_named && STREAM.starts_with(asked.log_stream_name_prefix.as_deref().unwrap_or_default());
    let found = if is_meant { read(plane, &log, &span, (limit, true), &pattern)? } else { Found::default() };
    let events: Vec<Value> = found
        .lines
        .iter()
        .map(|line| {
            let mut event = event(line);
            event["logStreamName"] = STREAM.into();
            event["eventId"] = format!("{:020}{:020}", line.place.file, line.place.offset).into();
            event
        })
        .collect();
    let mut value = json!({ "events": events, "searchedLogStreams": [] });
    if let Some(next) = found.next {
        value["nextToken"] = token(next).into();
    }
    answer(&value)
}

/// Which lines are wanted.
struct Span {
    from: Option<LogPlace>,
    start: u64,
    /// This millisecond is not in it any more.
    end: u64,
}

#[derive(Default)]
struct Found {
    lines: Vec<LogLine>,
    /// Where the first one is that was left out.
    next: Option<LogPlace>,
    /// Behind the last one that was looked at.
    end: Option<LogPlace>,
}

/// At most so many lines, from the beginning or from the end.
fn read(
    plane: &Plane,
    log: &LogSummary,
    span: &Span,
    (limit, of_head): (usize, bool),
    pattern: &Pattern,
) -> Result<Found, ApiError> {
    let mut found = Found::default();
    let (mut bytes, mut lines) = (0, std::collections::VecDeque::new());
    let taken = plane.logs.read(&log.function, span.from, span.start, |line| {
        if of_head && (lines.len() >= limit || bytes >= PAGE_BYTES_MAX) {
            found.next = Some(line.place);
            return false;
        }
        found.end = Some(line.end);
        if line.at_ms >= span.end || !pattern.finds(&line.text) {
            return true;
        }
        bytes += line.text.len();
        lines.push_back(line);
        while !of_head && (lines.len() > limit || bytes > PAGE_BYTES_MAX) {
            bytes -= lines.pop_front().map_or(0, |line: LogLine| line.text.len());
        }
        true
    });
    taken.map_err(|error| ApiError::of_ours(&error))?;
    found.lines = lines.into();
    Ok(found)
}

fn event(line: &LogLine) -> Value {
    json!({ "timestamp": line.at_ms, "message": line.text, "ingestionTime": line.at_ms })
}

/// The log of a group, by its name or ARN.
fn existing(plane: &Plane, name: Option<&str>, identifier: Option<&str>) -> Result<LogSummary, ApiError> {
    let given = name.or(identifier).ok_or_else(|| invalid("logGroupName is missing"))?;
    let given = given.strip_suffix(":*").unwrap_or(given);
    let given = given.rsplit_once(":log-group:").map_or(given, |(_, name)| name);
    let all = plane.logs.all().map_err(|error| ApiError::of_ours(&error))?;
    let found = all.into_iter().find(|log| group_name(&log.function) == given);
    found.ok_or_else(|| none("The specified log group does not exist."))
}

fn group_name(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

fn limited(limit: Option<usize>, max: usize) -> Result<usize, ApiError> {
    match limit {
        None => Ok(max),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(limit) => Err(invalid(format!("limit is {limit}, it must be 1 to {max}"))),
    }
}

fn token(place: LogPlace) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", place.file, place.offset))
}

fn place(token: &str) -> Result<LogPlace, ApiError> {
    let text = token.strip_prefix("f/").or_else(|| token.strip_prefix("b/")).unwrap_or(token);
    let text = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = text.as_deref().and_then(|text| text.split_once(':'));
    let place =
        parts.and_then(|(file, offset)| Some(LogPlace { file: file.parse().ok()?, offset: offset.parse().ok()? }));
    place.ok_or_else(|| invalid("nextToken is none that this edge gave"))
}

fn answer(value: &Value) -> Result<Answer, ApiError> {
    let text = serde_json::to_vec(value).map_err(|error| ApiError::of_ours(&error))?;
    Ok(Answer::raw(StatusCode::OK, "application/x-amz-json-1.1", text.into()))
}

fn none(message: &str) -> ApiError {
    ApiError::new(Code::NO_LOG, message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::INVALID_LOG_PARAMETER, message)
}

const TARGET: &str = "Logs_20140328.";
/// Of every group.
const STREAM: &str = "all";
/// AWS: "DescribeLogGroups", "DescribeLogStreams", "FilterLogEvents".
const GROUPS_MAX: usize = 50;
const STREAMS_MAX: usize = 50;
const EVENTS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 1024 * 1024;
