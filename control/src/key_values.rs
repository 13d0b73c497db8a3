//! The API of the pairs in key value stores (Amazon CloudFront KeyValueStore). Stores themselves are
//! made and ended through CloudFront's API.

mod record;

pub(crate) use record::{Change, KeyValueStore, publish_all, write};

use crate::answer::Answer;
use crate::cloudfront::key_value_store_arn;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::route::{self, Operation, operation};
use crate::store::{Kind, Records};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployment::check_pair;
use environment::limits::{UPDATE_BYTES_MAX, UPDATE_KEYS_MAX};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// The service that its requests are signed for.
pub(crate) const SERVICE: &str = "cloudfront-keyvaluestore";

const OPERATIONS: &[Operation] = &[
    operation("DescribeKeyValueStore", "GET", "/key-value-stores/{}", ""),
    operation("ListKeys", "GET", "/key-value-stores/{}/keys", ""),
    operation("UpdateKeys", "POST", "/key-value-stores/{}/keys", ""),
    operation("GetKey", "GET", "/key-value-stores/{}/keys/{}", ""),
    operation("PutKey", "PUT", "/key-value-stores/{}/keys/{}", ""),
    operation("DeleteKey", "DELETE", "/key-value-stores/{}/keys/{}", ""),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    #[serde(default)]
    puts: Vec<PutOf>,
    #[serde(default)]
    deletes: Vec<DeleteOf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutOf {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteOf {
    key: String,
}

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let operation = route::expect(OPERATIONS, &request, Code::UNKNOWN_OPERATION)?;
    route::perform(plane, operation, request, perform).await
}

fn perform(plane: &Plane, operation: &str, named: &[String], request: &Request) -> Result<Answer, ApiError> {
    let arn = named.first().map_or("", String::as_str);
    let key = named.get(1).map_or("", String::as_str);
    match operation {
        "DescribeKeyValueStore" => describe(plane, arn),
        "ListKeys" => list(plane, arn, request),
        "GetKey" => get(plane, arn, key),
        "PutKey" => {
            let Put { value } = body(request)?;
            check_pair(key, &value).map_err(invalid)?;
            let puts = [(key.to_owned(), value)].into();
            change(plane, arn, request, Change { puts, ..Change::default() })
        }
        "DeleteKey" => change(plane, arn, request, Change { deletes: [key.to_owned()].into(), ..Change::default() }),
        _ => change(plane, arn, request, changes(body(request)?)?),
    }
}

fn describe(plane: &Plane, arn: &str) -> Result<Answer, ApiError> {
    let store = plane.store.read(|records| existing(records, arn))?.1;
    let mut shown = sizes(&store);
    shown["KvsARN"] = key_value_store_arn(&store.id).into();
    shown["Created"] = seconds(store.pairs.created_ms);
    shown["LastModified"] = seconds(store.pairs.updated_ms);
    shown["Status"] = "READY".into();
    Ok(Answer::json(StatusCode::OK, &shown)?.with("etag", store.pairs.etag))
}

fn list(plane: &Plane, arn: &str, request: &Request) -> Result<Answer, ApiError> {
    let max = match request.query("MaxResults").filter(|max| !max.is_empty()) {
        None => PAGE_DEFAULT,
        Some(max) => {
            let in_bounds = max.parse::<usize>().ok().filter(|max| (1..=PAGE_MAX).contains(max));
            in_bounds.ok_or_else(|| invalid(format!("MaxResults is {max:?}, it must be 1 to {PAGE_MAX}")))?
        }
    };
    let after = match request.query("NextToken").filter(|token| !token.is_empty()) {
        None => String::new(),
        Some(token) => {
            let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.ok_or_else(|| invalid(format!("NextToken {token:?} is none that this edge gave")))?
        }
    };
    let found = plane.store.read(|records| {
        let store = existing(records, arn)?.1;
        records.page::<String>(Kind::KeyValue, &store.id, &after, max + 1)
    })?;
    let shown = &found[..found.len().min(max)];
    let items: Vec<Value> = shown.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut page = json!({ "Items": items });
    if let (true, Some((last, _))) = (found.len() > max, shown.last()) {
        page["NextToken"] = URL_SAFE_NO_PAD.encode(last).into();
    }
    Answer::json(StatusCode::OK, &page)
}

fn get(plane: &Plane, arn: &str, key: &str) -> Result<Answer, ApiError> {
    let (store, value) = plane.store.read(|records| {
        let store = existing(records, arn)?.1;
        let value = records.find::<String>(Kind::KeyValue, &store.id, key)?;
        Ok((store, value))
    })?;
    let value = value.ok_or_else(|| not_found(format!("key {key:?} does not exist")))?;
    let mut shown = sizes(&store);
    shown["Key"] = key.into();
    shown["Value"] = value.into();
    Answer::json(StatusCode::OK, &shown)
}

fn change(plane: &Plane, arn: &str, request: &Request, change: Change) -> Result<Answer, ApiError> {
    let store = write(plane, |records| {
        let (name, mut store) = existing(records, arn)?;
        expect_etag(request, &store.pairs.etag)?;
        store.change(records, &change)?;
        store.put(records, &name)?;
        Ok((store, change))
    })?;
    Ok(Answer::json(StatusCode::OK, &sizes(&store))?.with("etag", store.pairs.etag))
}

/// The change that an UpdateKeys asks for.
fn changes(update: Update) -> Result<Change, ApiError> {
    let keys = update.puts.len() + update.deletes.len();
    if !(1..=UPDATE_KEYS_MAX).contains(&keys) {
        return Err(invalid(format!("Puts and Deletes name {keys} keys, they must name 1 to {UPDATE_KEYS_MAX}")));
    }
    let mut change = Change::default();
    let mut bytes = 0;
    for PutOf { key, value } in update.puts {
        check_pair(&key, &value).map_err(invalid)?;
        bytes += key.len() + value.len();
        if change.puts.contains_key(&key) {
            return Err(invalid(format!("Puts names key {key:?} twice")));
        }
        change.puts.insert(key, value);
    }
    for DeleteOf { key } in update.deletes {
        check_pair(&key, "").map_err(invalid)?;
        bytes += key.len();
        if change.puts.contains_key(&key) || !change.deletes.insert(key.clone()) {
            return Err(invalid(format!("key {key:?} is named twice")));
        }
    }
    if bytes > UPDATE_BYTES_MAX {
        return Err(invalid(format!("the update has {bytes} bytes, at most {UPDATE_BYTES_MAX} are allowed")));
    }
    Ok(change)
}

fn existing(records: &Records<'_>, arn: &str) -> Result<(String, KeyValueStore), ApiError> {
    let id = arn.strip_prefix(key_value_store_arn("").as_str());
    let found = id.map(|id| KeyValueStore::by_id(records, id)).transpose()?.flatten();
    found.ok_or_else(|| not_found(format!("key value store {arn} does not exist")))
}

/// Refuses a change that was made for another state.
fn expect_etag(request: &Request, etag: &str) -> Result<(), ApiError> {
    match request.header("if-match").map(|given| given.trim().trim_matches('"')) {
        None | Some("") => Err(invalid("If-Match is missing: the ETag of the store as it was last seen")),
        Some(given) if given != etag => {
            let message = "the store has changed since it had this ETag: describe it again";
            Err(ApiError::new(Code::STORE_CONFLICT, message))
        }
        Some(_) => Ok(()),
    }
}

fn sizes(store: &KeyValueStore) -> Value {
    json!({ "ItemCount": store.pairs.count, "TotalSizeInBytes": store.pairs.bytes })
}

/// As the protocol writes times.
fn seconds(milliseconds: u64) -> Value {
    let (whole, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    let text = format!("{whole}.{rest:03}");
    text.parse::<f64>().map_or(Value::from(whole), Value::from)
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, ApiError> {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(body).map_err(|error| invalid(format!("the request's body: {error}")))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::VALIDATION, message)
}

fn not_found(message: String) -> ApiError {
    ApiError::new(Code::NOT_FOUND, message)
}

/// AWS: "ListKeys", MaxResults.
const PAGE_MAX: usize = 50;
const PAGE_DEFAULT: usize = 10;
