//! Policies in the language of the configuration file, and the managed ones as structures.

use super::distribution::text;
use crate::error::{ApiError, Code};
use deployment::{CachePolicy, ForwardPolicy, HeaderSelection, Selection};
use serde_json::{Value, json};
use toml::Table;

/// A CachePolicyConfig.
pub(super) fn cache(config: &Value) -> Result<toml::Value, ApiError> {
    let key = &config["ParametersInCacheKeyAndForwardedToOrigin"];
    let seconds = |member: &str| config[member].as_i64().unwrap_or_default();
    let (min, default, max) = (seconds("MinTTL"), seconds("DefaultTTL"), seconds("MaxTTL"));
    if min > default || default > max {
        let message = format!("MinTTL {min}, DefaultTTL {default} and MaxTTL {max} must not fall");
        return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
    }
    let headers = match text(&key["HeadersConfig"]["HeaderBehavior"]) {
        "none" => Vec::new(),
        "whitelist" => names(&key["HeadersConfig"]["Headers"]),
        other => return Err(unknown("HeaderBehavior", other)),
    };
    let mut table = Table::new();
    for (name, value) in [("min_ttl", min), ("default_ttl", default), ("max_ttl", max)] {
        table.insert(name.into(), format!("{value}s").into());
    }
    table.insert("headers".into(), headers.into());
    selections(key, &mut table)?;
    table.insert("gzip".into(), flag(&key["EnableAcceptEncodingGzip"]).into());
    table.insert("brotli".into(), flag(&key["EnableAcceptEncodingBrotli"]).into());
    Ok(table.into())
}

/// An OriginRequestPolicyConfig.
pub(super) fn forward(config: &Value) -> Result<toml::Value, ApiError> {
    let listed = names(&config["HeadersConfig"]["Headers"]);
    let mut table = Table::new();
    let headers: toml::Value = match text(&config["HeadersConfig"]["HeaderBehavior"]) {
        "none" => "none".into(),
        "whitelist" => listed.into(),
        "allViewer" => "all".into(),
        "allExcept" => except(listed),
        "allViewerAndWhitelistCloudFront" => {
            table.insert("edge_headers".into(), listed.into());
            "all".into()
        }
        other => return Err(unknown("HeaderBehavior", other)),
    };
    table.insert("headers".into(), headers);
    selections(config, &mut table)?;
    Ok(table.into())
}

/// A ResponseHeadersPolicyConfig.
pub(super) fn response_headers(config: &Value) -> Result<toml::Value, ApiError> {
    let mut table = Table::new();
    table.insert("remove".into(), headers_of(&config["RemoveHeadersConfig"], "Header").into());
    let custom = config["CustomHeadersConfig"]["Items"].as_array().into_iter().flatten().map(|item| {
        let value = text(&item["Value"]).to_owned();
        Table::from_iter([
            ("name".to_owned(), text(&item["Header"]).into()),
            ("value".to_owned(), value.into()),
            ("override".to_owned(), flag(&item["Override"]).into()),
        ])
    });
    table.insert("add".into(), custom.collect::<Vec<_>>().into());
    table.insert("security".into(), security(&config["SecurityHeadersConfig"]).into());
    let cors = &config["CorsConfig"];
    if cors.is_object() {
        table.insert("cors".into(), self::cors(cors).into());
    }
    let timing = &config["ServerTimingHeadersConfig"];
    if flag(&timing["Enabled"]) {
        let rate = timing["SamplingRate"].as_f64().unwrap_or(0.0);
        table.insert("server_timing".into(), rate.into());
    }
    Ok(table.into())
}

/// The managed cache policies as CachePolicyConfig.
pub(super) fn managed_cache() -> Vec<(&'static str, Value)> {
    deployment::managed_cache_policies().into_iter().map(|(id, policy)| (id, cache_config(&policy))).collect()
}

/// The managed origin request policies as OriginRequestPolicyConfig.
pub(super) fn managed_forward() -> Vec<(&'static str, Value)> {
    let all = deployment::managed_forward_policies().into_iter();
    all.map(|(id, name, policy)| (id, forward_config(name, &policy))).collect()
}

fn cache_config(policy: &CachePolicy) -> Value {
    let headers: Vec<&str> = policy.headers.iter().map(http::HeaderName::as_str).collect();
    let behavior = if headers.is_empty() { "none" } else { "whitelist" };
    json!({
        "Comment": "",
        "Name": managed_name(&policy.name),
        "DefaultTTL": policy.default_ttl.as_secs(),
        "MaxTTL": policy.max_ttl.as_secs(),
        "MinTTL": policy.min_ttl.as_secs(),
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": policy.gzip,
            "EnableAcceptEncodingBrotli": policy.brotli,
            "HeadersConfig": with_names(json!({ "HeaderBehavior": behavior }), "Headers", &headers),
            "CookiesConfig": selected("CookieBehavior", "Cookies", &policy.cookies),
            "QueryStringsConfig": selected("QueryStringBehavior", "QueryStrings", &policy.query),
        },
    })
}

/// As CloudFront lists it: those that leave it to the origin have no prefix.
fn managed_name(name: &str) -> String {
    if name.starts_with("UseOriginCacheControlHeaders") { name.to_owned() } else { format!("Managed-{name}") }
}

fn forward_config(name: &str, policy: &ForwardPolicy) -> Value {
    let (behavior, listed) = match &policy.headers {
        HeaderSelection::None => ("none", &Vec::new()),
        HeaderSelection::Only(list) => ("whitelist", list),
        HeaderSelection::AllExcept(list) => ("allExcept", list),
        HeaderSelection::AllViewer if policy.edge_headers.is_empty() => ("allViewer", &policy.edge_headers),
        HeaderSelection::AllViewer => ("allViewerAndWhitelistCloudFront", &policy.edge_headers),
    };
    let listed: Vec<&str> = listed.iter().map(http::HeaderName::as_str).collect();
    json!({
        "Comment": "",
        "Name": format!("Managed-{name}"),
        "HeadersConfig": with_names(json!({ "HeaderBehavior": behavior }), "Headers", &listed),
        "CookiesConfig": selected("CookieBehavior", "Cookies", &policy.cookies),
        "QueryStringsConfig": selected("QueryStringBehavior", "QueryStrings", &policy.query),
    })
}

fn selected(behavior: &str, list: &str, selection: &Selection) -> Value {
    let (word, names): (&str, &[String]) = match selection {
        Selection::None => ("none", &[]),
        Selection::All => ("all", &[]),
        Selection::Only(names) => ("whitelist", names),
        Selection::AllExcept(names) => ("allExcept", names),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    with_names(json!({ behavior: word }), list, &names)
}

fn with_names(mut value: Value, list: &str, names: &[&str]) -> Value {
    if !names.is_empty() {
        value[list] = json!({ "Quantity": names.len(), "Items": names });
    }
    value
}

/// Cookies and query strings, which both kinds of policies have.
fn selections(config: &Value, table: &mut Table) -> Result<(), ApiError> {
    for (key, member, behavior, list) in [
        ("cookies", "CookiesConfig", "CookieBehavior", "Cookies"),
        ("query", "QueryStringsConfig", "QueryStringBehavior", "QueryStrings"),
    ] {
        let listed = names(&config[member][list]);
        let selection = match text(&config[member][behavior]) {
            word @ ("none" | "all") => word.into(),
            "whitelist" => listed.into(),
            "allExcept" => except(listed),
            other => return Err(unknown(behavior, other)),
        };
        table.insert(key.into(), selection);
    }
    Ok(())
}

fn security(config: &Value) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, member: &str, more: Vec<(&str, toml::Value)>| {
        let header = &config[member];
        if header.is_object() {
            let mut entry: Table = more.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            entry.insert("override".into(), flag(&header["Override"]).into());
            table.insert(key.into(), entry.into());
        }
    };
    let value = |member: &str, of: &str| vec![("value", text(&config[member][of]).into())];
    put("content_type_options", "ContentTypeOptions", Vec::new());
    put("frame_options", "FrameOptions", value("FrameOptions", "FrameOption"));
    put("referrer_policy", "ReferrerPolicy", value("ReferrerPolicy", "ReferrerPolicy"));
    let csp = value("ContentSecurityPolicy", "ContentSecurityPolicy");
    put("content_security_policy", "ContentSecurityPolicy", csp);
    let transport = &config["StrictTransportSecurity"];
    let age = format!("{}s", transport["AccessControlMaxAgeSec"]);
    put(
        "strict_transport_security",
        "StrictTransportSecurity",
        vec![
            ("max_age", age.into()),
            ("include_subdomains", flag(&transport["IncludeSubdomains"]).into()),
            ("preload", flag(&transport["Preload"]).into()),
        ],
    );
    let xss = &config["XSSProtection"];
    let mut protection: Vec<(&str, toml::Value)> =
        vec![("protection", flag(&xss["Protection"]).into()), ("mode_block", flag(&xss["ModeBlock"]).into())];
    if let Some(uri) = xss["ReportUri"].as_str().filter(|uri| !uri.is_empty()) {
        protection.push(("report_uri", uri.into()));
    }
    put("xss_protection", "XSSProtection", protection);
    table
}

fn cors(config: &Value) -> Table {
    let mut cors = Table::new();
    for (key, member) in [
        ("origins", "AccessControlAllowOrigins"),
        ("methods", "AccessControlAllowMethods"),
        ("headers", "AccessControlAllowHeaders"),
        ("expose", "AccessControlExposeHeaders"),
    ] {
        cors.insert(key.into(), names(&config[member]).into());
    }
    cors.insert("credentials".into(), flag(&config["AccessControlAllowCredentials"]).into());
    cors.insert("override".into(), flag(&config["OriginOverride"]).into());
    if config["AccessControlMaxAgeSec"].is_number() {
        cors.insert("max_age".into(), format!("{}s", config["AccessControlMaxAgeSec"]).into());
    }
    cors
}

fn headers_of(list: &Value, member: &str) -> Vec<String> {
    list["Items"].as_array().into_iter().flatten().map(|item| text(&item[member]).to_owned()).collect()
}

fn names(list: &Value) -> Vec<String> {
    list["Items"].as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
}

fn except(names: Vec<String>) -> toml::Value {
    Table::from_iter([("except".to_owned(), names.into())]).into()
}

fn flag(value: &Value) -> bool {
    value == &Value::Bool(true)
}

fn unknown(member: &str, value: &str) -> ApiError {
    ApiError::new(Code::INVALID_ARGUMENT, format!("{member} {value:?} is not known"))
}
