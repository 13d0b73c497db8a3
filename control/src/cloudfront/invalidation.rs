//! Invalidations: complete when the call returns.

use super::distribution::{existing, list_document, read, text};
use super::shapes::INVALIDATION;
use super::{now, random_id};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::Kind;
use crate::xml::{self, put};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Invalidation {
    /// An InvalidationBatch.
    batch: Value,
    created: String,
}

/// CreateInvalidation. The same batch with the same CallerReference is the earlier invalidation.
pub(super) fn create(plane: &Plane, distribution: &str, request: &Request) -> Result<Answer, ApiError> {
    let batch = read(&INVALIDATION, "InvalidationBatch", request)?;
    let all = plane.store.read(|records| {
        let found = existing(records, distribution)?;
        if found.config["Enabled"] != Value::Bool(true) {
            let message = format!("distribution {distribution} is disabled, nothing of it is served: enable it first");
            return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
        }
        records.list::<Invalidation>(Kind::Invalidation, distribution)
    })?;
    let earlier = all.iter().find(|(_, one)| one.batch["CallerReference"] == batch["CallerReference"]);
    let (id, invalidation) = match earlier {
        Some((id, earlier)) if earlier.batch == batch => (id.clone(), earlier.clone()),
        Some((id, _)) => {
            let message = format!("CallerReference {} was used for {id}", text(&batch["CallerReference"]));
            return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
        }
        None => {
            let paths = batch["Paths"]["Items"].as_array().into_iter().flatten().map(|path| text(path).to_owned());
            plane.orders.invalidate(distribution.to_owned(), paths.collect())?;
            let (id, invalidation) = (random_id('I'), Invalidation { batch, created: now() });
            plane.store.write(|records| records.put(Kind::Invalidation, distribution, &id, &invalidation))?;
            (id, invalidation)
        }
    };
    let location =
        format!("http://{}/{}/distribution/{distribution}/invalidation/{id}", request.host(), super::VERSION);
    let document = xml::document("Invalidation", &shown(&id, &invalidation));
    Ok(Answer::xml(StatusCode::CREATED, document).with("location", location))
}

/// GetInvalidation.
pub(super) fn find(plane: &Plane, distribution: &str, id: &str) -> Result<Answer, ApiError> {
    let found = plane.store.read(|records| {
        existing(records, distribution)?;
        records.find::<Invalidation>(Kind::Invalidation, distribution, id)
    })?;
    let missing = || ApiError::new(Code::NO_SUCH_INVALIDATION, "The specified invalidation does not exist.");
    let found = found.ok_or_else(missing)?;
    Ok(Answer::xml(StatusCode::OK, xml::document("Invalidation", &shown(id, &found))))
}

/// ListInvalidations.
pub(super) fn list(plane: &Plane, distribution: &str, request: &Request) -> Result<Answer, ApiError> {
    let all = plane.store.read(|records| {
        existing(records, distribution)?;
        records.list::<Invalidation>(Kind::Invalidation, distribution)
    })?;
    let items = all.into_iter().map(|(id, one)| {
        let mut out = String::new();
        put(&mut out, "Id", &id);
        put(&mut out, "CreateTime", &one.created);
        put(&mut out, "Status", "Completed");
        (id, out)
    });
    list_document(request, "InvalidationList", "InvalidationSummary", items.collect())
}

fn shown(id: &str, invalidation: &Invalidation) -> String {
    let mut out = String::new();
    put(&mut out, "Id", id);
    put(&mut out, "Status", "Completed");
    put(&mut out, "CreateTime", &invalidation.created);
    INVALIDATION.write(&mut out, "InvalidationBatch", &invalidation.batch);
    out
}
