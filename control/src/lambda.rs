//! AWS Lambda's API: functions, their versions and aliases, and invocations. Each
//! operation is one function of a submodule; this file knows which.

mod alias;
mod code;
mod event_config;
mod function;
mod invoke;
mod location;
mod names;
mod operations;
mod page;
mod permission;
pub(crate) mod queue;
mod record;
mod runner;
mod settings;
mod tag;
mod version;

pub(crate) use location::{Links, download};
pub(crate) use names::{ACCOUNT, Named, REGION, arn};
pub(crate) use record::{Function, Settings, Version, version};
pub(crate) use runner::Runner;
pub(crate) use settings::{Place, table};

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::route;
use operations::OPERATIONS;
use std::sync::Arc;

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let Some((operation, named)) = route::find(OPERATIONS, &request) else {
        let message = format!("there is no operation {} /{}", request.method, request.segments.join("/"));
        return Err(ApiError::new(Code::UNKNOWN_OPERATION, message));
    };
    if operation.name == "Invoke" {
        return invoke::invoke(plane, &named[0], request).await;
    }
    let (plane, name) = (Arc::clone(plane), operation.name);
    let done = tokio::task::spawn_blocking(move || perform(&plane, name, &named, &request)).await;
    done.map_err(|error| ApiError::of_ours(&error))?
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
        "GetFunctionCodeSigningConfig" => function::code_signing(plane, first),
        "GetFunctionConcurrency" => function::concurrency(plane, first),
        "GetRuntimeManagementConfig" => function::runtime_management(plane, first),
        "GetFunctionRecursionConfig" => function::recursion(plane, first),
        "GetAccountSettings" => function::account(plane),
        other => Err(ApiError::new(Code::UNKNOWN_OPERATION, format!("{other} is not supported by this edge"))),
    }
}
