//! Reads a result's JSON field by field, without a tree: a field nobody asks
//! for is skipped, whatever its size or depth. `header_lines` reads the rest.

use super::header_lines::HeaderMap;
use super::{InvalidResult, Rule};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The fields of a result that mean something, still as JSON.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawResult<'a> {
    #[serde(borrow, default, deserialize_with = "present", rename = "Records")]
    pub(super) records: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) status_description: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) headers: Option<HeaderMap<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) body: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) body_encoding: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) client_ip: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) uri: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) querystring: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) origin: Option<&'a RawValue>,
}

/// The fields of a result, which must be a JSON object.
pub(super) fn result(json: &[u8]) -> Result<RawResult<'_>, InvalidResult> {
    let not_parsable = |text: String| InvalidResult::new(Rule::NotParsable, text);
    let text = std::str::from_utf8(json).map_err(|error| not_parsable(format!("result is not UTF-8: {error}")))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| not_parsable(format!("result is not JSON: {error}")));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_parsable(format!("result is not JSON: {error}")))?;
    let text = text.trim();
    let reason = if text == "null" {
        "result is null: the handler returned nothing, it must return an object".to_owned()
    } else {
        format!("result is {}, it must be an object", kind(text))
    };
    Err(InvalidResult::new(Rule::NotAnObject, reason).value(text))
}

/// A JSON string; `None` for anything else, or when it is not Unicode.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if quoted.as_bytes().contains(&b'\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(quoted))
}

/// A JSON number that is whole and not negative.
pub(super) fn number(raw: &RawValue) -> Option<u64> {
    serde_json::from_str(raw.get()).ok()
}

/// The entries of a JSON object in order, repeated keys included; `None` for anything else.
pub(super) fn entries(raw: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Entries<'_>>(raw.get()).ok().map(|entries| entries.0)
}

/// What a JSON value is, for messages.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A field that is there, even when it is `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(InOrder).map(Entries)
    }
}
