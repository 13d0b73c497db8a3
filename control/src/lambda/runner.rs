//! Functions made ready for invocations that come through the API. Those that the edge
//! runs already, with the same settings and code, are shared with it.

use super::record::Settings;
use super::settings::Place;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use functions::{Function, Functions};
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The functions that were invoked last.
#[derive(Debug)]
pub(crate) struct Runner {
    functions: Arc<Functions>,
    ready: Mutex<LruCache<(String, String), (Settings, Cell)>>,
}

type Cell = Arc<OnceCell<Arc<Function>>>;

impl Runner {
    pub(crate) fn new(functions: Arc<Functions>) -> Runner {
        Runner { functions, ready: Mutex::new(LruCache::new(READY_MAX)) }
    }

    /// The version with these settings, prepared once however many ask.
    pub(crate) async fn function(
        &self,
        plane: &Arc<Plane>,
        (name, version): (&str, &str),
        settings: Settings,
    ) -> Result<Arc<Function>, ApiError> {
        let cell = self.cell(name, version, &settings);
        let prepare = async || {
            let (plane, owned) = (Arc::clone(plane), (name.to_owned(), version.to_owned()));
            let checked = tokio::task::spawn_blocking(move || {
                plane.check_function(&owned.0, &owned.1, &settings, Place::Anywhere)
            });
            let config = checked.await.map_err(|error| ApiError::of_ours(&error))??;
            let prepared = self.functions.prepare(&config).await;
            prepared.map_err(|error| ApiError::new(Code::INVALID_ZIP, error.to_string()))
        };
        cell.get_or_try_init(prepare).await.cloned()
    }

    /// What was prepared for other settings of this version is let go.
    fn cell(&self, name: &str, version: &str, settings: &Settings) -> Cell {
        let mut ready = self.ready.lock();
        let key = (name.to_owned(), version.to_owned());
        if let Some((of, cell)) = ready.get(&key)
            && of == settings
        {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        ready.put(key, (settings.clone(), Arc::clone(&cell)));
        cell
    }
}

/// More are let go, least recently invoked first; the next invocation prepares them again.
const READY_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");
