//! The header map of a result: from JSON to lines, and the rules on which
//! headers a function may add, change or delete.

use super::headers::{HeaderLine, Headers, lower, read_only, text};
use super::{EventType, InvalidResult, Rule, json};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The lines of a header map. Values a function left alone get the bytes of
/// `sent` back; others are UTF-8. A missing map has no lines.
pub(super) fn parse(raw: Option<&RawValue>, sent: &Headers) -> Result<Headers, InvalidResult> {
    let Some(raw) = raw else { return Ok(Headers::new()) };
    let Some(entries) = json::entries(raw) else {
        let reason = format!("headers is {}, it must be an object", json::kind(raw.get()));
        return Err(InvalidResult::new(Rule::HeadersNotObject, reason));
    };
    let mut seen = HashSet::with_capacity(entries.len());
    let mut headers = Headers::new();
    for (name, raw_lines) in entries {
        check_name(&name)?;
        if !seen.insert(name.to_ascii_lowercase()) {
            let reason = "header is in the map more than once, in any case";
            return Err(InvalidResult::new(Rule::HeaderNameDuplicated, reason).header(&name));
        }
        let Some(raw_lines) = json::elements(raw_lines) else {
            let reason = format!("header is {}, it must be an array", json::kind(raw_lines.get()));
            return Err(InvalidResult::new(Rule::HeaderNotArray, reason).header(&name));
        };
        for (index, raw_line) in raw_lines.into_iter().enumerate() {
            let (wire_name, value) = line(&name, raw_line)?;
            let bytes = unchanged(sent, &name, index, &value).unwrap_or_else(|| Bytes::from(value));
            headers.push(wire_name, bytes);
        }
    }
    Ok(headers)
}

/// `returned`, unless it says the same as the visible lines of `sent`. The order
/// of different names does not count: a JSON object may lose it.
pub(super) fn changed(returned: Headers, sent: &Headers) -> Option<Headers> {
    (by_name(&returned) != by_name(sent)).then_some(returned)
}

/// No read-only header of this event was added, changed or deleted. Names and
/// values count, the case of `key` does not.
pub(super) fn check_read_only(event: EventType, sent: &Headers, returned: &Headers) -> Result<(), InvalidResult> {
    for name in read_only(event) {
        if sent.values(name).map(|value| text(value)).eq(returned.values(name).map(|value| text(value))) {
            continue;
        }
        let act = match (sent.contains(name), returned.contains(name)) {
            (false, _) => "added",
            (true, false) => "deleted",
            (true, true) => "changed",
        };
        let reason = format!("a read-only header was {act}: functions of {event} must leave it");
        let value = returned.first(name).map(|value| text(value).into_owned());
        return Err(InvalidResult { value, ..InvalidResult::new(Rule::HeaderReadOnly, reason).header(name) });
    }
    let country = "cloudfront-viewer-country";
    if event == EventType::ViewerRequest && returned.contains(country) && !sent.contains(country) {
        let reason = "functions of viewer-request must not add this header";
        return Err(InvalidResult::new(Rule::HeaderDisallowed, reason).header(country));
    }
    Ok(())
}

fn line(name: &str, raw: &RawValue) -> Result<(String, String), InvalidResult> {
    let invalid = |rule, reason: &str| InvalidResult::new(rule, reason).header(name);
    let Some(fields) = json::line(raw) else {
        let reason = format!("header has an entry that is {}, it must be an object", json::kind(raw.get()));
        return Err(invalid(Rule::HeaderEntryInvalid, &reason));
    };
    let key = match fields.key {
        None => capitalised(name),
        Some(key) => json::string(key)
            .ok_or_else(|| invalid(Rule::HeaderEntryInvalid, "key must be a string").value(key.get()))?
            .into_owned(),
    };
    if !key.eq_ignore_ascii_case(name) {
        let reason = "key must be the name in the map, in any case";
        return Err(invalid(Rule::HeaderKeyMismatch, reason).value(&key));
    }
    if Headers::hidden(name) {
        return Err(invalid(Rule::HeaderDisallowed, "functions must not add this header"));
    }
    let Some(raw_value) = fields.value else {
        return Err(invalid(Rule::HeaderEntryInvalid, "header has an entry without a value"));
    };
    let Some(value) = json::string(raw_value) else {
        return Err(invalid(Rule::HeaderEntryInvalid, "value must be a string").value(raw_value.get()));
    };
    if HeaderValue::from_bytes(value.as_bytes()).is_err() {
        let reason = "value must not have line breaks, NUL or other control characters";
        return Err(invalid(Rule::HeaderValueInvalid, reason).value(&value));
    }
    Ok((key, value.into_owned()))
}

fn check_name(name: &str) -> Result<(), InvalidResult> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidResult::new(Rule::HeaderNameInvalid, "name is not an HTTP token").header(name)),
    }
}

/// The wire bytes of a value that a function left alone, where they are not UTF-8.
fn unchanged(sent: &Headers, name: &str, index: usize, value: &str) -> Option<Bytes> {
    if value.is_ascii() {
        return None;
    }
    let same = |bytes: &&Bytes| text(bytes) == value;
    sent.values(name).nth(index).filter(same).or_else(|| sent.values(name).find(same)).cloned()
}

/// `x-my-HEAD` is `X-My-Head` (AWS: "Lambda@Edge event structure", headers without `key`).
fn capitalised(name: &str) -> String {
    let mut start = true;
    let capital = |character: char| {
        let out = if start { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() };
        start = character == '-';
        out
    };
    name.chars().map(capital).collect()
}

fn by_name(headers: &Headers) -> Vec<&HeaderLine> {
    let mut lines: Vec<&HeaderLine> = headers.visible().collect();
    lines.sort_by(|a, b| lower(&a.name).cmp(lower(&b.name)));
    lines
}
