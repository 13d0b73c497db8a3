//! What a DistributionConfig may say that this edge does not do: refused by name, never ignored.

use super::distribution::text;
use crate::error::{ApiError, Code};
use serde_json::Value;

/// Refuses a configuration that would not be followed.
pub(super) fn check(config: &Value) -> Result<(), ApiError> {
    let off = Value::Bool(false);
    for (member, value, allowed) in [
        ("Logging.Enabled", &config["Logging"]["Enabled"], &off),
        ("WebACLId", &config["WebACLId"], &Value::from("")),
        ("AnycastIpListId", &config["AnycastIpListId"], &Value::Null),
        (
            "ViewerCertificate without CloudFrontDefaultCertificate",
            &config["ViewerCertificate"]["CloudFrontDefaultCertificate"],
            &Value::Bool(true),
        ),
    ] {
        only(member, value, allowed)?;
    }
    if let Some(version @ ("http3" | "http2and3")) = config["HttpVersion"].as_str() {
        return Err(refused(&format!("HttpVersion {version}")));
    }
    if let Some(mode) = config["ConnectionMode"].as_str().filter(|mode| *mode != "direct") {
        return Err(refused(&format!("ConnectionMode {mode}")));
    }
    items(&config["Origins"]).iter().try_for_each(check_origin)?;
    let behaviors = items(&config["CacheBehaviors"]).iter().chain([&config["DefaultCacheBehavior"]]);
    behaviors.clone().try_for_each(check_behavior)?;
    check_targets(config, behaviors)
}

fn check_origin(origin: &Value) -> Result<(), ApiError> {
    only("OriginShield.Enabled", &origin["OriginShield"]["Enabled"], &Value::Bool(false))?;
    only("VpcOriginConfig", &origin["VpcOriginConfig"], &Value::Null)?;
    only("ResponseCompletionTimeout", &origin["ResponseCompletionTimeout"], &Value::Null)?;
    let (bucket, custom) = (&origin["S3OriginConfig"], &origin["CustomOriginConfig"]);
    if bucket.is_null() == custom.is_null() {
        let message = format!("origin {}: give one of S3OriginConfig and CustomOriginConfig", text(&origin["Id"]));
        return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
    }
    if !text(&bucket["OriginAccessIdentity"]).is_empty() {
        if !text(&origin["OriginAccessControlId"]).is_empty() {
            let message = format!("origin {}: an identity and a control are two ways to sign", text(&origin["Id"]));
            return Err(ApiError::new(Code::ILLEGAL_ORIGIN_ACCESS, message));
        }
        let instead = "use an origin access control (OriginAccessControlId)";
        return Err(ApiError::new(
            Code::INVALID_ARGUMENT,
            format!("{}; {instead}", unsupported("OriginAccessIdentity")),
        ));
    }
    if let Some(kind) = custom["IpAddressType"].as_str().filter(|kind| *kind != "ipv4") {
        return Err(refused(&format!("IpAddressType {kind}")));
    }
    let protocols = items(&custom["OriginSslProtocols"]);
    if !custom.is_null() && !protocols.iter().any(|protocol| text(protocol) == "TLSv1.2") {
        return Err(refused("OriginSslProtocols without TLSv1.2"));
    }
    Ok(())
}

fn check_behavior(behavior: &Value) -> Result<(), ApiError> {
    let off = Value::Bool(false);
    for (member, value, allowed) in [
        ("TrustedSigners.Enabled", &behavior["TrustedSigners"]["Enabled"], &off),
        ("SmoothStreaming", &behavior["SmoothStreaming"], &off),
        ("GrpcConfig.Enabled", &behavior["GrpcConfig"]["Enabled"], &off),
        ("FieldLevelEncryptionId", &behavior["FieldLevelEncryptionId"], &Value::from("")),
        ("FunctionAssociations", &behavior["FunctionAssociations"]["Quantity"], &Value::from(0)),
    ] {
        only(member, value, allowed)?;
    }
    if !text(&behavior["RealtimeLogConfigArn"]).is_empty() {
        return Err(refused("RealtimeLogConfigArn"));
    }
    let legacy = ["ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL"];
    let given = legacy.iter().find(|member| !behavior[**member].is_null());
    match (behavior["CachePolicyId"].as_str(), given) {
        (Some(_), Some(member)) => {
            let message = format!("a behavior has CachePolicyId and {member}: only one of them can be used");
            Err(ApiError::new(Code::INVALID_ARGUMENT, message))
        }
        (None, _) if behavior["ForwardedValues"].is_null() => {
            Err(ApiError::new(Code::INVALID_ARGUMENT, "a behavior has neither CachePolicyId nor ForwardedValues"))
        }
        (None, _) if items(&behavior["ForwardedValues"]["Headers"]).iter().any(|name| text(name) == "*") => {
            Err(refused("ForwardedValues.Headers \"*\"; use a cache policy and an origin request policy"))
        }
        _ => Ok(()),
    }
}

fn check_targets<'a>(config: &Value, behaviors: impl Iterator<Item = &'a Value>) -> Result<(), ApiError> {
    let known = |id: &str| {
        let mut all = items(&config["Origins"]).iter().chain(items(&config["OriginGroups"]));
        all.any(|origin| text(&origin["Id"]) == id)
    };
    for behavior in behaviors {
        let target = text(&behavior["TargetOriginId"]);
        if !known(target) {
            let message = format!("TargetOriginId {target:?} is no origin or origin group of the distribution");
            return Err(ApiError::new(Code::NO_SUCH_ORIGIN, message));
        }
    }
    Ok(())
}

fn only(member: &str, value: &Value, allowed: &Value) -> Result<(), ApiError> {
    if value == allowed { Ok(()) } else { Err(refused(member)) }
}

fn refused(what: &str) -> ApiError {
    ApiError::new(Code::INVALID_ARGUMENT, unsupported(what))
}

fn unsupported(what: &str) -> String {
    format!("{what} is not supported by this edge")
}

fn items(list: &Value) -> &[Value] {
    list["Items"].as_array().map_or(&[], Vec::as_slice)
}
