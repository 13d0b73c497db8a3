//! The key value stores of the configuration file, given to the environments.

use anyhow::Context;
use deployment::{Deployment, KeyValueStore};
use environment::key_values::Times;
use functions::Functions;
use std::time::UNIX_EPOCH;

/// Publishes those that are `wanted`. New ones must be there before the functions that name them are prepared.
pub(crate) fn publish(
    functions: &Functions,
    deployment: &Deployment,
    wanted: impl Fn(&str, &KeyValueStore) -> bool,
) -> anyhow::Result<()> {
    for (id, store) in deployment.key_value_stores.iter().filter(|(id, store)| wanted(id, store)) {
        let modified_ms = store.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let modified_ms = u64::try_from(modified_ms).unwrap_or(u64::MAX);
        let times = Times { created_ms: modified_ms, updated_ms: modified_ms };
        let pairs = store.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let published = functions.key_value_stores().publish(id, times, &pairs);
        published.with_context(|| format!("key value store {}", store.source.display()))?;
    }
    Ok(())
}
