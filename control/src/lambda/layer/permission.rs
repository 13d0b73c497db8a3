//! Resource policies of layer versions: kept and shown (AWS: "AddLayerVersionPermission"). Who
//! may use a layer here is who has an access key.

use super::LayerVersion;
use super::name::Numbered;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::lambda::names::invalid;
use crate::plane::Plane;
use crate::request::Request;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Add {
    statement_id: String,
    action: String,
    principal: String,
    organization_id: Option<String>,
}

/// AddLayerVersionPermission.
pub(in crate::lambda) fn add(plane: &Plane, named: (&str, &str), request: &Request) -> Result<Answer, ApiError> {
    let numbered = Numbered::of(named.0, named.1)?;
    let add: Add = request.json()?;
    let statement = add.statement(&numbered)?;
    let revision = plane.store.write(|records| {
        let mut version = LayerVersion::find(records, &numbered)?;
        version.policy.add((&add.statement_id, &statement), request.query("RevisionId"))?;
        version.put(records, &numbered)?;
        Ok(version.policy.revision)
    })?;
    Answer::json(StatusCode::CREATED, &json!({ "Statement": statement.to_string(), "RevisionId": revision }))
}

/// GetLayerVersionPolicy.
pub(in crate::lambda) fn find(plane: &Plane, layer: &str, number: &str) -> Result<Answer, ApiError> {
    let numbered = Numbered::of(layer, number)?;
    let version = plane.store.read(|records| LayerVersion::find(records, &numbered))?;
    Answer::json(StatusCode::OK, &version.policy.shown()?)
}

/// RemoveLayerVersionPermission, of the layer, version and statement in the path.
pub(in crate::lambda) fn remove(plane: &Plane, named: &[String], request: &Request) -> Result<Answer, ApiError> {
    let [layer, number, statement] = named else { return Err(invalid("StatementId is missing")) };
    let numbered = Numbered::of(layer, number)?;
    plane.store.write(|records| {
        let mut version = LayerVersion::find(records, &numbered)?;
        version.policy.remove(statement, request.query("RevisionId"))?;
        version.put(records, &numbered)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

impl Add {
    fn statement(&self, numbered: &Numbered) -> Result<Value, ApiError> {
        if self.action != ACTION {
            return Err(invalid(format!("Action is {:?}, it must be {ACTION}", self.action)));
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let root = self.principal.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
        let principal = match (self.principal.as_str(), root) {
            ("*", _) => json!("*"),
            (_, Some(account)) | (account, None) if is_account(account) => {
                json!({ "AWS": format!("arn:aws:iam::{account}:root") })
            }
            (other, _) => {
                let rule = "an account of 12 digits, the ARN of its root, or *";
                return Err(invalid(format!("Principal is {other:?}, it must be {rule}")));
            }
        };
        let mut statement = json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": numbered.arn(),
        });
        let Some(organization) = &self.organization_id else { return Ok(statement) };
        let id = organization.strip_prefix("o-").unwrap_or_default();
        if !(10..=32).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            let rule = "o- and 10 to 32 lower-case letters and digits";
            return Err(invalid(format!("OrganizationId is {organization:?}, it must be {rule}")));
        }
        if self.principal != "*" {
            return Err(invalid("OrganizationId needs the Principal *"));
        }
        statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] = json!(organization);
        Ok(statement)
    }
}

/// The only one that there is.
const ACTION: &str = "lambda:GetLayerVersion";
