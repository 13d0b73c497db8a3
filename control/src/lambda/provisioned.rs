//! Provisioned concurrency: environments of a version that are there before anybody asks,
//! said of the version or of an alias (AWS: "PutProvisionedConcurrencyConfig"). They are
//! made and kept by `functions`; `runner` has the functions that have some.

use super::alias;
use super::concurrency::expect_rest;
use super::names::{LATEST, Named, arn, invalid, is_number};
use super::page::page;
use super::record::{Function, Settings, Stamp, Version, unpadded, version};
use super::stores;
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use functions::StoreName;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is made ready of a version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Runnable {
    pub(crate) settings: Settings,
    /// How many environments wait for invocations.
    pub(crate) provisioned: u32,
    /// What its handlers may read.
    pub(crate) stores: Vec<StoreName>,
}

/// What was said of a version or an alias.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Config {
    requested: u32,
    modified: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    provisioned_concurrent_executions: u32,
}

/// PutProvisionedConcurrencyConfig. Environments are made while requests go on; the edge
/// has the function as it is to be when this returns.
pub(super) async fn put(plane: &Arc<Plane>, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let (named, qualifier) = qualified(name, request)?;
    let Put { provisioned_concurrent_executions: requested } = request.json()?;
    if requested == 0 {
        return Err(invalid("ProvisionedConcurrentExecutions must be at least 1"));
    }
    let config = Config { requested, modified: Stamp::now().modified };
    let on = Arc::new((named, qualifier, config));
    let (reads, wanted) = (Arc::clone(plane), Arc::clone(&on));
    // Nothing that is written while reading is kept: this says what would follow.
    let follows = tokio::task::spawn_blocking(move || {
        reads.store.read(|records| {
            write(&reads, records, &wanted)?;
            runnables(records, &wanted.0.name, &wanted.1)
        })
    });
    // Their templates are there before the edge turns to them.
    for (number, runnable) in follows.await.map_err(|error| ApiError::of_ours(&error))?? {
        plane.runner.function(plane, (&on.0.name, &number), runnable).await?;
    }
    let (changes, wanted) = (Arc::clone(plane), Arc::clone(&on));
    let changed = tokio::task::spawn_blocking(move || {
        let changed = changes.change(Code::INVALID_PARAMETER, |records| {
            write(&changes, records, &wanted)?;
            shown(&changes, records, (&wanted.0.name, &wanted.1), &wanted.2)
        });
        changes.runner.look_again();
        changed
    });
    let value = changed.await.map_err(|error| ApiError::of_ours(&error))??;
    Answer::json(StatusCode::ACCEPTED, &value)
}

/// GetProvisionedConcurrencyConfig.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let (Named { name, .. }, qualifier) = qualified(name, request)?;
    let value = plane.store.read(|records| {
        expect_version(records, &name, &qualifier)?;
        let config: Option<Config> = records.find(Kind::Provisioned, &name, &qualifier)?;
        shown(plane, records, (&name, &qualifier), &config.ok_or_else(none)?)
    })?;
    Answer::json(StatusCode::OK, &value)
}

/// DeleteProvisionedConcurrencyConfig.
pub(super) fn delete(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let (Named { name, .. }, qualifier) = qualified(name, request)?;
    plane.change(Code::CONFLICT, |records| {
        expect_version(records, &name, &qualifier)?;
        records.remove(Kind::Provisioned, &name, &qualifier)?.then_some(()).ok_or_else(none)
    })?;
    plane.runner.look_again();
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListProvisionedConcurrencyConfigs.
pub(super) fn list(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let items = plane.store.read(|records| {
        Function::find(records, &name)?;
        let mut items = Vec::new();
        for (qualifier, config) in records.list::<Config>(Kind::Provisioned, &name)? {
            let mut value = shown(plane, records, (&name, &qualifier), &config)?;
            value["FunctionArn"] = arn(&name, Some(&qualifier)).into();
            items.push((qualifier, value));
        }
        Ok(items)
    })?;
    Answer::json(StatusCode::OK, &page(request, "ProvisionedConcurrencyConfigs", items)?)
}

/// The version with what is provisioned of it, directly and through aliases.
pub(crate) fn runnable(records: &Records<'_>, name: &str, number: &str) -> Result<Runnable, ApiError> {
    let (settings, _) = version(records, name, number)?;
    let mut provisioned = 0;
    for (qualifier, config) in records.list::<Config>(Kind::Provisioned, name)? {
        let shares = alias::shares(records, name, &qualifier, config.requested)?;
        provisioned += shares.iter().filter(|(of, _)| of == number).map(|(_, share)| share).sum::<u32>();
    }
    let stores = stores::of_tags(records, &Function::find(records, name)?.tags)?;
    Ok(Runnable { settings, provisioned, stores })
}

/// A function's name and the number of one of its versions.
pub(super) type Numbered = (String, String);

/// Every version of every function of which environments are provisioned.
pub(super) fn wanted(records: &Records<'_>) -> Result<Vec<(Numbered, Runnable)>, ApiError> {
    let mut wanted = Vec::new();
    for (name, _) in records.list::<Function>(Kind::Function, "")? {
        if records.list::<Config>(Kind::Provisioned, &name)?.is_empty() {
            continue;
        }
        for (id, _) in records.list::<Version>(Kind::Version, &name)? {
            let number = unpadded(&id).to_owned();
            let runnable = runnable(records, &name, &number)?;
            if runnable.provisioned > 0 {
                wanted.push(((name.clone(), number), runnable));
            }
        }
    }
    Ok(wanted)
}

/// How many environments of a function are provisioned.
pub(super) fn of_function(records: &Records<'_>, name: &str) -> Result<u32, ApiError> {
    Ok(records.list::<Config>(Kind::Provisioned, name)?.iter().map(|(_, config)| config.requested).sum())
}

/// Whether the edge would be asked for no more than it may give.
fn write(
    plane: &Plane,
    records: &Records<'_>,
    (named, qualifier, config): &(Named, String, Config),
) -> Result<(), ApiError> {
    let name = &named.name;
    let function = Function::find(records, name)?;
    expect_version(records, name, qualifier)?;
    for (other, _) in records.list::<Config>(Kind::Provisioned, name)? {
        if is_number(&other) != is_number(qualifier) && overlap(records, name, &other, qualifier)? {
            let message = "cannot be used for Provisioned Concurrency configuration on an already provisioned version";
            return Err(invalid(format!("{qualifier} {message}: {other} has some already")));
        }
    }
    records.put(Kind::Provisioned, name, qualifier, config)?;
    let all = of_function(records, name)?;
    match function.reserved {
        Some(reserved) if all > reserved => {
            let message = "Requested Provisioned Concurrency should not be greater than the \
                           reservedConcurrentExecution for function";
            Err(invalid(format!("{message}: {all} of {reserved}")))
        }
        _ => expect_rest(plane, records),
    }
}

/// Whether a version and an alias mean the same version.
fn overlap(records: &Records<'_>, name: &str, one: &str, other: &str) -> Result<bool, ApiError> {
    let versions = |qualifier: &str| alias::shares(records, name, qualifier, 1);
    let (ones, others) = (versions(one)?, versions(other)?);
    Ok(ones.iter().any(|(version, _)| others.iter().any(|(other, _)| version == other)))
}

/// The versions that a qualifier means, as they would run.
fn runnables(records: &Records<'_>, name: &str, qualifier: &str) -> Result<Vec<(String, Runnable)>, ApiError> {
    let shares = alias::shares(records, name, qualifier, 1)?;
    shares.into_iter().map(|(number, _)| Ok((number.clone(), runnable(records, name, &number)?))).collect()
}

fn shown(
    plane: &Plane,
    records: &Records<'_>,
    (name, qualifier): (&str, &str),
    config: &Config,
) -> Result<Value, ApiError> {
    let (mut ready, mut failed) = (0, None);
    for (number, share) in alias::shares(records, name, qualifier, config.requested)? {
        let Some(progress) = plane.runner.provisioned(name, &number) else { continue };
        ready += share.min(u32::try_from(progress.ready).unwrap_or(u32::MAX));
        failed = failed.or(progress.failed);
    }
    let status = match failed {
        _ if ready >= config.requested => "READY",
        Some(_) => "FAILED",
        None => "IN_PROGRESS",
    };
    let mut value = json!({
        "RequestedProvisionedConcurrentExecutions": config.requested,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "AvailableProvisionedConcurrentExecutions": ready,
        "Status": status,
        "LastModified": config.modified,
    });
    if let (Some(reason), "FAILED") = (failed, status) {
        value["StatusReason"] = reason.into();
    }
    Ok(value)
}

fn qualified(name: &str, request: &Request) -> Result<(Named, String), ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    match named.qualifier.clone() {
        None => Err(invalid("Qualifier is missing")),
        Some(qualifier) if qualifier == LATEST => {
            Err(invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions."))
        }
        Some(qualifier) => Ok((named, qualifier)),
    }
}

fn expect_version(records: &Records<'_>, name: &str, qualifier: &str) -> Result<(), ApiError> {
    let number = alias::main_version(records, name, qualifier)?;
    version(records, name, &number).map(drop)
}

fn none() -> ApiError {
    ApiError::new(Code::PROVISIONED_NOT_FOUND, "No Provisioned Concurrency Config found for this function")
}
