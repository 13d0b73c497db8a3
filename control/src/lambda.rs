//! AWS Lambda's API: functions, their versions, aliases and layers, and invocations. Each
//! operation is one function of a submodule; this file knows which.

mod alias;
mod code;
mod code_signing;
mod concurrency;
mod delivery;
mod destination;
mod ending;
mod event_config;
mod function;
pub(crate) mod invoke;
mod layer;
mod location;
mod names;
mod operations;
mod page;
mod permission;
mod policy;
mod provisioned;
pub(crate) mod queue;
mod record;
mod runner;
mod settings;
mod stores;
mod tag;
mod url_config;
mod version;

pub(crate) use concurrency::enforce;
pub(crate) use layer::packages as layer_packages;
pub(crate) use location::{Links, download};
pub(crate) use names::{ACCOUNT, Named, REGION, arn};
pub(crate) use provisioned::{Runnable, runnable};
pub(crate) use queue::{Redriven, redrive};
pub(crate) use record::{Function, Version, version};
pub(crate) use runner::{Runner, keep};
pub(crate) use settings::{Place, table};
pub(crate) use stores::function_that_reads;
pub(crate) use url_config::{FunctionUrl, UrlPlace, distributions, function_url};

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::route;
use operations::OPERATIONS;
use std::sync::Arc;

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let (name, named) = route::expect(OPERATIONS, &request, Code::UNKNOWN_OPERATION)?;
    if name == "Invoke" {
        return invoke::invoke(plane, &named[0], request).await;
    }
    if name == "PutProvisionedConcurrencyConfig" {
        return provisioned::put(plane, &named[0], &request).await;
    }
    route::perform(plane, (name, named), request, perform).await
}

fn perform(plane: &Plane, operation: &str, named: &[String], request: &Request) -> Result<Answer, ApiError> {
    let first = named.first().map_or("", String::as_str);
    let second = named.get(1).map_or("", String::as_str);
    match operation {
        "CreateFunction" => function::create(plane, request),
        "GetFunction" => function::find(plane, first, request),
        "GetFunctionConfiguration" => function::configured(plane, first, request),
        "ListFunctions" => function::list(plane, request),
        "DeleteFunction" => function::delete(plane, first, request),
        "UpdateFunctionCode" => code::update(plane, first, request),
        "UpdateFunctionConfiguration" => function::update(plane, first, request),
        "PublishVersion" => version::publish(plane, first, request),
        "ListVersionsByFunction" => version::list(plane, first, request),
        "CreateAlias" => alias::create(plane, first, request),
        "GetAlias" => alias::find(plane, first, second),
        "UpdateAlias" => alias::update(plane, first, second, request),
        "DeleteAlias" => alias::delete(plane, first, second),
        "ListAliases" => alias::list(plane, first, request),
        "ListTags" => tag::list(plane, first),
        "TagResource" => tag::tag(plane, first, request),
        "UntagResource" => tag::untag(plane, first, request),
        "AddPermission" => permission::add(plane, first, request),
        "GetPolicy" => permission::find(plane, first, request),
        "RemovePermission" => permission::remove(plane, first, second, request),
        "PutFunctionEventInvokeConfig" => event_config::put(plane, first, request),
        "UpdateFunctionEventInvokeConfig" => event_config::update(plane, first, request),
        "GetFunctionEventInvokeConfig" => event_config::find(plane, first, request),
        "DeleteFunctionEventInvokeConfig" => event_config::delete(plane, first, request),
        "ListFunctionEventInvokeConfigs" => event_config::list(plane, first, request),
        "CreateFunctionUrlConfig" => url_config::create(plane, first, request),
        "GetFunctionUrlConfig" => url_config::find(plane, first, request),
        "UpdateFunctionUrlConfig" => url_config::update(plane, first, request),
        "DeleteFunctionUrlConfig" => url_config::delete(plane, first, request),
        "ListFunctionUrlConfigs" => url_config::list(plane, first, request),
        "CreateCodeSigningConfig" => code_signing::create(plane, request),
        "GetCodeSigningConfig" => code_signing::find(plane, first),
        "UpdateCodeSigningConfig" => code_signing::update(plane, first, request),
        "DeleteCodeSigningConfig" => code_signing::delete(plane, first),
        "ListCodeSigningConfigs" => code_signing::list(plane, request),
        "ListFunctionsByCodeSigningConfig" => code_signing::functions(plane, first, request),
        "PutFunctionCodeSigningConfig" => code_signing::put(plane, first, request),
        "GetFunctionCodeSigningConfig" => code_signing::of_function(plane, first),
        "DeleteFunctionCodeSigningConfig" => code_signing::take_away(plane, first),
        "PublishLayerVersion" => layer::publish(plane, first, request),
        "GetLayerVersion" => layer::find(plane, (first, second), request),
        "GetLayerVersionByArn" => layer::find_by_arn(plane, request),
        "ListLayers" => layer::list(plane, request),
        "ListLayerVersions" => layer::list_versions(plane, first, request),
        "DeleteLayerVersion" => layer::delete(plane, first, second),
        "AddLayerVersionPermission" => layer::permission::add(plane, (first, second), request),
        "GetLayerVersionPolicy" => layer::permission::find(plane, first, second),
        "RemoveLayerVersionPermission" => layer::permission::remove(plane, named, request),
        "PutFunctionConcurrency" => concurrency::put(plane, first, request),
        "GetFunctionConcurrency" => concurrency::find(plane, first),
        "DeleteFunctionConcurrency" => concurrency::delete(plane, first),
        "GetProvisionedConcurrencyConfig" => provisioned::find(plane, first, request),
        "DeleteProvisionedConcurrencyConfig" => provisioned::delete(plane, first, request),
        "ListProvisionedConcurrencyConfigs" => provisioned::list(plane, first, request),
        "GetRuntimeManagementConfig" => function::runtime_management(plane, first),
        "GetFunctionRecursionConfig" => function::recursion(plane, first),
        "GetAccountSettings" => concurrency::account(plane),
        other => Err(ApiError::new(Code::UNKNOWN_OPERATION, format!("{other} is not supported by this edge"))),
    }
}
