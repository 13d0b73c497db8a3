//! Resource policies: kept and shown. Who may invoke a function here is who has an access key.

use super::names::{Named, arn, invalid};
use super::record::{Function, Policy, Stamp, expect_revision, not_found, version};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
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
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=SID_MAX).contains(&add.statement_id.len()) || !add.statement_id.bytes().all(allowed) {
        return Err(invalid(format!("StatementId must be 1 to {SID_MAX} letters, digits, - and _")));
    }
    let statement = statement(&named, &add);
    plane.store.write(|records| {
        let (mut function, mut policy) = policy(records, &named)?;
        expect_revision(&policy.revision, add.revision_id.as_deref())?;
        if policy.statements.contains_key(&add.statement_id) {
            let message = format!("The statement id ({}) provided already exists.", add.statement_id);
            return Err(ApiError::new(Code::CONFLICT, message));
        }
        policy.statements.insert(add.statement_id.clone(), statement.clone());
        let length = document(&policy).len();
        if length > POLICY_MAX {
            let message = format!("the policy has {length} bytes, at most {POLICY_MAX} are allowed");
            return Err(ApiError::new(Code::POLICY_LENGTH, message));
        }
        policy.revision = Stamp::now().revision;
        function.policies.insert(named.qualifier.clone().unwrap_or_default(), policy);
        function.put(records, &named.name)
    })?;
    Answer::json(StatusCode::CREATED, &json!({ "Statement": statement.to_string() }))
}

/// GetPolicy.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let (_, policy) = plane.store.read(|records| policy(records, &named))?;
    if policy.statements.is_empty() {
        return Err(none());
    }
    Answer::json(StatusCode::OK, &json!({ "Policy": document(&policy), "RevisionId": policy.revision }))
}

/// RemovePermission.
pub(super) fn remove(plane: &Plane, name: &str, statement: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    plane.store.write(|records| {
        let (mut function, mut policy) = policy(records, &named)?;
        expect_revision(&policy.revision, request.query("RevisionId"))?;
        policy.statements.remove(statement).ok_or_else(none)?;
        policy.revision = Stamp::now().revision;
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

fn document(policy: &Policy) -> String {
    let statements: Vec<&Value> = policy.statements.values().collect();
    json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
}

fn none() -> ApiError {
    ApiError::new(Code::NOT_FOUND, "No policy is associated with the given resource.")
}

const SID_MAX: usize = 100;
const POLICY_MAX: usize = 20 * 1024;
