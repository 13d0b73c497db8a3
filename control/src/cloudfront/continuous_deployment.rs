//! Continuous deployment policies: which staging distribution gets which share of a primary
//! distribution's requests, and how the edge is told. What is special to the two distributions
//! is `staging`'s.

use super::distribution::{Distribution, read, text};
use super::resource::{Resource, ResourceKind};
use super::shape::Shape::{self, Flag, Fraction, List, Number, Struct, Text};
use super::shape::{defaulted, optional, required};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml::put_raw;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployment::{CONTINUOUS_DEPLOYMENT_HEADER_PREFIX as PREFIX, SESSION_SECONDS, WEIGHT_MAX};
use http::{HeaderName, HeaderValue, StatusCode};
use rand::Rng as _;
use serde_json::Value;
use toml::Table;
use uuid::Uuid;

pub(super) const POLICIES: ResourceKind = ResourceKind {
    record: Kind::ContinuousDeploymentPolicy,
    name: "ContinuousDeploymentPolicy",
    path: "continuous-deployment-policy",
    shape: &POLICY,
    new_id: || Uuid::new_v4().to_string(),
    time: Some("LastModifiedTime"),
    missing: Code::NO_SUCH_CONTINUOUS_POLICY,
    check,
    expect_unused,
    summary: |kind, id, policy| {
        let mut out = String::new();
        put_raw(&mut out, "ContinuousDeploymentPolicy", &kind.shown(id, policy));
        out
    },
};

/// CreateContinuousDeploymentPolicy.
pub(super) fn create(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let (id, policy) = POLICIES.made(read(&POLICY, CONFIG, request)?);
    plane.store.write(|records| {
        POLICIES.add(plane, records, &id, &policy)?;
        renew_key(records, &id)
    })?;
    Ok(POLICIES.created(request, &id, &policy))
}

/// UpdateContinuousDeploymentPolicy.
pub(super) fn update(plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
    let config = read(&POLICY, CONFIG, request)?;
    let policy = plane.change(Code::INVALID_ARGUMENT, |records| {
        let found = POLICIES.existing(records, id)?;
        request.expect_etag(&found.etag)?;
        exchange(plane, records, id, found, config)
    })?;
    Ok(POLICIES.answer(StatusCode::OK, id, &policy))
}

/// DeleteContinuousDeploymentPolicy.
pub(super) fn delete(plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
    plane.store.write(|records| {
        POLICIES.take_away(records, id, request)?;
        records.remove(Kind::SessionKey, "", id)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Switches a policy off, as a promotion does.
pub(super) fn disable(plane: &Plane, records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    let found = POLICIES.existing(records, id)?;
    let mut config = found.config.clone();
    config["Enabled"] = false.into();
    exchange(plane, records, id, found, config).map(drop)
}

/// The policy that names this staging distribution.
pub(super) fn policy_of(records: &Records<'_>, staging: &str) -> Result<Option<(String, Resource)>, ApiError> {
    let domain = deployment::distribution_domain(staging);
    let mut all = records.list::<Resource>(Kind::ContinuousDeploymentPolicy, "")?.into_iter();
    Ok(all.find(|(_, policy)| names(&policy.config).any(|name| is_same_name(name, &domain))))
}

pub(super) fn is_enabled(policy: &Resource) -> bool {
    policy.config["Enabled"] == Value::Bool(true)
}

/// Gives the primaries among the distributions, which are in the language of the configuration
/// file, what the policies say. A staging distribution that is not served gets no requests.
pub(crate) fn join(records: &Records<'_>, distributions: &mut Table) -> Result<(), ApiError> {
    for (primary, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
        let id = text(&distribution.config["ContinuousDeploymentPolicyId"]);
        if id.is_empty() {
            continue;
        }
        let policy = POLICIES.existing(records, id)?;
        let staging = names(&policy.config).next().map(|name| staging_of(records, name)).transpose()?.flatten();
        let Some(staging) = staging.filter(|staging| is_enabled(&policy) && distributions.contains_key(staging)) else {
            continue;
        };
        if let Some(toml::Value::Table(table)) = distributions.get_mut(&primary) {
            let key = records.find::<String>(Kind::SessionKey, "", id)?.unwrap_or_default();
            table.insert("continuous_deployment".into(), traffic(&policy.config, staging, key).into());
        }
    }
    Ok(())
}

fn traffic(config: &Value, staging: String, key: String) -> Table {
    let traffic = &config["TrafficConfig"];
    let mut table = Table::from_iter([("staging".to_owned(), staging.into())]);
    if text(&traffic["Type"]) == HEADER {
        let header = &traffic["SingleHeaderConfig"];
        let member = |name: &str| text(&header[name]).into();
        let header = Table::from_iter([("name".to_owned(), member("Header")), ("value".to_owned(), member("Value"))]);
        table.insert("header".into(), header.into());
        return table;
    }
    let weight = &traffic["SingleWeightConfig"];
    table.insert("weight".into(), weight["Weight"].as_f64().unwrap_or_default().into());
    let session = &weight["SessionStickinessConfig"];
    if session.is_object() {
        let session = Table::from_iter([
            ("idle_ttl".to_owned(), format!("{}s", session["IdleTTL"]).into()),
            ("maximum_ttl".to_owned(), format!("{}s", session["MaximumTTL"]).into()),
            ("key".to_owned(), key.into()),
        ]);
        table.insert("session".into(), session.into());
    }
    table
}

/// AWS: "Session stickiness for weight-based configurations": switching the policy or its
/// sessions off or on ends the sessions that there are.
fn exchange(
    plane: &Plane,
    records: &Records<'_>,
    id: &str,
    found: Resource,
    config: Value,
) -> Result<Resource, ApiError> {
    let keeps = |config: &Value| {
        let session = &config["TrafficConfig"]["SingleWeightConfig"]["SessionStickinessConfig"];
        config["Enabled"] == Value::Bool(true) && session.is_object()
    };
    if keeps(&found.config) != keeps(&config) {
        renew_key(records, id)?;
    }
    POLICIES.exchange(plane, records, id, found, config)
}

fn renew_key(records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    let mut key = [0; 32];
    rand::rng().fill(&mut key);
    records.put(Kind::SessionKey, "", id, &STANDARD.encode(key))
}

fn check(_: &Plane, records: &Records<'_>, id: &str, before: Option<&Value>, config: &Value) -> Result<(), ApiError> {
    let all = records.list::<Resource>(Kind::ContinuousDeploymentPolicy, "")?;
    if before.is_none() && all.len() >= POLICIES_MAX {
        let message =
            format!("there are {} continuous deployment policies, at most {POLICIES_MAX} are allowed", all.len());
        return Err(ApiError::new(Code::TOO_MANY_CONTINUOUS_POLICIES, message));
    }
    let given: Vec<&str> = names(config).collect();
    let [name] = given[..] else {
        return Err(invalid(format!("StagingDistributionDnsNames has {} names, it must have one", given.len())));
    };
    if staging_of(records, name)?.is_none() {
        return Err(invalid(format!(
            "StagingDistributionDnsNames: {name} is not the domain of a staging distribution"
        )));
    }
    check_traffic(config)?;
    let mut others = all.iter().filter(|(other, _)| other != id);
    match others.find(|(_, policy)| names(&policy.config).any(|other| is_same_name(other, name))) {
        Some((other, policy)) if policy.config == *config => {
            let message = format!("continuous deployment policy {other} has this configuration");
            Err(ApiError::new(Code::CONTINUOUS_POLICY_EXISTS, message))
        }
        Some((other, _)) => {
            let message = format!("there is a continuous deployment policy for staging distribution {name}: {other}");
            Err(ApiError::new(Code::STAGING_IN_USE, message))
        }
        None => Ok(()),
    }
}

fn check_traffic(config: &Value) -> Result<(), ApiError> {
    let traffic = &config["TrafficConfig"];
    if traffic.is_null() {
        let off = config["Enabled"] == Value::Bool(false);
        return if off { Ok(()) } else { Err(invalid("a policy that is enabled needs a TrafficConfig")) };
    }
    let (weight, header) = (&traffic["SingleWeightConfig"], &traffic["SingleHeaderConfig"]);
    match text(&traffic["Type"]) {
        WEIGHT if weight.is_object() && header.is_null() => check_weight(weight),
        HEADER if header.is_object() && weight.is_null() => check_header(header),
        kind @ (WEIGHT | HEADER) => Err(invalid(format!("Type {kind} needs {kind}Config and no other"))),
        other => Err(invalid(format!("Type {other:?} must be {WEIGHT} or {HEADER}"))),
    }
}

fn check_weight(config: &Value) -> Result<(), ApiError> {
    if !config["Weight"].as_f64().is_some_and(|weight| (0.0..=WEIGHT_MAX).contains(&weight)) {
        return Err(invalid(format!("Weight is {}, it must be 0 to {WEIGHT_MAX}", config["Weight"])));
    }
    let session = &config["SessionStickinessConfig"];
    if session.is_null() {
        return Ok(());
    }
    for member in ["IdleTTL", "MaximumTTL"] {
        if !session[member].as_u64().is_some_and(|seconds| SESSION_SECONDS.contains(&seconds)) {
            let (least, most) = (SESSION_SECONDS.start(), SESSION_SECONDS.end());
            return Err(invalid(format!("{member} is {}, it must be {least} to {most}", session[member])));
        }
    }
    if session["IdleTTL"].as_u64() > session["MaximumTTL"].as_u64() {
        let (idle, maximum) = (&session["IdleTTL"], &session["MaximumTTL"]);
        return Err(invalid(format!("IdleTTL is {idle}, which is more than MaximumTTL, {maximum}")));
    }
    Ok(())
}

fn check_header(config: &Value) -> Result<(), ApiError> {
    let (name, value) = (text(&config["Header"]), text(&config["Value"]));
    let known = HeaderName::try_from(name).is_ok_and(|name| name.as_str().starts_with(PREFIX) && name != PREFIX);
    if !known || name.len() > HEADER_LENGTH_MAX {
        let rule = format!("a header name of at most {HEADER_LENGTH_MAX} characters that begins with {PREFIX}");
        return Err(invalid(format!("Header is {name:?}, it must be {rule}")));
    }
    if value.is_empty() || value.len() > VALUE_LENGTH_MAX || HeaderValue::from_str(value).is_err() {
        return Err(invalid(format!("Value is {value:?}, it must be 1 to {VALUE_LENGTH_MAX} characters of a header")));
    }
    Ok(())
}

fn expect_unused(records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    match primary_of(records, id)? {
        Some(primary) => {
            let message = format!("the continuous deployment policy is associated with distribution {primary}");
            Err(ApiError::new(Code::CONTINUOUS_POLICY_IN_USE, message))
        }
        None => Ok(()),
    }
}

/// The distribution that has the policy.
pub(super) fn primary_of(records: &Records<'_>, policy: &str) -> Result<Option<String>, ApiError> {
    let mut all = records.list::<Distribution>(Kind::Distribution, "")?.into_iter();
    let found = all.find(|(_, one)| text(&one.config["ContinuousDeploymentPolicyId"]) == policy);
    Ok(found.map(|(id, _)| id))
}

/// The staging distribution with this domain.
fn staging_of(records: &Records<'_>, name: &str) -> Result<Option<String>, ApiError> {
    let mut all = records.list::<Distribution>(Kind::Distribution, "")?.into_iter();
    let found = all.find(|(id, one)| {
        one.config["Staging"] == Value::Bool(true) && is_same_name(name, &deployment::distribution_domain(id))
    });
    Ok(found.map(|(id, _)| id))
}

fn names(config: &Value) -> impl Iterator<Item = &str> {
    config["StagingDistributionDnsNames"]["Items"].as_array().into_iter().flatten().map(text)
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.strip_suffix('.').unwrap_or(one).eq_ignore_ascii_case(other)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::INVALID_ARGUMENT, message)
}

const SINGLE_WEIGHT: Shape = Struct(&[
    required("Weight", Fraction),
    optional("SessionStickinessConfig", Struct(&[required("IdleTTL", Number), required("MaximumTTL", Number)])),
]);

/// AWS: "ContinuousDeploymentPolicyConfig".
const POLICY: Shape = Struct(&[
    required(
        "StagingDistributionDnsNames",
        Struct(&[required("Quantity", Number), defaulted("Items", List("DnsName", &Text), "[]")]),
    ),
    required("Enabled", Flag),
    optional(
        "TrafficConfig",
        Struct(&[
            optional("SingleWeightConfig", SINGLE_WEIGHT),
            optional("SingleHeaderConfig", Struct(&[required("Header", Text), required("Value", Text)])),
            required("Type", Text),
        ]),
    ),
]);

const CONFIG: &str = "ContinuousDeploymentPolicyConfig";
const WEIGHT: &str = "SingleWeight";
const HEADER: &str = "SingleHeader";
/// AWS: "Quotas and other considerations for continuous deployment".
const POLICIES_MAX: usize = 20;
/// AWS: "ContinuousDeploymentSingleHeaderConfig".
const HEADER_LENGTH_MAX: usize = 256;
const VALUE_LENGTH_MAX: usize = 1_783;
