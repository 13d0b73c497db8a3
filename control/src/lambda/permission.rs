//! Resource policies of functions: kept and shown. Who may invoke a function here is who has an
//! access key.

use super::names::{Named, arn};
use super::policy::Policy;
use super::record::{Function, not_found, version};
use crate::answer::Answer;
use crate::error::ApiError;
use crate::plane::Plane;
use crate::request::Request;
use crate::store::Records;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Add {
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    event_source_token: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    revision_id: Option<String>,
}

/// AddPermission.
pub(super) fn add(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let add: Add = request.json()?;
    let statement = statement(&named, &add);
    plane.store.write(|records| {
        let (mut function, mut policy) = policy(records, &named)?;
        policy.add((&add.statement_id, &statement), add.revision_id.as_deref())?;
        function.policies.insert(named.qualifier.clone().unwrap_or_default(), policy);
        function.put(records, &named.name)
    })?;
    Answer::json(StatusCode::CREATED, &json!({ "Statement": statement.to_string() }))
}

/// GetPolicy.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let (_, policy) = plane.store.read(|records| policy(records, &named))?;
    Answer::json(StatusCode::OK, &policy.shown()?)
}

/// RemovePermission.
pub(super) fn remove(plane: &Plane, name: &str, statement: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    plane.store.write(|records| {
        let (mut function, mut policy) = policy(records, &named)?;
        policy.remove(statement, request.query("RevisionId"))?;
        function.policies.insert(named.qualifier.clone().unwrap_or_default(), policy);
        function.put(records, &named.name)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn statement(named: &Named, add: &Add) -> Value {
    let principal = match add.principal.as_str() {
        "*" => json!("*"),
        account if account.starts_with("arn:") || account.bytes().all(|b| b.is_ascii_digit()) => {
            json!({ "AWS": account })
        }
        service => json!({ "Service": service }),
    };
    let mut statement = json!({
        "Sid": add.statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": add.action,
        "Resource": arn(&named.name, named.qualifier.as_deref()),
    });
    let via_url = add.invoked_via_function_url.map(|via| via.to_string());
    for (operator, key, value) in [
        ("ArnLike", "AWS:SourceArn", &add.source_arn),
        ("StringEquals", "AWS:SourceAccount", &add.source_account),
        ("StringEquals", "aws:PrincipalOrgID", &add.principal_org_id),
        ("StringEquals", "lambda:EventSourceToken", &add.event_source_token),
        ("StringEquals", "lambda:FunctionUrlAuthType", &add.function_url_auth_type),
        ("Bool", "lambda:InvokedViaFunctionUrl", &via_url),
    ] {
        if let Some(value) = value {
            statement["Condition"][operator][key] = json!(value);
        }
    }
    statement
}

fn policy(records: &Records<'_>, named: &Named) -> Result<(Function, Policy), ApiError> {
    let function = Function::find(records, &named.name)?;
    if let Some(qualifier) = &named.qualifier {
        let number = super::alias::main_version(records, &named.name, qualifier)?;
        version(records, &named.name, &number).map_err(|_| not_found(&named.name, Some(qualifier)))?;
    }
    let policy = function.policies.get(named.qualifier.as_deref().unwrap_or_default()).cloned().unwrap_or_default();
    Ok((function, policy))
}
