//! The header map of a result: from lines to headers, and the rules on which
//! headers a function may add, change or delete. Most functions leave most lines
//! alone, so lines stay borrowed until one of them is seen to differ.

use super::header_lines::{Found, HeaderMap, Name, RawLine};
use super::headers::{HeaderLine, Headers, lower, read_only, text};
use super::{EventType, InvalidResult, Rule, json};
use bytes::Bytes;
use std::borrow::Cow;

/// One line as the function wrote it.
pub(super) struct Line<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    /// Among those of its name.
    index: usize,
}

/// What a header map of a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All lines that the function left.
    Whole,
    /// Those behind the visible ones of the event, which it left as they were.
    Behind,
}

/// All headers the function left, when they differ from the visible ones of `sent`; each lawful in
/// this event. A missing map has no lines.
pub(super) fn edit(
    map: Option<HeaderMap<'_>>,
    event: EventType,
    sent: &Headers,
    written: Written,
) -> Result<Option<Headers>, InvalidResult> {
    if written == Written::Behind {
        return added(map, event, sent);
    }
    let lines = lines(map)?;
    if is_as_sent(&lines, sent) {
        return Ok(None);
    }
    check_read_only(event, sent, &lines)?;
    Ok(changed(lines, sent))
}

/// All headers, when there are lines in the map, which stand behind those of `sent`. Names that `sent` or a rule
/// has are refused here, whatever the rule: the whole map tells it.
fn added(map: Option<HeaderMap<'_>>, event: EventType, sent: &Headers) -> Result<Option<Headers>, InvalidResult> {
    let known = |name: &str| {
        sent.contains(name) || read_only(event).iter().chain([&COUNTRY]).any(|rule| rule.eq_ignore_ascii_case(name))
    };
    if let Some(Found::It(entries)) = &map
        && let Some((Name(name), _)) = entries.iter().find(|(Name(name), _)| known(name))
    {
        return Err(InvalidResult::new(Rule::HeaderNameDuplicated, "header is not a new one").header(name));
    }
    let lines = lines(map)?;
    if lines.is_empty() {
        return Ok(None);
    }
    let mut all: Headers = sent.grouped().into_iter().cloned().collect();
    lines.into_iter().for_each(|line| all.push(line.name.into_owned(), line.value.into_owned()));
    Ok(Some(all))
}

/// The lines of a header map, each of which could be sent.
pub(super) fn lines(map: Option<HeaderMap<'_>>) -> Result<Vec<Line<'_>>, InvalidResult> {
    let entries = match map {
        None => return Ok(Vec::new()),
        Some(Found::It(entries)) => entries,
        Some(Found::Other(kind)) => {
            let reason = format!("headers is {kind}, it must be an object");
            return Err(InvalidResult::new(Rule::HeadersNotObject, reason));
        }
    };
    check_names(&entries.iter().map(|(Name(name), _)| &**name).collect::<Vec<_>>())?;
    let mut all = Vec::with_capacity(entries.len());
    for (Name(name), found) in entries {
        match found {
            Found::It(found) => {
                for (index, raw) in found.into_iter().enumerate() {
                    let (name, value) = line(&name, raw)?;
                    all.push(Line { name, value, index });
                }
            }
            Found::Other(kind) => {
                let reason = format!("header is {kind}, it must be an array");
                return Err(InvalidResult::new(Rule::HeaderNotArray, reason).header(&name));
            }
        }
    }
    Ok(all)
}

/// These lines as headers, unless they say the same as the visible ones of `sent`. Values a function
/// left alone get the bytes of `sent` back; others are UTF-8. The order of different names does not
/// count: a JSON object may lose it.
pub(super) fn changed(lines: Vec<Line<'_>>, sent: &Headers) -> Option<Headers> {
    let mut returned = Headers::new();
    for Line { name, value, index } in lines {
        let bytes = unchanged(sent, &name, index, &value).unwrap_or_else(|| Bytes::from(value.into_owned()));
        returned.push(name.into_owned(), bytes);
    }
    (by_name(&returned) != by_name(sent)).then_some(returned)
}

/// Whether these are the visible lines of `sent`, in their order.
fn is_as_sent(lines: &[Line<'_>], sent: &Headers) -> bool {
    let mut left = lines.iter();
    let same =
        |sent: &HeaderLine| left.next().is_some_and(|line| *line.name == *sent.name && line.value == text(&sent.value));
    sent.visible().all(same) && left.next().is_none()
}

/// No read-only header of this event was added, changed or deleted. Names and
/// values count, the case of `key` does not.
fn check_read_only(event: EventType, sent: &Headers, lines: &[Line<'_>]) -> Result<(), InvalidResult> {
    for name in read_only(event) {
        let mut returned = lines.iter().filter(|line| line.name.eq_ignore_ascii_case(name)).map(|line| &*line.value);
        if sent.values(name).map(|value| text(value)).eq(returned.clone()) {
            continue;
        }
        let value = returned.next();
        let act = match (sent.contains(name), value) {
            (false, _) => "added",
            (true, None) => "deleted",
            (true, Some(_)) => "changed",
        };
        let reason = format!("a read-only header was {act}: functions of {event} must leave it");
        let value = value.map(str::to_owned);
        return Err(InvalidResult { value, ..InvalidResult::new(Rule::HeaderReadOnly, reason).header(name) });
    }
    let returned = lines.iter().any(|line| line.name.eq_ignore_ascii_case(COUNTRY));
    if event == EventType::ViewerRequest && returned && !sent.contains(COUNTRY) {
        let reason = "functions of viewer-request must not add this header";
        return Err(InvalidResult::new(Rule::HeaderDisallowed, reason).header(COUNTRY));
    }
    Ok(())
}

fn line<'a>(name: &str, found: Found<RawLine<'a>>) -> Result<(Cow<'a, str>, Cow<'a, str>), InvalidResult> {
    let invalid = |rule, reason: &str| InvalidResult::new(rule, reason).header(name);
    let fields = match found {
        Found::It(fields) => fields,
        Found::Other(kind) => {
            let reason = format!("header has an entry that is {kind}, it must be an object");
            return Err(invalid(Rule::HeaderEntryInvalid, &reason));
        }
    };
    let key = match fields.key {
        None => Cow::Owned(capitalised(name)),
        Some(key) => json::string(key)
            .ok_or_else(|| invalid(Rule::HeaderEntryInvalid, "key must be a string").value(key.get()))?,
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
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        let reason = "value must not have line breaks, NUL or other control characters";
        return Err(invalid(Rule::HeaderValueInvalid, reason).value(&value));
    }
    Ok((key, value))
}

/// Each is an HTTP token (RFC 9110 5.6.2), and none is there twice.
fn check_names(names: &[&str]) -> Result<(), InvalidResult> {
    let is_token = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || TOKEN_PUNCTUATION.contains(&byte))
    };
    if let Some(name) = names.iter().find(|name| !is_token(name)) {
        return Err(InvalidResult::new(Rule::HeaderNameInvalid, "name is not an HTTP token").header(name));
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable_by(|a, b| lower(a).cmp(lower(b)));
    match sorted.windows(2).find(|pair| pair[0].eq_ignore_ascii_case(pair[1])) {
        None => Ok(()),
        Some(pair) => {
            let reason = "header is in the map more than once, in any case";
            Err(InvalidResult::new(Rule::HeaderNameDuplicated, reason).header(pair[0]))
        }
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

const COUNTRY: &str = "cloudfront-viewer-country";
const TOKEN_PUNCTUATION: &[u8] = b"!#$%&'*+-.^_`|~";
/// What `http` holds.
const NAME_BYTES_MAX: usize = 65_535;
