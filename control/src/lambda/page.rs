//! Pages of a list: `Marker` and `MaxItems` in, `NextMarker` out.

use super::names::invalid;
use crate::error::ApiError;
use crate::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The page of `items`, which are in order of their keys, as members `list` and `NextMarker`.
pub(super) fn page(request: &Request, list: &str, items: Vec<(String, Value)>) -> Result<Value, ApiError> {
    let max = match request.query("MaxItems") {
        None => PAGE_MAX,
        Some(text) => match text.parse::<usize>() {
            Ok(max) if (1..=MAX_ITEMS_MAX).contains(&max) => max.min(PAGE_MAX),
            _ => return Err(invalid(format!("MaxItems is {text:?}, it must be 1 to {MAX_ITEMS_MAX}"))),
        },
    };
    let after = match request.query("Marker").filter(|marker| !marker.is_empty()) {
        None => None,
        Some(marker) => {
            let decoded = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(decoded.ok_or_else(|| invalid("Marker is none that this edge gave"))?)
        }
    };
    let rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let mut rest: Vec<(String, Value)> = rest.collect();
    let mut members = Map::new();
    if rest.len() > max {
        rest.truncate(max);
        let last = rest.last().map(|(key, _)| URL_SAFE_NO_PAD.encode(key)).unwrap_or_default();
        members.insert("NextMarker".into(), Value::String(last));
    }
    members.insert(list.into(), rest.into_iter().map(|(_, value)| value).collect());
    Ok(Value::Object(members))
}

/// AWS: "ListFunctions".
const PAGE_MAX: usize = 50;
const MAX_ITEMS_MAX: usize = 10_000;
