//! Tags of functions.

use super::names::{Named, invalid};
use super::record::Function;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::plane::Plane;
use crate::request::Request;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tags {
    tags: BTreeMap<String, String>,
}

/// ListTags.
pub(super) fn list(plane: &Plane, resource: &str) -> Result<Answer, ApiError> {
    let name = function(resource)?;
    let function = plane.store.read(|records| Function::find(records, &name))?;
    Answer::json(StatusCode::OK, &json!({ "Tags": function.tags }))
}

/// TagResource.
pub(super) fn tag(plane: &Plane, resource: &str, request: &Request) -> Result<Answer, ApiError> {
    let name = function(resource)?;
    let Tags { tags } = request.json()?;
    change(plane, &name, |all| {
        all.extend(tags);
        check(all)
    })
}

/// UntagResource.
pub(super) fn untag(plane: &Plane, resource: &str, request: &Request) -> Result<Answer, ApiError> {
    let name = function(resource)?;
    let keys = request.query_all("tagKeys");
    if keys.is_empty() {
        return Err(invalid("tagKeys is missing"));
    }
    change(plane, &name, |all| {
        all.retain(|key, _| !keys.contains(key));
        Ok(())
    })
}

/// AWS: "Use tags on Lambda functions".
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!("there are {} tags, at most {TAGS_MAX} are allowed", tags.len())));
    }
    for (key, value) in tags {
        let (length, value_length) = (key.chars().count(), value.chars().count());
        if !(1..=KEY_MAX).contains(&length) || value_length > VALUE_MAX || key.starts_with("aws:") {
            let rule = format!("keys have 1 to {KEY_MAX} characters, values at most {VALUE_MAX}, and aws: is AWS's");
            return Err(invalid(format!("tag {key:?}: {rule}")));
        }
    }
    Ok(())
}

fn change(
    plane: &Plane,
    name: &str,
    work: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    plane.store.write(|records| {
        let mut function = Function::find(records, name)?;
        work(&mut function.tags)?;
        function.put(records, name)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn function(resource: &str) -> Result<String, ApiError> {
    match Named::parse(resource)? {
        Named { name, qualifier: None } => Ok(name),
        _ => Err(invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")),
    }
}

const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
