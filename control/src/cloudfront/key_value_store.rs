//! Key value stores as CloudFront's API makes, shows and ends them. What is in them is
//! `key_values`'s.

use super::distribution::{list_document, read, text};
use super::shapes::{CREATE_KEY_VALUE_STORE, UPDATE_KEY_VALUE_STORE};
use super::{VERSION, key_value_store_arn, now, random_id, tag};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::key_values::{self, Change, KeyValueStore};
use crate::lambda::function_that_reads;
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml::{self, put};
use deployment::ImportError;
use environment::limits::STORES_MAX;
use http::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::runtime::Handle;

/// CreateKeyValueStore: with its pairs when it returns, and ready.
pub(super) fn create(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let wanted = read(&CREATE_KEY_VALUE_STORE, "CreateKeyValueStoreRequest", request)?;
    let name = text(&wanted["Name"]).to_owned();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(allowed) {
        let rule = format!("1 to {NAME_MAX} letters, digits, - and _");
        return Err(ApiError::new(Code::INVALID_ARGUMENT, format!("Name {name:?} must be {rule}")));
    }
    let comment = comment(&wanted)?;
    let tags = tag::read(&wanted["Tags"])?;
    let puts = match &wanted["ImportSource"] {
        Value::Null => Change::default().puts,
        source => imported(plane, source)?,
    };
    let store = key_values::write(plane, |records| {
        if KeyValueStore::find(records, &name)?.is_some() {
            let message = format!("there is a key value store with the name {name}");
            return Err(ApiError::new(Code::ENTITY_EXISTS, message));
        }
        if records.count(Kind::KeyValueStore, "")? >= STORES_MAX {
            let message = format!("there are {STORES_MAX} key value stores, more are not allowed");
            return Err(ApiError::new(Code::ENTITY_LIMIT, message));
        }
        let mut store = KeyValueStore::new(comment, tags);
        let change = Change { puts, ..Change::default() };
        store.change(records, &change)?;
        store.put(records, &name)?;
        Ok((store, change))
    })?;
    let location = format!("http://{}/{VERSION}/key-value-store/{name}", request.host());
    Ok(answer(StatusCode::CREATED, &name, &store).with("location", location))
}

/// DescribeKeyValueStore.
pub(super) fn find(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let store = plane.store.read(|records| existing(records, name))?;
    Ok(answer(StatusCode::OK, name, &store))
}

/// UpdateKeyValueStore: its comment.
pub(super) fn update(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let wanted = read(&UPDATE_KEY_VALUE_STORE, "UpdateKeyValueStoreRequest", request)?;
    let comment = comment(&wanted)?;
    let store = plane.store.write(|records| {
        let mut store = existing(records, name)?;
        request.expect_etag(&store.etag)?;
        (store.comment, store.etag, store.modified) = (comment, random_id('E'), now());
        store.put(records, name)?;
        Ok(store)
    })?;
    Ok(answer(StatusCode::OK, name, &store))
}

/// DeleteKeyValueStore, with all that is in it.
pub(super) fn delete(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let _one_at_a_time = plane.values.lock();
    let store = plane.store.write(|records| {
        let store = existing(records, name)?;
        request.expect_etag(&store.etag)?;
        if let Some(function) = function_that_reads(records, name)? {
            let message = format!("key value store {name} is in use by function {function}");
            return Err(ApiError::new(Code::ENTITY_IN_USE, message));
        }
        records.remove(Kind::KeyValueStore, "", name)?;
        records.remove_below(Kind::KeyValue, &store.id)?;
        Ok(store)
    })?;
    plane.runner.key_value_stores().withdraw(&store.id);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListKeyValueStores. All of them are READY.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let status = request.query("Status").filter(|status| !status.is_empty());
    let all = plane.store.read(|records| records.list::<KeyValueStore>(Kind::KeyValueStore, ""))?;
    let items = all.into_iter().filter(|_| status.is_none_or(|status| status == READY));
    let items = items.map(|(name, store)| (name.clone(), shown(&name, &store))).collect();
    list_document(request, "KeyValueStoreList", "KeyValueStore", items)
}

fn existing(records: &Records<'_>, name: &str) -> Result<KeyValueStore, ApiError> {
    let missing = || ApiError::new(Code::ENTITY_NOT_FOUND, format!("The key value store {name} does not exist."));
    KeyValueStore::find(records, name)?.ok_or_else(missing)
}

fn answer(status: StatusCode, name: &str, store: &KeyValueStore) -> Answer {
    Answer::xml(status, xml::document("KeyValueStore", &shown(name, store))).with("etag", store.etag.clone())
}

fn shown(name: &str, store: &KeyValueStore) -> String {
    let mut out = String::new();
    put(&mut out, "Name", name);
    put(&mut out, "Id", &store.id);
    put(&mut out, "Comment", &store.comment);
    put(&mut out, "ARN", &key_value_store_arn(&store.id));
    put(&mut out, "Status", READY);
    put(&mut out, "LastModifiedTime", &store.modified);
    out
}

fn comment(wanted: &Value) -> Result<String, ApiError> {
    let comment = text(&wanted["Comment"]);
    if comment.chars().count() > COMMENT_MAX {
        let message = format!("Comment has more than {COMMENT_MAX} characters");
        return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
    }
    Ok(comment.to_owned())
}

/// The pairs of an object in the bucket that packages come from, too. Blocks.
fn imported(plane: &Plane, source: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let refused = |message: String| ApiError::new(Code::INVALID_ARGUMENT, format!("ImportSource: {message}"));
    let (kind, arn) = (text(&source["SourceType"]), text(&source["SourceARN"]));
    if kind != "S3" {
        return Err(refused(format!("SourceType is {kind:?}, it must be \"S3\"")));
    }
    let object = arn.strip_prefix("arn:aws:s3:::").and_then(|object| object.split_once('/'));
    let Some((bucket, key)) = object.filter(|(_, key)| !key.is_empty()) else {
        return Err(refused(format!("SourceARN {arn:?} is not arn:aws:s3:::BUCKET/KEY")));
    };
    let fetched = Handle::current().block_on(plane.services.package((bucket, key, None), IMPORT_BYTES_MAX));
    deployment::import(&fetched.map_err(refused)?).map_err(|error| match error {
        ImportError::TooLarge(_) => ApiError::new(Code::ENTITY_SIZE, format!("ImportSource: {error}")),
        ImportError::Invalid(reason) => refused(reason),
    })
}

const READY: &str = "READY";
/// AWS: "CreateKeyValueStore".
const NAME_MAX: usize = 64;
const COMMENT_MAX: usize = 128;
/// Ours: all of a store in JSON, each character of it escaped.
const IMPORT_BYTES_MAX: usize = 64 * 1024 * 1024;
