//! Aliases: names for a version, or for two with a weight.

use super::names::{LATEST, Named, arn, invalid, is_alias, is_number};
use super::page::page;
use super::record::{Function, Stamp, expect_revision, not_found, version};
use super::url_config;
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use http::StatusCode;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an alias stands for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Alias {
    version: String,
    description: String,
    /// Shares of other versions, at most one.
    weights: BTreeMap<String, f64>,
    revision: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<Routing>,
    revision_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Routing {
    additional_version_weights: Option<BTreeMap<String, f64>>,
}

impl Alias {
    fn shown(&self, function: &str, name: &str) -> Value {
        let mut value = json!({
            "AliasArn": arn(function, Some(name)),
            "Name": name,
            "FunctionVersion": self.version,
            "Description": self.description,
            "RevisionId": self.revision,
        });
        if !self.weights.is_empty() {
            value["RoutingConfig"] = json!({ "AdditionalVersionWeights": self.weights });
        }
        value
    }

    fn check(&self, records: &Records<'_>, function: &str) -> Result<(), ApiError> {
        version(records, function, &self.version)?;
        if self.weights.len() > 1 {
            return Err(invalid("AdditionalVersionWeights names more than one version"));
        }
        for (other, weight) in &self.weights {
            if !(0.0..=1.0).contains(weight) {
                return Err(invalid(format!("the weight of version {other} is {weight}, it must be 0.0 to 1.0")));
            }
            if *other == self.version || !is_number(other) || !is_number(&self.version) {
                return Err(invalid("an alias with weights points to two different published versions"));
            }
            version(records, function, other)?;
        }
        Ok(())
    }
}

/// CreateAlias.
pub(super) fn create(plane: &Plane, function: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name: function, .. } = Named::parse(function)?;
    let wanted: Wanted = request.json()?;
    let name = wanted.name.ok_or_else(|| invalid("Name is missing"))?;
    if !is_alias(&name) {
        return Err(invalid(format!("alias {name:?} must be letters, digits, - and _, and no number")));
    }
    let version = wanted.function_version.ok_or_else(|| invalid("FunctionVersion is missing"))?;
    let alias = Alias {
        version,
        description: wanted.description.unwrap_or_default(),
        weights: wanted.routing_config.and_then(|routing| routing.additional_version_weights).unwrap_or_default(),
        revision: Stamp::now().revision,
    };
    plane.store.write(|records| {
        Function::find(records, &function)?;
        if records.find::<Alias>(Kind::Alias, &function, &name)?.is_some() {
            let message = format!("Alias already exists: {}", arn(&function, Some(&name)));
            return Err(ApiError::new(Code::CONFLICT, message));
        }
        alias.check(records, &function)?;
        records.put(Kind::Alias, &function, &name, &alias)
    })?;
    Answer::json(StatusCode::CREATED, &alias.shown(&function, &name))
}

/// GetAlias.
pub(super) fn find(plane: &Plane, function: &str, name: &str) -> Result<Answer, ApiError> {
    let Named { name: function, .. } = Named::parse(function)?;
    let alias = plane.store.read(|records| existing(records, &function, name))?;
    Answer::json(StatusCode::OK, &alias.shown(&function, name))
}

/// UpdateAlias.
pub(super) fn update(plane: &Plane, function: &str, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name: function, .. } = Named::parse(function)?;
    let wanted: Wanted = request.json()?;
    // Environments may be provisioned of the versions that it means.
    let alias = plane.change(Code::CONFLICT, |records| {
        let mut alias = existing(records, &function, name)?;
        expect_revision(&alias.revision, wanted.revision_id.as_deref())?;
        alias.version = wanted.function_version.unwrap_or(alias.version);
        alias.description = wanted.description.unwrap_or(alias.description);
        if let Some(routing) = wanted.routing_config {
            alias.weights = routing.additional_version_weights.unwrap_or_default();
        }
        alias.check(records, &function)?;
        alias.revision = Stamp::now().revision;
        records.put(Kind::Alias, &function, name, &alias)?;
        Ok(alias)
    })?;
    plane.runner.look_again();
    Answer::json(StatusCode::OK, &alias.shown(&function, name))
}

/// DeleteAlias.
pub(super) fn delete(plane: &Plane, function: &str, name: &str) -> Result<Answer, ApiError> {
    let Named { name: function, .. } = Named::parse(function)?;
    plane.change(Code::CONFLICT, |records| {
        Function::find(records, &function)?;
        records.remove(Kind::Provisioned, &function, name)?;
        url_config::remove_all(records, &function, Some(name))?;
        records.remove(Kind::Alias, &function, name)
    })?;
    plane.runner.look_again();
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListAliases.
pub(super) fn list(plane: &Plane, function: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name: function, .. } = Named::parse(function)?;
    let version = request.query("FunctionVersion").filter(|version| !version.is_empty());
    let items = plane.store.read(|records| {
        Function::find(records, &function)?;
        let all = records.list::<Alias>(Kind::Alias, &function)?;
        let wanted = all.into_iter().filter(|(_, alias)| {
            version.is_none_or(|version| alias.version == version || alias.weights.contains_key(version))
        });
        Ok(wanted.map(|(name, alias)| (name.clone(), alias.shown(&function, &name))).collect())
    })?;
    Answer::json(StatusCode::OK, &page(request, "Aliases", items)?)
}

/// The version that a qualifier means, without regard to weights.
pub(super) fn main_version(records: &Records<'_>, function: &str, qualifier: &str) -> Result<String, ApiError> {
    if qualifier == LATEST || is_number(qualifier) {
        return Ok(qualifier.to_owned());
    }
    existing(records, function, qualifier).map(|alias| alias.version).map_err(|_| not_found(function, Some(qualifier)))
}

/// The version that runs for one invocation of a qualifier.
pub(super) fn chosen_version(records: &Records<'_>, function: &str, qualifier: &str) -> Result<String, ApiError> {
    if qualifier == LATEST || is_number(qualifier) {
        return Ok(qualifier.to_owned());
    }
    let alias = existing(records, function, qualifier).map_err(|_| not_found(function, Some(qualifier)))?;
    let other = alias.weights.into_iter().find(|(_, weight)| rand::rng().random::<f64>() < *weight);
    Ok(other.map_or(alias.version, |(version, _)| version))
}

/// How `total` environments are shared out among the versions that a qualifier means.
pub(super) fn shares(
    records: &Records<'_>,
    function: &str,
    qualifier: &str,
    total: u32,
) -> Result<Vec<(String, u32)>, ApiError> {
    if is_number(qualifier) {
        return Ok(vec![(qualifier.to_owned(), total)]);
    }
    let alias = existing(records, function, qualifier).map_err(|_| not_found(function, Some(qualifier)))?;
    let Some((other, weight)) = alias.weights.into_iter().next() else { return Ok(vec![(alias.version, total)]) };
    #[expect(clippy::cast_possible_truncation, reason = "a share of a whole number, rounded up")]
    let share = (f64::from(total) * weight).ceil() as u32;
    Ok(vec![(alias.version, total.saturating_sub(share)), (other, share)])
}

/// An alias that points to this version.
pub(super) fn pointing_to(records: &Records<'_>, function: &str, version: &str) -> Result<Option<String>, ApiError> {
    let all = records.list::<Alias>(Kind::Alias, function)?;
    let mut pointing = all.into_iter().filter(|(_, a)| a.version == version || a.weights.contains_key(version));
    Ok(pointing.next().map(|(name, _)| name))
}

fn existing(records: &Records<'_>, function: &str, name: &str) -> Result<Alias, ApiError> {
    let found = records.find(Kind::Alias, function, name)?;
    found.ok_or_else(|| ApiError::new(Code::NOT_FOUND, format!("Cannot find alias arn: {}", arn(function, Some(name)))))
}
