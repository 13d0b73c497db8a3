//! Which key value stores a function of the API reads. AWS has no field for it: CloudFront Functions
//! have one, Lambda's do not. A tag of the function says it, with the names of the stores and spaces
//! between them; it holds for all versions.

use super::names::invalid;
use super::record::Function;
use crate::error::ApiError;
use crate::key_values::KeyValueStore;
use crate::store::{Kind, Records};
use functions::StoreName;
use std::collections::BTreeMap;

/// The key of the tag.
pub(super) const TAG: &str = "selvedge:key-value-stores";

/// The stores that tags name, which must exist.
pub(super) fn of_tags(records: &Records<'_>, tags: &BTreeMap<String, String>) -> Result<Vec<StoreName>, ApiError> {
    let store = |name: &str| {
        let found = KeyValueStore::find(records, name)?;
        let found = found.ok_or_else(|| invalid(format!("tag {TAG}: there is no key value store {name:?}")))?;
        Ok(StoreName { name: name.to_owned(), id: found.id })
    };
    names(tags).map(store).collect()
}

/// A function that a store with this name cannot be taken from.
pub(crate) fn function_that_reads(records: &Records<'_>, store: &str) -> Result<Option<String>, ApiError> {
    let all = records.list::<Function>(Kind::Function, "")?;
    Ok(all.into_iter().find(|(_, function)| names(&function.tags).any(|name| name == store)).map(|(name, _)| name))
}

fn names(tags: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    tags.get(TAG).map_or("", String::as_str).split_whitespace()
}
