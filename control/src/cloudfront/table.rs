//! A DistributionConfig in the language of the configuration file, where the deployment's
//! checks find the rest of what is wrong with it.

use super::distribution::{Distribution, text};
use super::{Tables, key};
use crate::error::{ApiError, Code};
use crate::lambda::Named;
use crate::plane::Plane;
use crate::store::Records;
use serde_json::Value;
use toml::Table;

/// The distribution as a table, with the policies that it names; `None` when it is disabled.
pub(crate) fn table(distribution: &Distribution, policies: &Tables) -> Result<Option<Table>, ApiError> {
    let config = &distribution.config;
    if config["Enabled"] != Value::Bool(true) {
        return Ok(None);
    }
    let mut table = Table::new();
    table.insert("domains".into(), domains(config).into());
    let root = text(&config["DefaultRootObject"]);
    if !root.is_empty() {
        table.insert("default_root_object".into(), root.into());
    }
    if config["Staging"] == Value::Bool(true) {
        table.insert("staging".into(), true.into());
    }
    if let Some(header) = config["CacheTagConfig"]["HeaderName"].as_str() {
        table.insert("cache_tag_header".into(), header.into());
    }
    let mut origins = Table::new();
    for item in items(&config["Origins"]) {
        origins.insert(text(&item["Id"]).into(), origin(item)?.into());
    }
    table.insert("origins".into(), origins.into());
    let groups =
        items(&config["OriginGroups"]).iter().map(|group| (text(&group["Id"]).into(), origin_group(group).into()));
    table.insert("origin_groups".into(), groups.collect::<Table>().into());
    let behaviors: Result<Vec<Table>, ApiError> =
        items(&config["CacheBehaviors"]).iter().map(|item| behavior(item, policies)).collect();
    table.insert("behaviors".into(), behaviors?.into());
    table.insert("default_behavior".into(), behavior(&config["DefaultCacheBehavior"], policies)?.into());
    let pages: Result<Vec<Table>, ApiError> = items(&config["CustomErrorResponses"]).iter().map(error_page).collect();
    table.insert("error_pages".into(), pages?.into());
    let geo = &config["Restrictions"]["GeoRestriction"];
    let kind = match text(&geo["RestrictionType"]) {
        "none" => return Ok(Some(table)),
        "whitelist" => "allow",
        "blacklist" => "block",
        other => return Err(invalid(format!("RestrictionType {other:?} must be none, whitelist or blacklist"))),
    };
    let restriction = Table::from_iter([(kind.to_owned(), strings(geo).into())]);
    table.insert("geo_restriction".into(), restriction.into());
    Ok(Some(table))
}

/// The functions that its behaviors name, with their versions. Those that cannot be read are left out.
pub(crate) fn associated(distribution: &Distribution) -> Vec<(String, String)> {
    associated_in(&distribution.config)
}

/// The same of a DistributionConfig.
pub(crate) fn associated_in(config: &Value) -> Vec<(String, String)> {
    let behaviors = items(&config["CacheBehaviors"]).iter().chain([&config["DefaultCacheBehavior"]]);
    let associations = behaviors.flat_map(|behavior| items(&behavior["LambdaFunctionAssociations"]));
    associations.filter_map(|association| version_of(text(&association["LambdaFunctionARN"])).ok()).collect()
}

/// Every LambdaFunctionAssociation of a DistributionConfig.
pub(crate) fn associations_mut(config: &mut Value) -> Vec<&mut Value> {
    let Some(members) = config.as_object_mut() else { return Vec::new() };
    let mut behaviors: Vec<&mut Value> = Vec::new();
    for (name, value) in members {
        match name.as_str() {
            "DefaultCacheBehavior" => behaviors.push(value),
            "CacheBehaviors" => behaviors.extend(items_mut(value)),
            _ => {}
        }
    }
    behaviors.into_iter().flat_map(|behavior| items_mut(&mut behavior["LambdaFunctionAssociations"])).collect()
}

/// Its alternate domain names, lower case.
pub(super) fn domains(config: &Value) -> Vec<String> {
    strings(&config["Aliases"]).into_iter().map(|domain| domain.to_ascii_lowercase()).collect()
}

/// Refuses associations of what is no published version, and those that contradict each other.
pub(super) fn check_associations(plane: &Plane, records: &Records<'_>, config: &Value) -> Result<(), ApiError> {
    for behavior in items(&config["CacheBehaviors"]).iter().chain([&config["DefaultCacheBehavior"]]) {
        let associations = items(&behavior["LambdaFunctionAssociations"]);
        for (nth, association) in associations.iter().enumerate() {
            let arn = text(&association["LambdaFunctionARN"]);
            let (name, number) = version_of(arn)?;
            let refused = |reason: String| ApiError::new(Code::INVALID_ASSOCIATION, reason);
            let (settings, _) = crate::lambda::version(records, &name, &number)
                .map_err(|_| refused(format!("The function {arn} does not exist.")))?;
            settings.unseal(&plane.packages)?;
            let event = text(&association["EventType"]);
            if associations[..nth].iter().any(|earlier| earlier["EventType"] == association["EventType"]) {
                return Err(refused(format!("a behavior has two functions for {event}")));
            }
            if !EVENTS.contains(&event) {
                return Err(refused(format!("EventType {event:?} is not one of {}", EVENTS.join(", "))));
            }
            if association["IncludeBody"] == Value::Bool(true) && !event.ends_with("-request") {
                return Err(refused(format!("IncludeBody on {event}: only request events have a body")));
            }
        }
    }
    Ok(())
}

fn version_of(arn: &str) -> Result<(String, String), ApiError> {
    let refused = || {
        let message = format!(
            "The function ARN must reference a specific function version. (The ARN must end with \
                               the version number.) ARN: {arn}"
        );
        ApiError::new(Code::INVALID_ASSOCIATION, message)
    };
    let named = Named::parse(arn).map_err(|_| refused())?;
    let number = named.qualifier.filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
    number.map(|number| (named.name, number)).ok_or_else(refused)
}

fn origin(item: &Value) -> Result<Table, ApiError> {
    let (id, domain, path) = (text(&item["Id"]), text(&item["DomainName"]), text(&item["OriginPath"]));
    let custom = &item["CustomOriginConfig"];
    let (url, timeouts) = match text(&custom["OriginProtocolPolicy"]) {
        "http-only" => (format!("http://{domain}:{}{path}", custom["HTTPPort"]), custom),
        "https-only" => (format!("https://{domain}:{}{path}", custom["HTTPSPort"]), custom),
        "" => (format!("https://{domain}{path}"), &item["S3OriginConfig"]),
        other => {
            let message = format!(
                "origin {id}: OriginProtocolPolicy {other} is not supported by this edge, \
                                   it must be http-only or https-only"
            );
            return Err(invalid(message));
        }
    };
    let mut origin = Table::new();
    origin.insert("url".into(), url.into());
    let headers = items(&item["CustomHeaders"]).iter();
    let headers = headers.map(|header| (text(&header["HeaderName"]).to_owned(), text(&header["HeaderValue"]).into()));
    origin.insert("headers".into(), headers.collect::<Table>().into());
    origin.insert("connection_attempts".into(), number(&item["ConnectionAttempts"]).into());
    for (key, value) in [
        ("connect_timeout", &item["ConnectionTimeout"]),
        ("read_timeout", &timeouts["OriginReadTimeout"]),
        ("keepalive_timeout", &timeouts["OriginKeepaliveTimeout"]),
    ] {
        if value.is_number() {
            origin.insert(key.into(), format!("{value}s").into());
        }
    }
    Ok(origin)
}

fn origin_group(group: &Value) -> Table {
    let member = |nth: usize| text(&group["Members"]["Items"][nth]["OriginId"]).to_owned();
    let statuses: Vec<i64> = items(&group["FailoverCriteria"]["StatusCodes"]).iter().map(number).collect();
    Table::from_iter([
        ("primary".to_owned(), member(0).into()),
        ("secondary".to_owned(), member(1).into()),
        ("statuses".to_owned(), statuses.into()),
    ])
}

fn behavior(item: &Value, policies: &Tables) -> Result<Table, ApiError> {
    let mut behavior = Table::new();
    if let Some(pattern) = item["PathPattern"].as_str() {
        behavior.insert("path".into(), pattern.into());
    }
    behavior.insert("origin".into(), text(&item["TargetOriginId"]).into());
    behavior.insert("viewer_protocol".into(), text(&item["ViewerProtocolPolicy"]).into());
    let methods = strings(&item["AllowedMethods"]);
    let allowed = match methods.len() {
        2 => "read",
        3 => "read+options",
        7 => "all",
        count => return Err(invalid(format!("AllowedMethods has {count} methods, it must have 2, 3 or 7"))),
    };
    behavior.insert("allowed_methods".into(), allowed.into());
    let groups = key::trusted_of(item);
    if !groups.is_empty() {
        behavior.insert("trusted_key_groups".into(), groups.into());
    }
    let compressible = cache(item, policies, &mut behavior)?;
    if item["Compress"] == Value::Bool(true) && compressible {
        behavior.insert("compress".into(), true.into());
    }
    for (member, key) in [("OriginRequestPolicyId", "forward"), ("ResponseHeadersPolicyId", "response_headers")] {
        if let Some(id) = item[member].as_str().filter(|id| !id.is_empty()) {
            behavior.insert(key.into(), policies.get(id).cloned().unwrap_or_else(|| id.into()));
        }
    }
    let mut hooks = Table::new();
    for association in items(&item["LambdaFunctionAssociations"]) {
        let (name, number) = version_of(text(&association["LambdaFunctionARN"]))?;
        let include_body = association["IncludeBody"] == Value::Bool(true);
        let hook = Table::from_iter([
            ("function".to_owned(), format!("{name}:{number}").into()),
            ("include_body".to_owned(), include_body.into()),
        ]);
        hooks.insert(text(&association["EventType"]).into(), hook.into());
    }
    behavior.insert("hooks".into(), hooks.into());
    Ok(behavior)
}

/// The cache policy, or what ForwardedValues says in its place. Returns whether objects may be
/// compressed: CloudFront ignores Compress where the policy does not allow it.
fn cache(item: &Value, policies: &Tables, behavior: &mut Table) -> Result<bool, ApiError> {
    let forwarded = &item["ForwardedValues"];
    if let Some(id) = item["CachePolicyId"].as_str() {
        if let Some(policy) = policies.get(id) {
            let allows = |key: &str| policy.get(key).and_then(toml::Value::as_bool).unwrap_or_default();
            behavior.insert("cache".into(), policy.clone());
            return Ok(allows("gzip") || allows("brotli"));
        }
        behavior.insert("cache".into(), id.into());
        return Ok(deployment::managed_cache(id).is_none_or(|policy| policy.gzip || policy.brotli));
    }
    let ttl = |member: &str, default: i64| item[member].as_i64().unwrap_or(default);
    let min = ttl("MinTTL", 0);
    let default = ttl("DefaultTTL", 86_400.max(min));
    let max = ttl("MaxTTL", 31_536_000.max(default));
    if min > default || default > max {
        let message = format!("MinTTL {min}, DefaultTTL {default} and MaxTTL {max} must not fall");
        return Err(ApiError::new(Code::INVALID_TTL_ORDER, message));
    }
    let cookies = match text(&forwarded["Cookies"]["Forward"]) {
        "whitelist" => selection(strings(&forwarded["Cookies"]["WhitelistedNames"])),
        word => word.into(),
    };
    let query = match (&forwarded["QueryString"], strings(&forwarded["QueryStringCacheKeys"])) {
        (Value::Bool(true), keys) if keys.is_empty() => "all".into(),
        (Value::Bool(true), keys) => selection(keys),
        _ => "none".into(),
    };
    let headers = strings(&forwarded["Headers"]);
    let cached = max > 0;
    let mut table = Table::new();
    for (key, seconds) in [("min_ttl", min), ("default_ttl", default), ("max_ttl", max)] {
        table.insert(key.into(), format!("{seconds}s").into());
    }
    if cached {
        table.insert("cookies".into(), cookies);
        table.insert("query".into(), query);
        table.insert("headers".into(), headers.into());
        if forwarded["QueryString"] == Value::Bool(true) {
            // AWS: "QueryStringCacheKeys": what is not in the key goes to the origin all the same.
            behavior.insert("forward".into(), Table::from_iter([("query".to_owned(), "all".into())]).into());
        }
    } else {
        let forward =
            [("cookies".to_owned(), cookies), ("query".to_owned(), query), ("headers".to_owned(), selection(headers))];
        behavior.insert("forward".into(), Table::from_iter(forward).into());
    }
    behavior.insert("cache".into(), table.into());
    Ok(cached)
}

fn error_page(item: &Value) -> Result<Table, ApiError> {
    let mut page = Table::new();
    page.insert("error_code".into(), number(&item["ErrorCode"]).into());
    page.insert("error_caching_min_ttl".into(), format!("{}s", item["ErrorCachingMinTTL"]).into());
    let (path, code) = (text(&item["ResponsePagePath"]), text(&item["ResponseCode"]));
    if !path.is_empty() {
        page.insert("path".into(), path.into());
    }
    if !code.is_empty() {
        let code: i64 = code.parse().map_err(|_| invalid(format!("ResponseCode {code:?} is not a number")))?;
        page.insert("response_code".into(), code.into());
    }
    Ok(page)
}

/// Only these names; none when there are none.
fn selection(names: Vec<String>) -> toml::Value {
    if names.is_empty() { "none".into() } else { names.into() }
}

fn items(list: &Value) -> &[Value] {
    list["Items"].as_array().map_or(&[], Vec::as_slice)
}

fn items_mut(list: &mut Value) -> &mut [Value] {
    list["Items"].as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

fn strings(list: &Value) -> Vec<String> {
    items(list).iter().map(|item| text(item).to_owned()).collect()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::INVALID_ARGUMENT, message)
}

const EVENTS: [&str; 4] = ["viewer-request", "viewer-response", "origin-request", "origin-response"];
