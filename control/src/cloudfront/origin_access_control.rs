//! Origin access controls: how requests to an origin are signed (AWS: "Restrict access to an
//! Amazon S3 origin"). What they sign with is the configuration's to name.

use super::distribution::{Distribution, text};
use super::random_id;
use super::resource::{Resource, ResourceKind, is_taken};
use super::shapes::ORIGIN_ACCESS_CONTROL;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::store::{Kind, Records};
use crate::xml::put;
use deployment::OriginAccess;
use serde_json::Value;
use sigv4::Source;
use toml::Table;

pub(super) const ORIGIN_ACCESS_CONTROLS: ResourceKind = ResourceKind {
    record: Kind::OriginAccessControl,
    name: "OriginAccessControl",
    path: "origin-access-control",
    shape: &ORIGIN_ACCESS_CONTROL,
    new_id: || random_id('E'),
    time: None,
    missing: Code::NO_SUCH_ORIGIN_ACCESS_CONTROL,
    check,
    expect_unused,
    summary: |kind, id, control| {
        let mut out = String::new();
        put(&mut out, "Id", id);
        out.push_str(&kind.shape.content(&control.config));
        out
    },
};

/// Refuses a distribution whose origins name what is not there, or what cannot sign here.
pub(super) fn check_origins(
    plane: &Plane,
    records: &Records<'_>,
    distribution: &str,
    config: &Value,
) -> Result<(), ApiError> {
    for (origin, id) in controls_of(config) {
        let Some(control) = records.find::<Resource>(Kind::OriginAccessControl, "", id)? else {
            let message = format!("origin {origin}: the origin access control {id} does not exist");
            return Err(ApiError::new(Code::INVALID_ORIGIN_ACCESS_CONTROL, message));
        };
        if plane.services.origin_access.is_none() && is_signing(&control.config) {
            return Err(nothing_to_sign_with(&format!("origin {origin}: the origin access control {id}")));
        }
        let others = users_of(records, id)?.into_iter().filter(|user| user != distribution).count();
        if others >= DISTRIBUTIONS_MAX {
            let message = format!("the origin access control {id} is used by {others} distributions already");
            return Err(ApiError::new(Code::TOO_MANY_DISTRIBUTIONS_OF_CONTROL, message));
        }
    }
    Ok(())
}

/// Adds to a distribution's table, in the language of the configuration file, how requests to its origins are
/// signed.
pub(crate) fn sign_origins(
    records: &Records<'_>,
    access: Option<&OriginAccess>,
    config: &Value,
    distribution: &mut Table,
) -> Result<(), ApiError> {
    for item in config["Origins"]["Items"].as_array().into_iter().flatten() {
        let id = text(&item["OriginAccessControlId"]);
        if id.is_empty() {
            continue;
        }
        let control = ORIGIN_ACCESS_CONTROLS.existing(records, id)?.config;
        if !is_signing(&control) {
            continue;
        }
        let name = text(&item["Id"]);
        let access = access.ok_or_else(|| nothing_to_sign_with(&format!("origin {name}: {id}")))?;
        let origin = distribution.get_mut("origins").and_then(|origins| origins.get_mut(name)?.as_table_mut());
        if let Some(origin) = origin {
            origin.insert("access_control".into(), table(&control, access, text(&item["DomainName"])).into());
        }
    }
    Ok(())
}

fn table(control: &Value, access: &OriginAccess, domain: &str) -> Table {
    let credentials: toml::Value = match &access.credentials {
        Source::File(path) => path.display().to_string().into(),
        Source::Environment(prefix) => Table::from_iter([("environment".to_owned(), prefix.clone().into())]).into(),
    };
    Table::from_iter([
        ("signing".to_owned(), text(&control["SigningBehavior"]).into()),
        ("service".to_owned(), text(&control["OriginAccessControlOriginType"]).into()),
        ("region".to_owned(), region_of(domain).unwrap_or(&access.region).into()),
        ("credentials".to_owned(), credentials),
    ])
}

/// The region that AWS's own domain names say: `bucket.s3.eu-west-1.amazonaws.com`,
/// `bucket.s3-eu-west-1.amazonaws.com`, `id.lambda-url.eu-west-1.on.aws`.
fn region_of(domain: &str) -> Option<&str> {
    let suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws"];
    let rest = suffixes.iter().find_map(|suffix| domain.strip_suffix(suffix))?;
    match rest.rsplit('.').next()? {
        "s3" => Some("us-east-1"),
        label => Some(label.strip_prefix("s3-").unwrap_or(label)),
    }
}

fn check(
    plane: &Plane,
    records: &Records<'_>,
    id: &str,
    before: Option<&Value>,
    config: &Value,
) -> Result<(), ApiError> {
    let invalid = |message: String| ApiError::new(Code::INVALID_ARGUMENT, message);
    let (name, description) = (text(&config["Name"]), text(&config["Description"]));
    if name.is_empty() || name.chars().count() > NAME_MAX || description.chars().count() > DESCRIPTION_MAX {
        let rule = format!("Name has 1 to {NAME_MAX} characters, Description at most {DESCRIPTION_MAX}");
        return Err(invalid(rule));
    }
    for (member, known, supported) in MEMBERS {
        let word = text(&config[*member]);
        if !supported.contains(&word) {
            let wrong = if known.contains(&word) { "is not supported by this edge" } else { "is not known" };
            return Err(invalid(format!("{member} {word:?} {wrong}, it must be one of {}", supported.join(", "))));
        }
    }
    if is_taken(records, Kind::OriginAccessControl, id, &config["Name"], "Name")? {
        let message = format!("there is an origin access control with the name {name}");
        return Err(ApiError::new(Code::ORIGIN_ACCESS_CONTROL_EXISTS, message));
    }
    if before.is_none() && records.list::<Resource>(Kind::OriginAccessControl, "")?.len() >= CONTROLS_MAX {
        let message = format!("there are {CONTROLS_MAX} origin access controls already");
        return Err(ApiError::new(Code::TOO_MANY_ORIGIN_ACCESS_CONTROLS, message));
    }
    let is_ready = plane.services.origin_access.is_some() || !is_signing(config);
    match users_of(records, id)?.first() {
        Some(user) if !is_ready => {
            Err(nothing_to_sign_with(&format!("the origin access control, which distribution {user} uses,")))
        }
        _ => Ok(()),
    }
}

fn expect_unused(records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    match users_of(records, id)?.first() {
        Some(user) => {
            let message = format!("the origin access control is used by distribution {user}");
            Err(ApiError::new(Code::ORIGIN_ACCESS_CONTROL_IN_USE, message))
        }
        None => Ok(()),
    }
}

/// The distributions that have an origin with it.
fn users_of(records: &Records<'_>, id: &str) -> Result<Vec<String>, ApiError> {
    let all = records.list::<Distribution>(Kind::Distribution, "")?.into_iter();
    let users = all.filter(|(_, distribution)| controls_of(&distribution.config).any(|(_, used)| used == id));
    Ok(users.map(|(user, _)| user).collect())
}

/// Origins of a DistributionConfig with the controls that they name.
fn controls_of(config: &Value) -> impl Iterator<Item = (&str, &str)> {
    let origins = config["Origins"]["Items"].as_array().into_iter().flatten();
    let named = origins.map(|origin| (text(&origin["Id"]), text(&origin["OriginAccessControlId"])));
    named.filter(|(_, control)| !control.is_empty())
}

fn is_signing(control: &Value) -> bool {
    text(&control["SigningBehavior"]) != "never"
}

fn nothing_to_sign_with(what: &str) -> ApiError {
    let message = format!("{what} signs, and this edge has nothing to sign with: set origin_access in [control]");
    ApiError::new(Code::INVALID_ARGUMENT, message)
}

/// A member, the words that its type has, and those that this edge follows.
type Member = (&'static str, &'static [&'static str], &'static [&'static str]);

const MEMBERS: &[Member] = &[
    ("SigningProtocol", &["sigv4", "sigv4a"], &["sigv4"]),
    ("SigningBehavior", &["never", "always", "no-override", "always-amz-auth"], &["never", "always", "no-override"]),
    ("OriginAccessControlOriginType", &["s3", "mediastore", "mediapackagev2", "lambda"], &["s3", "lambda"]),
];
/// AWS: "OriginAccessControlConfig".
const NAME_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 256;
/// AWS: "Quotas", quotas on origin access controls.
const CONTROLS_MAX: usize = 100;
const DISTRIBUTIONS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_those_of_awss_domain_names() {
        for (domain, region) in [
            ("b.s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("us-west-2.s3.dualstack.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("a.b.s3-eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("b.s3.amazonaws.com", Some("us-east-1")),
            ("b.s3.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("abc.lambda-url.eu-central-1.on.aws", Some("eu-central-1")),
            ("minio.example.com", None),
            ("amazonaws.com.example.com", None),
        ] {
            assert_eq!(region_of(domain), region, "{domain}");
        }
    }
}
