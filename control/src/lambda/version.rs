//! Published versions: numbered, immutable, never the same number twice.

use super::names::{LATEST, Named};
use super::page::page;
use super::record::{Function, Stamp, Version, code_sha256, configuration, expect_revision, padded, unpadded};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Publish {
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

/// PublishVersion.
pub(super) fn publish(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let publish: Publish = request.json()?;
    let value = plane.store.write(|records| {
        let function = Function::find(records, &name)?;
        expect_revision(&function.stamp.revision, publish.revision_id.as_deref())?;
        let now = code_sha256(&function.settings.code.digest);
        if publish.code_sha256.as_ref().is_some_and(|expected| *expected != now) {
            let message = format!("CodeSHA256 ({now}) is different from current CodeSHA256 in $LATEST");
            return Err(ApiError::new(Code::PRECONDITION, message));
        }
        publish_in(records, &name, publish.description)
    })?;
    Answer::json(StatusCode::CREATED, &value)
}

/// Makes a version of what `$LATEST` is now; the last one when that was the same.
pub(super) fn publish_in(records: &Records<'_>, name: &str, description: Option<String>) -> Result<Value, ApiError> {
    let mut function = Function::find(records, name)?;
    let last = records.list::<Version>(Kind::Version, name)?.pop();
    if let Some((id, last)) = last.filter(|(_, last)| last.from == function.settings) {
        return Ok(configuration(name, unpadded(&id), true, (&last.settings, &last.stamp)));
    }
    let number = records.next_number(&format!("version of {name}"))?.to_string();
    let from = function.settings.clone();
    let mut settings = from.clone();
    if let Some(description) = description {
        settings.description = description;
    }
    let version = Version { settings, from, stamp: Stamp::now() };
    records.put(Kind::Version, name, &padded(&number), &version)?;
    function.stamp.revision = Stamp::now().revision;
    function.put(records, name)?;
    Ok(configuration(name, &number, true, (&version.settings, &version.stamp)))
}

/// ListVersionsByFunction.
pub(super) fn list(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let items = plane.store.read(|records| {
        let function = Function::find(records, &name)?;
        let latest = configuration(&name, LATEST, true, (&function.settings, &function.stamp));
        let mut items = vec![(String::new(), latest)];
        for (id, version) in records.list::<Version>(Kind::Version, &name)? {
            let shown = configuration(&name, unpadded(&id), true, (&version.settings, &version.stamp));
            items.push((id, shown));
        }
        Ok(items)
    })?;
    Answer::json(StatusCode::OK, &page(request, "Versions", items)?)
}
