//! Tags of distributions and of key value stores.

use super::distribution::{Distribution, existing, text};
use super::shapes::{TAG_KEYS, TAGS};
use super::{distribution_arn, key_value_store_arn};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::key_values::KeyValueStore;
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// ListTagsForResource.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let tagged = Tagged::parse(request)?;
    let found = plane.store.read(|records| tagged.tags(records))?;
    let tags: Vec<Value> = found.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut content = String::new();
    let super::shape::Shape::Struct([items]) = TAGS else { return Err(none()) };
    items.shape.write(&mut content, items.name, &Value::Array(tags));
    if found.is_empty() {
        content.push_str("<Items/>");
    }
    Ok(Answer::xml(StatusCode::OK, xml::document("Tags", &content)))
}

/// TagResource.
pub(super) fn tag(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let given = read(&super::distribution::read(&TAGS, "Tags", request)?)?;
    change(plane, request, |tags| tags.extend(given))
}

/// UntagResource.
pub(super) fn untag(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let given = super::distribution::read(&TAG_KEYS, "TagKeys", request)?;
    let keys: Vec<&str> = given["Items"].as_array().into_iter().flatten().map(text).collect();
    change(plane, request, |tags| tags.retain(|key, _| !keys.contains(&key.as_str())))
}

/// The tags of a Tags structure.
pub(super) fn read(tags: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut read = BTreeMap::new();
    for tag in tags["Items"].as_array().into_iter().flatten() {
        let (key, value) = (text(&tag["Key"]), text(&tag["Value"]));
        if key.is_empty() || key.chars().count() > KEY_MAX || value.chars().count() > VALUE_MAX {
            let rule = format!("keys have 1 to {KEY_MAX} characters, values at most {VALUE_MAX}");
            return Err(ApiError::new(Code::INVALID_TAGGING, format!("tag {key:?}: {rule}")));
        }
        read.insert(key.to_owned(), value.to_owned());
    }
    Ok(read)
}

fn change(
    plane: &Plane,
    request: &Request,
    work: impl FnOnce(&mut BTreeMap<String, String>),
) -> Result<Answer, ApiError> {
    let tagged = Tagged::parse(request)?;
    plane.store.write(|records| {
        let mut tags = tagged.tags(records)?;
        work(&mut tags);
        if tags.len() > TAGS_MAX {
            let message = format!("there are {} tags, at most {TAGS_MAX} are allowed", tags.len());
            return Err(ApiError::new(Code::INVALID_TAGGING, message));
        }
        tagged.put(records, tags)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// What can have tags, by its id.
enum Tagged {
    Distribution(String),
    KeyValueStore(String),
}

impl Tagged {
    /// Of the ARN in the query.
    fn parse(request: &Request) -> Result<Tagged, ApiError> {
        let arn = request.query("Resource").unwrap_or_default();
        let id_of = |prefix: String| arn.strip_prefix(prefix.as_str()).map(str::to_owned);
        let store = || id_of(key_value_store_arn("")).map(Tagged::KeyValueStore);
        id_of(distribution_arn("")).map(Tagged::Distribution).or_else(store).ok_or_else(none)
    }

    fn tags(&self, records: &Records<'_>) -> Result<BTreeMap<String, String>, ApiError> {
        match self {
            Tagged::Distribution(id) => Ok(existing(records, id).map_err(|_| none())?.tags),
            Tagged::KeyValueStore(id) => Ok(KeyValueStore::by_id(records, id)?.ok_or_else(none)?.1.tags),
        }
    }

    fn put(&self, records: &Records<'_>, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
        match self {
            Tagged::Distribution(id) => {
                let found = Distribution { tags, ..existing(records, id)? };
                records.put(Kind::Distribution, "", id, &found)
            }
            Tagged::KeyValueStore(id) => {
                let (name, found) = KeyValueStore::by_id(records, id)?.ok_or_else(none)?;
                KeyValueStore { tags, ..found }.put(records, &name)
            }
        }
    }
}

fn none() -> ApiError {
    ApiError::new(Code::NO_SUCH_RESOURCE, "The specified resource does not exist.")
}

/// AWS: "Tagging Amazon CloudFront distributions".
const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
