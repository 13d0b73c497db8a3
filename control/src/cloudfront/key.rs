//! Public keys, and the groups of them that behaviors trust (AWS: "Specify signers that can
//! create signed URLs and signed cookies").

use super::distribution::{Distribution, text};
use super::random_id;
use super::resource::{Resource, ResourceKind, is_taken};
use super::shapes::{KEY_GROUP, PUBLIC_KEY};
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::store::{Kind, Records};
use crate::xml::{put, put_raw};
use deployment::PublicKey;
use serde_json::Value;
use toml::Table;
use uuid::Uuid;

pub(super) const PUBLIC_KEYS: ResourceKind = ResourceKind {
    record: Kind::PublicKey,
    name: "PublicKey",
    path: "public-key",
    shape: &PUBLIC_KEY,
    new_id: || random_id('K'),
    time: Some("CreatedTime"),
    missing: Code::NO_SUCH_PUBLIC_KEY,
    check: check_key,
    expect_unused: expect_key_unused,
    summary: |_, id, key| {
        let mut out = String::new();
        put(&mut out, "Id", id);
        put(&mut out, "Name", text(&key.config["Name"]));
        put(&mut out, "CreatedTime", &key.at);
        put(&mut out, "EncodedKey", text(&key.config["EncodedKey"]));
        put(&mut out, "Comment", text(&key.config["Comment"]));
        out
    },
};

pub(super) const KEY_GROUPS: ResourceKind = ResourceKind {
    record: Kind::KeyGroup,
    name: "KeyGroup",
    path: "key-group",
    shape: &KEY_GROUP,
    new_id: || Uuid::new_v4().to_string(),
    time: Some("LastModifiedTime"),
    missing: Code::NO_SUCH_RESOURCE,
    check: check_group,
    expect_unused: expect_group_unused,
    summary: |kind, id, group| {
        let mut out = String::new();
        put_raw(&mut out, "KeyGroup", &kind.shown(id, group));
        out
    },
};

/// Every key group in the language of the configuration file.
pub(crate) fn key_groups(records: &Records<'_>) -> Result<Table, ApiError> {
    let mut groups = Table::new();
    for (id, group) in records.list::<Resource>(Kind::KeyGroup, "")? {
        let mut keys = Table::new();
        for key in keys_of(&group.config) {
            let pem = PUBLIC_KEYS.existing(records, key)?.config["EncodedKey"].clone();
            keys.insert(key.to_owned(), text(&pem).into());
        }
        groups.insert(id, Table::from_iter([("keys".to_owned(), keys.into())]).into());
    }
    Ok(groups)
}

/// The groups that behaviors of a DistributionConfig trust.
pub(super) fn trusted(config: &Value) -> Vec<&str> {
    let behaviors = config["CacheBehaviors"]["Items"].as_array().into_iter().flatten();
    let behaviors = behaviors.chain([&config["DefaultCacheBehavior"]]);
    let mut groups: Vec<&str> = behaviors.flat_map(trusted_of).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Those of one behavior.
pub(super) fn trusted_of(behavior: &Value) -> Vec<&str> {
    let trusted = &behavior["TrustedKeyGroups"];
    let items = trusted["Items"].as_array().filter(|_| trusted["Enabled"] == Value::Bool(true));
    items.into_iter().flatten().map(text).collect()
}

/// Refuses a distribution that trusts what is not there.
pub(super) fn check_trusted(records: &Records<'_>, config: &Value) -> Result<(), ApiError> {
    for group in trusted(config) {
        if records.find::<Resource>(Kind::KeyGroup, "", group)?.is_none() {
            let message = format!("The key group {group} does not exist.");
            return Err(ApiError::new(Code::NO_SUCH_TRUSTED_GROUP, message));
        }
    }
    Ok(())
}

/// The content of ActiveTrustedKeyGroups: the groups with the keys that open something.
pub(super) fn active(records: &Records<'_>, config: &Value) -> Result<String, ApiError> {
    let groups = trusted(config);
    let mut out = String::new();
    put(&mut out, "Enabled", &(!groups.is_empty()).to_string());
    put(&mut out, "Quantity", &groups.len().to_string());
    let mut items = String::new();
    for id in groups {
        let group = KEY_GROUPS.existing(records, id)?;
        let keys: Vec<&str> = keys_of(&group.config).collect();
        let (mut item, mut pairs, mut ids) = (String::new(), String::new(), String::new());
        keys.iter().for_each(|key| put(&mut ids, "KeyPairId", key));
        put(&mut pairs, "Quantity", &keys.len().to_string());
        put_raw(&mut pairs, "Items", &ids);
        put(&mut item, "KeyGroupId", id);
        put_raw(&mut item, "KeyPairIds", &pairs);
        put_raw(&mut items, "KeyGroup", &item);
    }
    if !items.is_empty() {
        put_raw(&mut out, "Items", &items);
    }
    Ok(out)
}

fn check_key(
    _: &Plane,
    records: &Records<'_>,
    id: &str,
    before: Option<&Value>,
    config: &Value,
) -> Result<(), ApiError> {
    if let Some(before) = before {
        let fixed = ["CallerReference", "Name", "EncodedKey"];
        return match fixed.iter().find(|member| before[**member] != config[**member]) {
            Some(member) => {
                Err(ApiError::new(Code::IMMUTABLE_KEY, format!("{member} of a public key cannot be changed")))
            }
            None => Ok(()),
        };
    }
    PublicKey::from_pem(text(&config["EncodedKey"]).as_bytes())
        .map_err(|problem| ApiError::new(Code::INVALID_ARGUMENT, format!("EncodedKey {problem}")))?;
    for member in ["CallerReference", "Name"] {
        if is_taken(records, Kind::PublicKey, id, &config[member], member)? {
            let message = format!("there is a public key with the {member} {}", config[member]);
            return Err(ApiError::new(Code::PUBLIC_KEY_EXISTS, message));
        }
    }
    Ok(())
}

fn expect_key_unused(records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    for (group, found) in records.list::<Resource>(Kind::KeyGroup, "")? {
        if keys_of(&found.config).any(|key| key == id) {
            return Err(ApiError::new(Code::PUBLIC_KEY_IN_USE, format!("the public key is in key group {group}")));
        }
    }
    Ok(())
}

fn check_group(_: &Plane, records: &Records<'_>, id: &str, _: Option<&Value>, config: &Value) -> Result<(), ApiError> {
    let keys: Vec<&str> = keys_of(config).collect();
    if !(1..=KEYS_MAX).contains(&keys.len()) {
        let message = format!("a key group has {} keys, it must have 1 to {KEYS_MAX}", keys.len());
        return Err(ApiError::new(Code::TOO_MANY_KEYS, message));
    }
    for (nth, key) in keys.iter().enumerate() {
        let is_known = records.find::<Resource>(Kind::PublicKey, "", key)?.is_some();
        if !is_known || keys[..nth].contains(key) {
            let what = if is_known { "is named twice" } else { "does not exist" };
            return Err(ApiError::new(Code::INVALID_ARGUMENT, format!("the public key {key} {what}")));
        }
    }
    if is_taken(records, Kind::KeyGroup, id, &config["Name"], "Name")? {
        let message = format!("there is a key group with the name {}", config["Name"]);
        return Err(ApiError::new(Code::KEY_GROUP_EXISTS, message));
    }
    Ok(())
}

fn expect_group_unused(records: &Records<'_>, id: &str) -> Result<(), ApiError> {
    for (other, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
        if trusted(&distribution.config).contains(&id) {
            let message = format!("the key group is trusted by distribution {other}");
            return Err(ApiError::new(Code::RESOURCE_IN_USE, message));
        }
    }
    Ok(())
}

fn keys_of(config: &Value) -> impl Iterator<Item = &str> {
    config["Items"].as_array().into_iter().flatten().map(text)
}

/// AWS: "Quotas on key groups".
const KEYS_MAX: usize = 5;
