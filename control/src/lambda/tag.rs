//! Tags of functions and of code signing configurations.

use super::names::{Named, invalid};
use super::record::Function;
use super::{code, code_signing, stores};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::Records;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tags {
    tags: BTreeMap<String, String>,
}

/// What can have tags.
enum Tagged {
    Function(String),
    CodeSigningConfig(String),
}

/// What a change of tags changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Record,
    /// How the function runs, too.
    Edge,
}

impl Reach {
    fn of(names_stores: bool) -> Reach {
        if names_stores { Reach::Edge } else { Reach::Record }
    }
}

/// ListTags.
pub(super) fn list(plane: &Plane, resource: &str) -> Result<Answer, ApiError> {
    let tagged = Tagged::parse(resource)?;
    let tags = plane.store.read(|records| tagged.tags(records))?;
    Answer::json(StatusCode::OK, &json!({ "Tags": tags }))
}

/// TagResource.
pub(super) fn tag(plane: &Plane, resource: &str, request: &Request) -> Result<Answer, ApiError> {
    let tagged = Tagged::parse(resource)?;
    let Tags { tags } = request.json()?;
    let reach = Reach::of(tags.contains_key(stores::TAG));
    tagged.change(plane, reach, |all| {
        all.extend(tags);
        check(all)
    })
}

/// UntagResource.
pub(super) fn untag(plane: &Plane, resource: &str, request: &Request) -> Result<Answer, ApiError> {
    let tagged = Tagged::parse(resource)?;
    let keys = request.query_all("tagKeys");
    if keys.is_empty() {
        return Err(invalid("tagKeys is missing"));
    }
    let reach = Reach::of(keys.iter().any(|key| key == stores::TAG));
    tagged.change(plane, reach, |all| {
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

impl Tagged {
    fn parse(resource: &str) -> Result<Tagged, ApiError> {
        if code_signing::is_arn(resource) {
            return Ok(Tagged::CodeSigningConfig(resource.to_owned()));
        }
        match Named::parse(resource)? {
            Named { name, qualifier: None } => Ok(Tagged::Function(name)),
            _ => {
                let message = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
                Err(invalid(message))
            }
        }
    }

    fn tags(&self, records: &Records<'_>) -> Result<BTreeMap<String, String>, ApiError> {
        match self {
            Tagged::Function(name) => Ok(Function::find(records, name)?.tags),
            Tagged::CodeSigningConfig(arn) => code_signing::tags(records, arn),
        }
    }

    fn change(
        &self,
        plane: &Plane,
        reach: Reach,
        work: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
    ) -> Result<Answer, ApiError> {
        let change = |records: &Records<'_>| {
            let mut tags = self.tags(records)?;
            work(&mut tags)?;
            match (self, reach) {
                (Tagged::Function(name), _) => {
                    let function = Function { tags, ..Function::find(records, name)? };
                    if reach == Reach::Edge {
                        code::check(plane, records, name, (&function.settings, &function.tags))?;
                    }
                    function.put(records, name)
                }
                (Tagged::CodeSigningConfig(_), Reach::Edge) => {
                    Err(invalid(format!("tag {} is of functions only", stores::TAG)))
                }
                (Tagged::CodeSigningConfig(arn), Reach::Record) => code_signing::put_tags(records, arn, tags),
            }
        };
        match reach {
            Reach::Record => plane.store.write(change)?,
            Reach::Edge => {
                plane.change(Code::INVALID_PARAMETER, change)?;
                plane.runner.look_again();
            }
        }
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }
}

const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
