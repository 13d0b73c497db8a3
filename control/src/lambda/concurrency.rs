//! Reserved concurrency: how many invocations of a function run at one time, and how many
//! are left for the functions that have nothing reserved. That they are no more is kept
//! by `functions`.

use super::names::{Named, invalid};
use super::record::{Function, Version};
use super::{layer, provisioned};
use crate::answer::Answer;
use crate::error::ApiError;
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use environment::limits::{PACKAGE_BYTES_MAX, PACKAGE_ZIP_BYTES_MAX};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    reserved_concurrent_executions: u32,
}

/// PutFunctionConcurrency.
pub(super) fn put(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let name = unqualified(name)?;
    let Put { reserved_concurrent_executions: reserved } = request.json()?;
    plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        let provisioned = provisioned::of_function(records, &name)?;
        if reserved < provisioned {
            let message =
                "ReservedConcurrentExecutions should not be lower than function's total provisioned concurrency";
            return Err(invalid(format!("{message} [{provisioned}].")));
        }
        function.reserved = Some(reserved);
        function.put(records, &name)?;
        expect_rest(plane, records)
    })?;
    enforce(plane)?;
    Answer::json(StatusCode::OK, &json!({ "ReservedConcurrentExecutions": reserved }))
}

/// GetFunctionConcurrency: empty when nothing is reserved.
pub(super) fn find(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let name = unqualified(name)?;
    let function = plane.store.read(|records| Function::find(records, &name))?;
    let reserved = function.reserved.map(|reserved| json!({ "ReservedConcurrentExecutions": reserved }));
    Answer::json(StatusCode::OK, &reserved.unwrap_or_else(|| json!({})))
}

/// DeleteFunctionConcurrency.
pub(super) fn delete(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let name = unqualified(name)?;
    plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.reserved = None;
        function.put(records, &name)?;
        // What is provisioned is taken from the rest from now on.
        expect_rest(plane, records)
    })?;
    enforce(plane)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// GetAccountSettings.
pub(super) fn account(plane: &Plane) -> Result<Answer, ApiError> {
    let total = plane.runner.environments_max();
    let value = plane.store.read(|records| {
        let functions = records.list::<Function>(Kind::Function, "")?;
        let reserved: usize = reserved(&functions).values().sum();
        let mut bytes: u64 = layer::packages(records)?.iter().map(|code| code.bytes).sum();
        bytes += functions.iter().map(|(_, function)| function.settings.code.bytes).sum::<u64>();
        for (name, _) in &functions {
            let versions = records.list::<Version>(Kind::Version, name)?;
            bytes += versions.iter().map(|(_, version)| version.settings.code.bytes).sum::<u64>();
        }
        Ok(json!({
            "AccountLimit": {
                "TotalCodeSize": i64::MAX,
                "CodeSizeUnzipped": PACKAGE_BYTES_MAX,
                "CodeSizeZipped": PACKAGE_ZIP_BYTES_MAX,
                "ConcurrentExecutions": total,
                "UnreservedConcurrentExecutions": total.saturating_sub(reserved),
            },
            "AccountUsage": { "TotalCodeSize": bytes, "FunctionCount": functions.len() },
        }))
    })?;
    Answer::json(StatusCode::OK, &value)
}

/// Lets the edge keep to what the state says; has done so when it returns. Blocks.
pub(crate) fn enforce(plane: &Plane) -> Result<(), ApiError> {
    // Within the transaction, so that of two changes the later one stays.
    plane.store.read(|records| {
        let functions = records.list::<Function>(Kind::Function, "")?;
        plane.runner.reserve(reserved(&functions));
        Ok(())
    })
}

/// Refuses a state that leaves too little for functions without a reservation.
pub(super) fn expect_rest(plane: &Plane, records: &Records<'_>) -> Result<(), ApiError> {
    let functions = records.list::<Function>(Kind::Function, "")?;
    let mut kept = 0;
    for (name, function) in &functions {
        kept += match function.reserved {
            Some(reserved) => reserved,
            None => provisioned::of_function(records, name)?,
        };
    }
    let (kept, total) = (usize::try_from(kept).unwrap_or(usize::MAX), plane.runner.environments_max());
    if kept > 0 && total.saturating_sub(kept) < REST_MIN {
        let message = "Specified ConcurrentExecutions for function decreases account's \
                       UnreservedConcurrentExecution below its minimum value of";
        let all = format!("{kept} of this edge's {total} environments ([server] environments_max) would be kept");
        return Err(invalid(format!("{message} [{REST_MIN}]. {all}")));
    }
    Ok(())
}

fn reserved(functions: &[(String, Function)]) -> BTreeMap<String, usize> {
    let reserved = |function: &Function| usize::try_from(function.reserved?).ok();
    functions.iter().filter_map(|(name, function)| Some((name.clone(), reserved(function)?))).collect()
}

fn unqualified(name: &str) -> Result<String, ApiError> {
    match Named::parse(name)? {
        Named { name, qualifier: None } => Ok(name),
        _ => Err(invalid("This operation does not permit concurrency for versions or aliases of a function.")),
    }
}

/// AWS: "Configuring reserved concurrency for a function".
const REST_MIN: usize = 100;
