//! CloudFront's API: distributions, their tags and invalidations, policies, keys, origin access controls,
//! continuous deployment, and key value stores.
//! Each operation is one function of a submodule; this file knows which.

mod continuous_deployment;
mod distribution;
mod invalidation;
mod key;
mod key_value_store;
mod managed_headers;
mod operations;
mod origin_access_control;
mod policy;
mod policy_table;
mod resource;
mod shape;
mod shapes;
mod staging;
mod table;
mod tag;
mod unsupported;

pub(crate) use continuous_deployment::join as join_staging;
pub(crate) use distribution::Distribution;
pub(crate) use key::key_groups;
pub(crate) use origin_access_control::sign_origins;
pub(crate) use policy::{Tables, tables};
pub(crate) use shapes::DISTRIBUTION;
pub(crate) use table::{associated, associated_in, associations_mut, table};

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::lambda::ACCOUNT;
use crate::plane::Plane;
use crate::request::Request;
use crate::route;
use operations::OPERATIONS;
use origin_access_control::ORIGIN_ACCESS_CONTROLS;
use rand::Rng as _;
use std::sync::Arc;
use time::OffsetDateTime;
use time::macros::format_description;

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let operation = route::expect(OPERATIONS, &request, Code::UNSUPPORTED)?;
    route::perform(plane, operation, request, perform).await
}

fn perform(plane: &Plane, operation: &str, named: &[String], request: &Request) -> Result<Answer, ApiError> {
    let first = named.first().map_or("", String::as_str);
    let second = named.get(1).map_or("", String::as_str);
    match operation {
        "CreateDistribution" => distribution::create(plane, request),
        "CreateDistributionWithTags" => distribution::create_with_tags(plane, request),
        "GetDistribution" => distribution::find(plane, first),
        "GetDistributionConfig" => distribution::config(plane, first),
        "UpdateDistribution" => distribution::update(plane, first, request),
        "DeleteDistribution" => distribution::delete(plane, first, request),
        "CopyDistribution" => staging::copy(plane, first, request),
        "UpdateDistributionWithStagingConfig" => staging::promote(plane, first, request),
        "ListDistributions" => distribution::list(plane, request),
        "CreateInvalidation" => invalidation::create(plane, first, request),
        "GetInvalidation" => invalidation::find(plane, first, second),
        "ListInvalidations" => invalidation::list(plane, first, request),
        "ListTagsForResource" => tag::list(plane, request),
        "TagResource" => tag::tag(plane, request),
        "UntagResource" => tag::untag(plane, request),
        "CreateCachePolicy" => policy::CACHE.create(plane, request),
        "GetCachePolicy" => policy::CACHE.find(plane, first),
        "GetCachePolicyConfig" => policy::CACHE.config(plane, first),
        "UpdateCachePolicy" => policy::CACHE.update(plane, first, request),
        "DeleteCachePolicy" => policy::CACHE.delete(plane, first, request),
        "ListCachePolicies" => policy::CACHE.list(plane, request),
        "CreateOriginRequestPolicy" => policy::ORIGIN_REQUEST.create(plane, request),
        "GetOriginRequestPolicy" => policy::ORIGIN_REQUEST.find(plane, first),
        "GetOriginRequestPolicyConfig" => policy::ORIGIN_REQUEST.config(plane, first),
        "UpdateOriginRequestPolicy" => policy::ORIGIN_REQUEST.update(plane, first, request),
        "DeleteOriginRequestPolicy" => policy::ORIGIN_REQUEST.delete(plane, first, request),
        "ListOriginRequestPolicies" => policy::ORIGIN_REQUEST.list(plane, request),
        "CreateResponseHeadersPolicy" => policy::RESPONSE_HEADERS.create(plane, request),
        "GetResponseHeadersPolicy" => policy::RESPONSE_HEADERS.find(plane, first),
        "GetResponseHeadersPolicyConfig" => policy::RESPONSE_HEADERS.config(plane, first),
        "UpdateResponseHeadersPolicy" => policy::RESPONSE_HEADERS.update(plane, first, request),
        "DeleteResponseHeadersPolicy" => policy::RESPONSE_HEADERS.delete(plane, first, request),
        "ListResponseHeadersPolicies" => policy::RESPONSE_HEADERS.list(plane, request),
        "CreatePublicKey" => key::PUBLIC_KEYS.create(plane, request),
        "GetPublicKey" => key::PUBLIC_KEYS.find(plane, first),
        "GetPublicKeyConfig" => key::PUBLIC_KEYS.config(plane, first),
        "UpdatePublicKey" => key::PUBLIC_KEYS.update(plane, first, request),
        "DeletePublicKey" => key::PUBLIC_KEYS.delete(plane, first, request),
        "ListPublicKeys" => key::PUBLIC_KEYS.list(plane, request),
        "CreateKeyGroup" => key::KEY_GROUPS.create(plane, request),
        "GetKeyGroup" => key::KEY_GROUPS.find(plane, first),
        "GetKeyGroupConfig" => key::KEY_GROUPS.config(plane, first),
        "UpdateKeyGroup" => key::KEY_GROUPS.update(plane, first, request),
        "DeleteKeyGroup" => key::KEY_GROUPS.delete(plane, first, request),
        "ListKeyGroups" => key::KEY_GROUPS.list(plane, request),
        "CreateOriginAccessControl" => ORIGIN_ACCESS_CONTROLS.create(plane, request),
        "GetOriginAccessControl" => ORIGIN_ACCESS_CONTROLS.find(plane, first),
        "GetOriginAccessControlConfig" => ORIGIN_ACCESS_CONTROLS.config(plane, first),
        "UpdateOriginAccessControl" => ORIGIN_ACCESS_CONTROLS.update(plane, first, request),
        "DeleteOriginAccessControl" => ORIGIN_ACCESS_CONTROLS.delete(plane, first, request),
        "ListOriginAccessControls" => ORIGIN_ACCESS_CONTROLS.list(plane, request),
        old if old.contains("OriginAccessIdentit") => {
            let message = format!("{old} is not supported by this edge; use an origin access control");
            Err(ApiError::new(Code::UNSUPPORTED, message))
        }
        "CreateContinuousDeploymentPolicy" => continuous_deployment::create(plane, request),
        "GetContinuousDeploymentPolicy" => continuous_deployment::POLICIES.find(plane, first),
        "GetContinuousDeploymentPolicyConfig" => continuous_deployment::POLICIES.config(plane, first),
        "UpdateContinuousDeploymentPolicy" => continuous_deployment::update(plane, first, request),
        "DeleteContinuousDeploymentPolicy" => continuous_deployment::delete(plane, first, request),
        "ListContinuousDeploymentPolicies" => continuous_deployment::POLICIES.list(plane, request),
        "CreateKeyValueStore" => key_value_store::create(plane, request),
        "DescribeKeyValueStore" => key_value_store::find(plane, first),
        "UpdateKeyValueStore" => key_value_store::update(plane, first, request),
        "DeleteKeyValueStore" => key_value_store::delete(plane, first, request),
        "ListKeyValueStores" => key_value_store::list(plane, request),
        other => Err(ApiError::new(Code::UNSUPPORTED, format!("{other} is not supported by this edge"))),
    }
}

/// `first` and 13 upper-case letters and digits.
pub(crate) fn random_id(first: char) -> String {
    let mut random = rand::rng();
    let rest = (0..13).map(|_| char::from(ID_ALPHABET[random.random_range(0..ID_ALPHABET.len())]));
    std::iter::once(first).chain(rest).collect()
}

/// This moment, as the API shows times.
pub(crate) fn now() -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::now_utc().format(form).expect("every time of day can be written")
}

fn distribution_arn(id: &str) -> String {
    format!("arn:aws:cloudfront::{ACCOUNT}:distribution/{id}")
}

/// Also that of what is in it.
pub(crate) fn key_value_store_arn(id: &str) -> String {
    format!("arn:aws:cloudfront::{ACCOUNT}:key-value-store/{id}")
}

/// The date of the API, the first part of every path.
pub(crate) const VERSION: &str = "2020-05-31";
pub(crate) const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";
const ID_ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
