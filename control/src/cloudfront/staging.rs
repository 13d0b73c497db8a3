//! Staging distributions: what they may be, how one is copied from a primary distribution, and
//! how what was tried there becomes the primary's.

use super::continuous_deployment::{self, POLICIES};
use super::distribution::{self, Distribution, existing, read, text};
use super::shape::Shape::{self, Flag, Struct, Text};
use super::shape::{optional, required};
use super::{now, random_id, table};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use serde_json::Value;
use std::collections::BTreeMap;

/// CopyDistribution: a staging distribution with the configuration of a primary.
pub(super) fn copy(plane: &Plane, primary: &str, request: &Request) -> Result<Answer, ApiError> {
    let wanted = read(&COPY, "CopyDistributionRequest", request)?;
    if !request.header("staging").is_some_and(|staging| staging.eq_ignore_ascii_case("true")) {
        return Err(invalid("Staging must be True: a distribution is copied to be a staging distribution"));
    }
    distribution::create_from(plane, request, BTreeMap::new(), |records| {
        let found = existing(records, primary)?;
        request.expect_etag(&found.etag)?;
        if is_staging(&found.config) {
            return Err(invalid(format!("distribution {primary} is a staging distribution, only others are copied")));
        }
        let mut config = found.config;
        config["CallerReference"] = wanted["CallerReference"].clone();
        config["Aliases"] = serde_json::json!({ "Quantity": 0, "Items": [] });
        config["ContinuousDeploymentPolicyId"] = "".into();
        config["Staging"] = true.into();
        if wanted["Enabled"].is_boolean() {
            config["Enabled"] = wanted["Enabled"].clone();
        }
        Ok(config)
    })
}

/// UpdateDistributionWithStagingConfig: the staging distribution's configuration becomes the
/// primary's, and every request is the primary's again.
pub(super) fn promote(plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
    let (shown, etag) = plane.change(Code::INVALID_ARGUMENT, |records| {
        let mut primary = existing(records, id)?;
        let policy = text(&primary.config["ContinuousDeploymentPolicyId"]).to_owned();
        let staging = staging_of(records, &policy, request.query("StagingDistributionId"))?;
        expect_etags(request, [&primary.etag, &staging.etag])?;
        if staging.config["Enabled"] != Value::Bool(true) {
            return Err(illegal("the staging distribution is disabled, and so would be the primary: enable it first"));
        }
        let mut config = staging.config;
        for member in KEPT {
            config[member] = primary.config[member].clone();
        }
        distribution::check(plane, records, id, &config)?;
        (primary.config, primary.etag, primary.modified) = (config, random_id('E'), now());
        records.put(Kind::Distribution, "", id, &primary)?;
        continuous_deployment::disable(plane, records, &policy)?;
        Ok((distribution::shown(records, id, &primary)?, primary.etag))
    })?;
    Ok(distribution::answer(&shown, etag))
}

/// Refuses a new distribution for what it is to continuous deployment.
pub(super) fn check_new(records: &Records<'_>, config: &Value) -> Result<(), ApiError> {
    if !text(&config["ContinuousDeploymentPolicyId"]).is_empty() {
        let message = "ContinuousDeploymentPolicyId is for distributions that exist: create it without, then update it";
        return Err(invalid(message));
    }
    if !is_staging(config) {
        return Ok(());
    }
    let all = records.list::<Distribution>(Kind::Distribution, "")?;
    let count = all.iter().filter(|(_, distribution)| is_staging(&distribution.config)).count();
    if count >= STAGING_MAX {
        let message = format!("there are {count} staging distributions, at most {STAGING_MAX} are allowed");
        return Err(ApiError::new(Code::TOO_MANY_DISTRIBUTIONS, message));
    }
    expect_nothing_of_a_primary(config)
}

/// Refuses a change for the same.
pub(super) fn check_change(records: &Records<'_>, id: &str, before: &Value, config: &Value) -> Result<(), ApiError> {
    if config["Staging"] != before["Staging"] {
        return Err(illegal("Staging cannot be changed"));
    }
    if is_staging(config) {
        expect_nothing_of_a_primary(config)?;
        let ends = before["Enabled"] == Value::Bool(true) && config["Enabled"] != Value::Bool(true);
        let policy = continuous_deployment::policy_of(records, id)?;
        return match policy.filter(|(_, policy)| ends && continuous_deployment::is_enabled(policy)) {
            Some((policy, _)) => Err(in_use(&policy, "disable the policy first")),
            None => Ok(()),
        };
    }
    let policy = text(&config["ContinuousDeploymentPolicyId"]);
    if policy.is_empty() {
        return Ok(());
    }
    POLICIES.existing(records, policy)?;
    match continuous_deployment::primary_of(records, policy)?.filter(|primary| primary != id) {
        Some(primary) => {
            let message = format!("the continuous deployment policy is associated with distribution {primary}");
            Err(ApiError::new(Code::CONTINUOUS_POLICY_IN_USE, message))
        }
        None => Ok(()),
    }
}

/// Refuses the end of a distribution that a policy names.
pub(super) fn expect_unused(records: &Records<'_>, id: &str, config: &Value) -> Result<(), ApiError> {
    if !is_staging(config) {
        return Ok(());
    }
    match continuous_deployment::policy_of(records, id)? {
        Some((policy, _)) => Err(in_use(&policy, "delete the policy first")),
        None => Ok(()),
    }
}

/// The staging distribution that a primary's policy names, which must be the one that is meant.
fn staging_of(records: &Records<'_>, policy: &str, meant: Option<&str>) -> Result<Distribution, ApiError> {
    let of_policy = |id: &str| -> Result<bool, ApiError> {
        Ok(continuous_deployment::policy_of(records, id)?.is_some_and(|(named_by, _)| named_by == policy))
    };
    if policy.is_empty() {
        return Err(illegal("the distribution has no ContinuousDeploymentPolicyId, so no staging distribution is its"));
    }
    if let Some(id) = meant.filter(|id| !id.is_empty()) {
        let found = existing(records, id)?;
        return if of_policy(id)? {
            Ok(found)
        } else {
            Err(illegal(format!("continuous deployment policy {policy} is not for distribution {id}")))
        };
    }
    for (id, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
        if is_staging(&distribution.config) && of_policy(&id)? {
            return Ok(distribution);
        }
    }
    Err(illegal(format!("continuous deployment policy {policy} has no staging distribution")))
}

/// AWS: "UpdateDistributionWithStagingConfig": both ETags, the primary's first.
fn expect_etags(request: &Request, etags: [&str; 2]) -> Result<(), ApiError> {
    let given = request.header("if-match").unwrap_or_default();
    let given: Vec<&str> = given.split(',').map(|etag| etag.trim().trim_matches('"')).collect();
    if given.len() != etags.len() || given.iter().any(|etag| etag.is_empty()) {
        let message = "The If-Match version is missing or not valid for the resource: give the ETag of the primary \
                       distribution, a comma, and the ETag of the staging distribution.";
        return Err(ApiError::new(Code::INVALID_IF_MATCH, message));
    }
    if given != etags {
        let message =
            "The request failed because it didn't meet the preconditions in one or more request-header fields.";
        return Err(ApiError::new(Code::STALE, message));
    }
    Ok(())
}

fn expect_nothing_of_a_primary(config: &Value) -> Result<(), ApiError> {
    if let Some(domain) = table::domains(config).first() {
        return Err(invalid(format!("Aliases has {domain}: a staging distribution has no alternate domain names")));
    }
    if !text(&config["ContinuousDeploymentPolicyId"]).is_empty() {
        return Err(invalid("ContinuousDeploymentPolicyId: a staging distribution has none of its own"));
    }
    Ok(())
}

fn is_staging(config: &Value) -> bool {
    config["Staging"] == Value::Bool(true)
}

fn in_use(policy: &str, advice: &str) -> ApiError {
    let message = format!(
        "The specified staging distribution is currently used by a continuous deployment policy. It is {policy}: {advice}"
    );
    ApiError::new(Code::STAGING_IN_USE, message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::INVALID_ARGUMENT, message)
}

fn illegal(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::ILLEGAL_UPDATE, message)
}

/// AWS: "CopyDistribution".
const COPY: Shape = Struct(&[required("CallerReference", Text), optional("Enabled", Flag)]);
/// What a primary keeps of its own.
const KEPT: [&str; 4] = ["CallerReference", "Aliases", "ContinuousDeploymentPolicyId", "Staging"];
/// AWS: "Quotas and other considerations for continuous deployment".
const STAGING_MAX: usize = 20;
