//! Functions themselves: create, get, list, configure and delete.

use super::code::{self, Upload};
use super::names::{LATEST, Named, arn, invalid};
use super::page::page;
use super::record::{Function, Settings, Stamp, Version, configuration, not_found, padded, unpadded, version};
use super::settings::Wanted;
use super::{alias, code_signing, concurrency, layer, tag, url_config};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    function_name: Option<String>,
    #[serde(default)]
    code: Upload,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    code_signing_config_arn: Option<String>,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Update {
    revision_id: Option<String>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// CreateFunction.
pub(super) fn create(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let mut create: Create = request.json()?;
    let name = create.function_name.ok_or_else(|| invalid("FunctionName is missing"))?;
    let Named { name, qualifier: None } = Named::parse(&name)? else {
        return Err(invalid(format!("{name}: a new function has no qualifier")));
    };
    tag::check(&create.tags)?;
    let _guard = plane.uploading();
    let uploaded = create.code.keep(plane)?;
    let value = plane.change(Code::CONFLICT, |records| {
        if records.find::<Function>(Kind::Function, "", &name)?.is_some() {
            return Err(ApiError::new(Code::CONFLICT, format!("Function already exist: {name}")));
        }
        let code_signing = create.code_signing_config_arn.filter(|arn| !arn.is_empty());
        let code_signing = code_signing.map(|arn| code_signing::id_of(records, &arn)).transpose()?;
        let code = uploaded.accepted(records, &name, code_signing.as_deref())?;
        let layers = create.wanted.layers.take().unwrap_or_default();
        let layers = layer::attached(plane, records, code_signing.as_deref(), &layers)?;
        let settings = Settings { layers, ..create.wanted.create(&name, code, &plane.services)? };
        code::check(plane, records, &name, (&settings, &create.tags))?;
        let (tags, policies) = (create.tags, BTreeMap::new());
        let function = Function { settings, stamp: Stamp::now(), tags, policies, reserved: None, code_signing };
        function.put(records, &name)?;
        if create.publish {
            return super::version::publish_in(records, &name, None);
        }
        Ok(configuration(&name, LATEST, false, (&function.settings, &function.stamp)))
    })?;
    Answer::json(StatusCode::CREATED, &value)
}

/// GetFunction.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let value = plane.store.read(|records| {
        let function = Function::find(records, &named.name)?;
        let (configuration, digest) = shown(records, &named)?;
        let location = plane.links.of(request.host(), &digest);
        let mut value = json!({
            "Configuration": configuration,
            "Code": { "RepositoryType": "S3", "Location": location },
        });
        if !function.tags.is_empty() {
            value["Tags"] = json!(function.tags);
        }
        if let Some(reserved) = function.reserved {
            value["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
        }
        Ok(value)
    })?;
    Answer::json(StatusCode::OK, &value)
}

/// GetFunctionConfiguration.
pub(super) fn configured(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let (value, _) = plane.store.read(|records| shown(records, &named))?;
    Answer::json(StatusCode::OK, &value)
}

/// ListFunctions.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let all = match request.query("FunctionVersion") {
        None | Some("") => false,
        Some("ALL") => true,
        Some(other) => return Err(invalid(format!("FunctionVersion is {other:?}, it must be \"ALL\""))),
    };
    if let Some(region) = request.query("MasterRegion").filter(|region| !matches!(*region, "" | "ALL" | super::REGION))
    {
        return Err(invalid(format!("MasterRegion {region:?}: every function of this edge is in {}", super::REGION)));
    }
    let items = plane.store.read(|records| {
        let mut items = Vec::new();
        for (name, function) in records.list::<Function>(Kind::Function, "")? {
            let latest = configuration(&name, LATEST, all, (&function.settings, &function.stamp));
            items.push((name.clone(), latest));
            if all {
                for (id, version) in records.list::<Version>(Kind::Version, &name)? {
                    let shown = configuration(&name, unpadded(&id), true, (&version.settings, &version.stamp));
                    items.push((format!("{name}:{id}"), shown));
                }
            }
        }
        Ok(items)
    })?;
    Answer::json(StatusCode::OK, &page(request, "Functions", items)?)
}

/// UpdateFunctionConfiguration.
pub(super) fn update(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let mut update: Update = request.json()?;
    let layers = update.wanted.layers.take();
    let value = plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.expect_revision(update.revision_id.as_deref())?;
        if let Some(layers) = &layers {
            let code_signing = function.code_signing.as_deref();
            function.settings.layers = layer::attached(plane, records, code_signing, layers)?;
        }
        function.settings = update.wanted.update(function.settings, &plane.services)?;
        code::check(plane, records, &name, (&function.settings, &function.tags))?;
        function.stamp = Stamp::now();
        function.put(records, &name)?;
        Ok(configuration(&name, LATEST, false, (&function.settings, &function.stamp)))
    })?;
    if layers.is_some() {
        plane.sweep_packages();
    }
    Answer::json(StatusCode::OK, &value)
}

/// DeleteFunction: one version, or all of the function.
pub(super) fn delete(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    plane.change(Code::CONFLICT, |records| match &named.qualifier {
        Some(version) => delete_version(plane, records, &named.name, version),
        None => delete_all(plane, records, &named.name),
    })?;
    concurrency::enforce(plane)?;
    plane.runner.look_again();
    plane.sweep_packages();
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn delete_version(plane: &Plane, records: &Records<'_>, name: &str, version: &str) -> Result<(), ApiError> {
    if version == LATEST {
        return Err(invalid("$LATEST version cannot be deleted without deleting the function."));
    }
    Function::find(records, name)?;
    if let Some(alias) = alias::pointing_to(records, name, version)? {
        let message = format!("Version {version} is in use: alias {alias} points to it");
        return Err(ApiError::new(Code::CONFLICT, message));
    }
    plane.refuse_associated(records, name, Some(version))?;
    records.remove(Kind::Provisioned, name, version)?;
    records.remove(Kind::Version, name, &padded(version))?.then_some(()).ok_or_else(|| not_found(name, Some(version)))
}

fn delete_all(plane: &Plane, records: &Records<'_>, name: &str) -> Result<(), ApiError> {
    Function::find(records, name)?;
    plane.refuse_associated(records, name, None)?;
    records.remove(Kind::Function, "", name)?;
    records.remove_below(Kind::Version, name)?;
    records.remove_below(Kind::EventConfig, name)?;
    records.remove_below(Kind::Provisioned, name)?;
    url_config::remove_all(records, name, None)?;
    records.remove_below(Kind::Alias, name)
}

/// GetRuntimeManagementConfig: the runtime is this program's.
pub(super) fn runtime_management(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let name = existing(plane, name)?;
    Answer::json(StatusCode::OK, &json!({ "UpdateRuntimeOn": "Auto", "FunctionArn": arn(&name, Some(LATEST)) }))
}

/// GetFunctionRecursionConfig: nothing here detects loops.
pub(super) fn recursion(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    existing(plane, name)?;
    Answer::json(StatusCode::OK, &json!({ "RecursiveLoop": "Allow" }))
}

/// The configuration that a name and qualifier mean, and the digest of its package.
fn shown(records: &Records<'_>, named: &Named) -> Result<(Value, String), ApiError> {
    let name = &named.name;
    Function::find(records, name)?;
    let number = match &named.qualifier {
        None => LATEST.to_owned(),
        Some(qualifier) => alias::main_version(records, name, qualifier)?,
    };
    let (settings, stamp) = version(records, name, &number)?;
    let mut value = configuration(name, &number, number != LATEST, (&settings, &stamp));
    if let Some(qualifier) = &named.qualifier {
        value["FunctionArn"] = arn(name, Some(qualifier)).into();
    }
    Ok((value, settings.code.digest))
}

fn existing(plane: &Plane, name: &str) -> Result<String, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    plane.store.read(|records| Function::find(records, &name))?;
    Ok(name)
}
