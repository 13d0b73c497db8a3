//! Tags of distributions.

use super::distribution::{existing, text};
use super::distribution_arn;
use super::shapes::{TAG_KEYS, TAGS};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::Kind;
use crate::xml;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// ListTagsForResource.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let id = resource(request)?;
    let found = plane.store.read(|records| existing(records, &id).map_err(|_| none()))?;
    let tags: Vec<Value> = found.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut content = String::new();
    let super::shape::Shape::Struct([items]) = TAGS else { return Err(none()) };
    items.shape.write(&mut content, items.name, &Value::Array(tags));
    if found.tags.is_empty() {
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
    let id = resource(request)?;
    plane.store.write(|records| {
        let mut found = existing(records, &id).map_err(|_| none())?;
        work(&mut found.tags);
        if found.tags.len() > TAGS_MAX {
            let message = format!("there are {} tags, at most {TAGS_MAX} are allowed", found.tags.len());
            return Err(ApiError::new(Code::INVALID_TAGGING, message));
        }
        records.put(Kind::Distribution, "", &id, &found)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// The id in the ARN of the query.
fn resource(request: &Request) -> Result<String, ApiError> {
    let id = request.query("Resource").and_then(|arn| arn.strip_prefix(distribution_arn("").as_str()));
    id.map(str::to_owned).ok_or_else(none)
}

fn none() -> ApiError {
    ApiError::new(Code::NO_SUCH_RESOURCE, "The specified resource does not exist.")
}

/// AWS: "Tagging Amazon CloudFront distributions".
const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
