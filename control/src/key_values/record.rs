//! What is kept of a key value store: its record, by its name, and a record for each pair below its
//! id. Every change of pairs is one transaction; then the environments' file is made, one change
//! after the other.

use crate::cloudfront::{now, random_id};
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::store::{Kind, Records, Store};
use environment::key_values::Times;
use environment::limits::STORE_BYTES_MAX;
use functions::KeyValueStores;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A store without its pairs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KeyValueStore {
    pub(crate) id: String,
    pub(crate) comment: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Of this record, not of the pairs.
    pub(crate) etag: String,
    pub(crate) modified: String,
    pub(crate) pairs: Pairs,
}

/// What is known of the pairs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pairs {
    pub(crate) etag: String,
    pub(crate) count: usize,
    /// Keys and values.
    pub(crate) bytes: usize,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// What a change does, all of it or nothing.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) puts: BTreeMap<String, String>,
    /// A key that is not there is deleted already.
    pub(crate) deletes: BTreeSet<String>,
}

impl KeyValueStore {
    pub(crate) fn new(comment: String, tags: BTreeMap<String, String>) -> KeyValueStore {
        let created_ms = now_ms();
        let pairs = Pairs { etag: random_id('K'), count: 0, bytes: 0, created_ms, updated_ms: created_ms };
        let (id, etag) = (Uuid::new_v4().to_string(), random_id('E'));
        KeyValueStore { id, comment, tags, etag, modified: now(), pairs }
    }

    pub(crate) fn find(records: &Records<'_>, name: &str) -> Result<Option<KeyValueStore>, ApiError> {
        records.find(Kind::KeyValueStore, "", name)
    }

    pub(crate) fn put(&self, records: &Records<'_>, name: &str) -> Result<(), ApiError> {
        records.put(Kind::KeyValueStore, "", name, self)
    }

    /// The name and record of the store with this id.
    pub(crate) fn by_id(records: &Records<'_>, id: &str) -> Result<Option<(String, KeyValueStore)>, ApiError> {
        let all = records.list::<KeyValueStore>(Kind::KeyValueStore, "")?;
        Ok(all.into_iter().find(|(_, store)| store.id == id))
    }

    /// Changes pairs; the record is not written. Refuses what would be larger than a store may be.
    pub(crate) fn change(&mut self, records: &Records<'_>, change: &Change) -> Result<(), ApiError> {
        let Pairs { count, bytes, .. } = &mut self.pairs;
        for key in &change.deletes {
            if let Some(old) = records.find::<String>(Kind::KeyValue, &self.id, key)? {
                records.remove(Kind::KeyValue, &self.id, key)?;
                *bytes -= key.len() + old.len();
                *count -= 1;
            }
        }
        for (key, value) in &change.puts {
            match records.find::<String>(Kind::KeyValue, &self.id, key)? {
                Some(old) => *bytes -= key.len() + old.len(),
                None => *count += 1,
            }
            *bytes += key.len() + value.len();
            records.put(Kind::KeyValue, &self.id, key, value)?;
        }
        if *bytes > STORE_BYTES_MAX {
            let message = format!("the store would have {bytes} bytes, at most {STORE_BYTES_MAX} are allowed");
            return Err(ApiError::new(Code::STORE_QUOTA, message));
        }
        self.pairs.etag = random_id('K');
        // Never the same moment twice, whatever the clock does.
        self.pairs.updated_ms = now_ms().max(self.pairs.updated_ms + 1);
        Ok(())
    }

    fn times(&self) -> Times {
        Times { created_ms: self.pairs.created_ms, updated_ms: self.pairs.updated_ms }
    }
}

/// Runs `work`, whose change of a store is visible to environments when this returns. Blocks; one at a time.
pub(crate) fn write(
    plane: &Plane,
    work: impl FnOnce(&Records<'_>) -> Result<(KeyValueStore, Change), ApiError>,
) -> Result<KeyValueStore, ApiError> {
    let _one_at_a_time = plane.values.lock();
    let (store, change) = plane.store.write(work)?;
    let stores = plane.runner.key_value_stores();
    if stores.change(&store.id, store.pairs.updated_ms, &change.puts, &change.deletes).is_err() {
        // New, or the disk was full the last time. What is kept is kept: the next change tries again.
        if let Err(error) = publish(&plane.store, stores, &store) {
            tracing::error!(store = store.id, "handlers read an older state of a key value store: {error}");
        }
    }
    Ok(store)
}

/// Gives every store to the environments, when the edge starts.
pub(crate) fn publish_all(state: &Store, stores: &KeyValueStores) -> Result<(), ApiError> {
    for (_, store) in state.read(|records| records.list::<KeyValueStore>(Kind::KeyValueStore, ""))? {
        publish(state, stores, &store)?;
    }
    Ok(())
}

fn publish(state: &Store, stores: &KeyValueStores, store: &KeyValueStore) -> Result<(), ApiError> {
    let pairs = state.read(|records| records.list::<String>(Kind::KeyValue, &store.id))?;
    let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    stores.publish(&store.id, store.times(), &pairs).map_err(|error| ApiError::of_ours(&error))
}

fn now_ms() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}
