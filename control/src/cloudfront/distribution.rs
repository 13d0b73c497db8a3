//! Distributions: create, get, update, delete, list. They are deployed when a call returns.

use super::shape::Shape;
use super::shapes::{DISTRIBUTION, DISTRIBUTION_WITH_TAGS};
use super::{distribution_arn, key, now, origin_access_control, random_id, staging, table, tag, unsupported};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml::{self, Element, put, put_raw};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is kept of one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Distribution {
    /// A DistributionConfig with every default filled in.
    pub(crate) config: Value,
    pub(crate) etag: String,
    pub(crate) modified: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// CreateDistribution.
pub(super) fn create(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let config = read(&DISTRIBUTION, "DistributionConfig", request)?;
    create_from(plane, request, BTreeMap::new(), |_| Ok(config))
}

/// CreateDistributionWithTags.
pub(super) fn create_with_tags(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let mut both = read(&DISTRIBUTION_WITH_TAGS, "DistributionConfigWithTags", request)?;
    let tags = tag::read(&both["Tags"])?;
    create_from(plane, request, tags, |_| Ok(both["DistributionConfig"].take()))
}

/// One with the configuration that `find` finds.
pub(super) fn create_from(
    plane: &Plane,
    request: &Request,
    tags: BTreeMap<String, String>,
    find: impl FnOnce(&Records<'_>) -> Result<Value, ApiError>,
) -> Result<Answer, ApiError> {
    let (id, etag) = (random_id('E'), random_id('E'));
    let shown = plane.change(Code::INVALID_ARGUMENT, |records| {
        let config = find(records)?;
        unsupported::check(&config)?;
        let distribution = Distribution { config, etag: etag.clone(), modified: now(), tags };
        let reference = text(&distribution.config["CallerReference"]).to_owned();
        if let Some(earlier) = records.find::<String>(Kind::CallerReference, "", &reference)? {
            let message = format!(
                "The caller reference that you are using to create a distribution is associated \
                                   with another distribution. Already exists: {earlier}"
            );
            return Err(ApiError::new(Code::DISTRIBUTION_EXISTS, message));
        }
        staging::check_new(records, &distribution.config)?;
        check(plane, records, &id, &distribution.config)?;
        records.put(Kind::CallerReference, "", &reference, &id)?;
        records.put(Kind::Distribution, "", &id, &distribution)?;
        shown(records, &id, &distribution)
    })?;
    let location = format!("http://{}/{}/distribution/{id}", request.host(), super::VERSION);
    let answer = Answer::xml(StatusCode::CREATED, xml::document("Distribution", &shown));
    Ok(answer.with("etag", etag).with("location", location))
}

/// GetDistribution.
pub(super) fn find(plane: &Plane, id: &str) -> Result<Answer, ApiError> {
    let (shown, etag) = plane.store.read(|records| {
        let found = existing(records, id)?;
        Ok((shown(records, id, &found)?, found.etag))
    })?;
    Ok(answer(&shown, etag))
}

/// GetDistributionConfig.
pub(super) fn config(plane: &Plane, id: &str) -> Result<Answer, ApiError> {
    let found = plane.store.read(|records| existing(records, id))?;
    let document = xml::document("DistributionConfig", &DISTRIBUTION.content(&found.config));
    Ok(Answer::xml(StatusCode::OK, document).with("etag", found.etag))
}

/// UpdateDistribution: the whole configuration in place of the old one.
pub(super) fn update(plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
    let config = read(&DISTRIBUTION, "DistributionConfig", request)?;
    unsupported::check(&config)?;
    let (shown, etag) = plane.change(Code::INVALID_ARGUMENT, |records| {
        let mut found = existing(records, id)?;
        request.expect_etag(&found.etag)?;
        if config["CallerReference"] != found.config["CallerReference"] {
            return Err(ApiError::new(Code::ILLEGAL_UPDATE, "CallerReference cannot be changed"));
        }
        staging::check_change(records, id, &found.config, &config)?;
        check(plane, records, id, &config)?;
        (found.config, found.etag, found.modified) = (config, random_id('E'), now());
        records.put(Kind::Distribution, "", id, &found)?;
        Ok((shown(records, id, &found)?, found.etag))
    })?;
    Ok(answer(&shown, etag))
}

/// DeleteDistribution: of one that is disabled.
pub(super) fn delete(plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
    plane.change(Code::INVALID_ARGUMENT, |records| {
        let found = existing(records, id)?;
        request.expect_etag(&found.etag)?;
        if found.config["Enabled"] == Value::Bool(true) {
            let message = "The distribution you are trying to delete has not been disabled.";
            return Err(ApiError::new(Code::DISTRIBUTION_ENABLED, message));
        }
        staging::expect_unused(records, id, &found.config)?;
        records.remove(Kind::Distribution, "", id)?;
        records.remove_below(Kind::Invalidation, id)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListDistributions.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let all = plane.store.read(|records| records.list::<Distribution>(Kind::Distribution, ""))?;
    let items = all.iter().map(|(id, distribution)| (id.clone(), summary(id, distribution))).collect();
    list_document(request, "DistributionList", "DistributionSummary", items)
}

/// The page of a list that the request asks for; `items` are in order of their keys.
pub(super) fn list_document(
    request: &Request,
    root: &str,
    child: &str,
    items: Vec<(String, String)>,
) -> Result<Answer, ApiError> {
    let marker = request.query("Marker").unwrap_or_default();
    let max = match request.query("MaxItems").filter(|max| !max.is_empty()) {
        None => ITEMS_MAX,
        Some(max) => {
            let wrong = || ApiError::new(Code::INVALID_ARGUMENT, format!("MaxItems is {max:?}, it must be a number"));
            max.parse::<usize>().map_err(|_| wrong())?.min(ITEMS_MAX)
        }
    };
    let rest: Vec<&(String, String)> =
        items.iter().filter(|(key, _)| marker.is_empty() || key.as_str() > marker).collect();
    let shown = &rest[..rest.len().min(max)];
    let mut out = String::new();
    put(&mut out, "Marker", marker);
    if let (true, Some((last, _))) = (shown.len() < rest.len(), shown.last()) {
        put(&mut out, "NextMarker", last);
    }
    put(&mut out, "MaxItems", &max.to_string());
    put(&mut out, "IsTruncated", &(shown.len() < rest.len()).to_string());
    put(&mut out, "Quantity", &shown.len().to_string());
    if !shown.is_empty() {
        let mut content = String::new();
        shown.iter().for_each(|(_, item)| put_raw(&mut content, child, item));
        put_raw(&mut out, "Items", &content);
    }
    Ok(Answer::xml(StatusCode::OK, xml::document(root, &out)))
}

pub(super) fn existing(records: &Records<'_>, id: &str) -> Result<Distribution, ApiError> {
    let found = records.find(Kind::Distribution, "", id)?;
    found.ok_or_else(|| ApiError::new(Code::NO_SUCH_DISTRIBUTION, "The specified distribution does not exist."))
}

/// The body, when its root is called so.
pub(super) fn read(shape: &Shape, root: &str, request: &Request) -> Result<Value, ApiError> {
    let element = Element::parse(&request.body)?;
    if element.name != root {
        let message = format!("the document is a {}, not a {root}", element.name);
        return Err(ApiError::new(Code::MALFORMED_XML, message));
    }
    shape.read(&element)
}

/// Refuses a configuration that takes what is another's, or names what is not there.
pub(super) fn check(plane: &Plane, records: &Records<'_>, id: &str, config: &Value) -> Result<(), ApiError> {
    aliases_are_free(records, id, config)?;
    table::check_associations(plane, records, config)?;
    key::check_trusted(records, config)?;
    origin_access_control::check_origins(plane, records, id, config)
}

/// A domain belongs to one distribution.
fn aliases_are_free(records: &Records<'_>, id: &str, config: &Value) -> Result<(), ApiError> {
    let wanted: Vec<String> = table::domains(config);
    for (other, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
        let taken = table::domains(&distribution.config);
        if let (true, Some(domain)) = (other != id, wanted.iter().find(|domain| taken.contains(domain))) {
            let message = format!("{domain} is already a domain name of distribution {other}");
            return Err(ApiError::new(Code::ALIAS_TAKEN, message));
        }
    }
    Ok(())
}

pub(super) fn answer(shown: &str, etag: String) -> Answer {
    Answer::xml(StatusCode::OK, xml::document("Distribution", shown)).with("etag", etag)
}

/// The content of a Distribution element.
pub(super) fn shown(records: &Records<'_>, id: &str, distribution: &Distribution) -> Result<String, ApiError> {
    let mut out = String::new();
    put(&mut out, "Id", id);
    put(&mut out, "ARN", &distribution_arn(id));
    put(&mut out, "Status", "Deployed");
    put(&mut out, "LastModifiedTime", &distribution.modified);
    put(&mut out, "InProgressInvalidationBatches", "0");
    put(&mut out, "DomainName", &deployment::distribution_domain(id));
    put_raw(&mut out, "ActiveTrustedSigners", "<Enabled>false</Enabled><Quantity>0</Quantity>");
    put_raw(&mut out, "ActiveTrustedKeyGroups", &key::active(records, &distribution.config)?);
    DISTRIBUTION.write(&mut out, "DistributionConfig", &distribution.config);
    Ok(out)
}

/// AWS: "DistributionSummary": most of the configuration, beside what is not configured.
fn summary(id: &str, distribution: &Distribution) -> String {
    let mut out = String::new();
    put(&mut out, "Id", id);
    put(&mut out, "ARN", &distribution_arn(id));
    put(&mut out, "ETag", &distribution.etag);
    put(&mut out, "Status", "Deployed");
    put(&mut out, "LastModifiedTime", &distribution.modified);
    put(&mut out, "DomainName", &deployment::distribution_domain(id));
    let Shape::Struct(fields) = DISTRIBUTION else { return out };
    for field in fields.iter().filter(|field| !NOT_IN_SUMMARY.contains(&field.name)) {
        if let Some(value) = distribution.config.get(field.name) {
            field.shape.write(&mut out, field.name, value);
        }
    }
    out
}

/// The text of a value; empty when it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const NOT_IN_SUMMARY: [&str; 5] =
    ["CallerReference", "DefaultRootObject", "Logging", "ContinuousDeploymentPolicyId", "CacheTagConfig"];
/// AWS: "ListDistributions", and the other lists.
const ITEMS_MAX: usize = 100;
