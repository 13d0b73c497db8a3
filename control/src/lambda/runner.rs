//! Functions made ready for invocations that come through the API, and those that have
//! provisioned environments. Those that the edge runs already, with the same settings and
//! code, are shared with it.

use super::provisioned::{self, Runnable};
use super::settings::Place;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use functions::{Function, Functions, KeyValueStores, Provisioned};
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::{Notify, OnceCell};

/// The functions that were invoked last, and those that never go cold.
#[derive(Debug)]
pub(crate) struct Runner {
    functions: Arc<Functions>,
    ready: Mutex<Ready>,
    /// Something was said about provisioned environments.
    changed: Notify,
}

#[derive(Debug)]
struct Ready {
    recent: LruCache<Key, (Runnable, Cell)>,
    provisioned: HashMap<Key, (Runnable, Cell)>,
}

/// Name and version.
type Key = (String, String);
type Cell = Arc<OnceCell<Arc<Function>>>;

impl Runner {
    pub(crate) fn new(functions: Arc<Functions>) -> Runner {
        let ready = Ready { recent: LruCache::new(READY_MAX), provisioned: HashMap::new() };
        Runner { functions, ready: Mutex::new(ready), changed: Notify::new() }
    }

    /// Execution environments of the edge at one time.
    pub(crate) fn environments_max(&self) -> usize {
        self.functions.environments_max()
    }

    /// See [`Functions::reserve`].
    pub(crate) fn reserve(&self, reserved: BTreeMap<String, usize>) {
        self.functions.reserve(reserved);
    }

    /// What environments read.
    pub(crate) fn key_value_stores(&self) -> &KeyValueStores {
        self.functions.key_value_stores()
    }

    /// The version, prepared once however many ask.
    pub(crate) async fn function(
        &self,
        plane: &Arc<Plane>,
        (name, version): (&str, &str),
        runnable: Runnable,
    ) -> Result<Arc<Function>, ApiError> {
        let cell = self.ready.lock().cell((name.to_owned(), version.to_owned()), &runnable);
        let prepare = async || {
            let (plane, owned) = (Arc::clone(plane), (name.to_owned(), version.to_owned()));
            let checked = tokio::task::spawn_blocking(move || {
                plane.check_function(&owned.0, &owned.1, &runnable, Place::Anywhere)
            });
            let config = checked.await.map_err(|error| ApiError::of_ours(&error))??;
            let prepared = self.functions.begin(&config).await;
            prepared.map_err(|error| ApiError::new(Code::INVALID_ZIP, error.to_string()))
        };
        cell.get_or_try_init(prepare).await.cloned()
    }

    /// How far the provisioned environments of a version are, once it was prepared.
    pub(crate) fn provisioned(&self, name: &str, version: &str) -> Option<Provisioned> {
        let ready = self.ready.lock();
        let (_, cell) = ready.provisioned.get(&(name.to_owned(), version.to_owned()))?;
        cell.get().map(|function| function.provisioned())
    }

    /// What is provisioned in the state may have changed.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }
}

impl Ready {
    /// What was prepared for this version otherwise is let go.
    fn cell(&mut self, key: Key, runnable: &Runnable) -> Cell {
        let found = if runnable.provisioned > 0 { self.provisioned.get(&key) } else { self.recent.get(&key) };
        if let Some((of, cell)) = found
            && of == runnable
        {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        let entry = (runnable.clone(), Arc::clone(&cell));
        self.recent.pop(&key);
        if runnable.provisioned > 0 {
            self.provisioned.insert(key, entry);
        } else {
            self.recent.put(key, entry);
        }
        cell
    }
}

/// Keeps the versions prepared that have provisioned environments, until the task is dropped.
pub(crate) async fn keep(plane: Arc<Plane>) {
    loop {
        let reads = Arc::clone(&plane);
        let wanted = tokio::task::spawn_blocking(move || reads.store.read(provisioned::wanted)).await;
        match wanted {
            Ok(Ok(wanted)) => follow(&plane, wanted).await,
            Ok(Err(error)) => tracing::error!("what is provisioned cannot be read: {error}"),
            Err(error) => tracing::error!("what is provisioned cannot be read: {error}"),
        }
        plane.runner.changed.notified().await;
    }
}

async fn follow(plane: &Arc<Plane>, wanted: Vec<(Key, Runnable)>) {
    let is_wanted = |key: &Key| wanted.iter().any(|(other, _)| other == key);
    plane.runner.ready.lock().provisioned.retain(|key, _| is_wanted(key));
    for ((name, version), runnable) in wanted {
        if let Err(error) = plane.runner.function(plane, (&name, &version), runnable).await {
            tracing::error!("{name}:{version} has provisioned environments and cannot be prepared: {error}");
        }
    }
}

/// More are let go, least recently invoked first; the next invocation prepares them again.
const READY_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");
