//! A function's key value stores for the module `cloudfront`. Reading is `runtime`'s.

use crate::template::lock;
use environment::manifest::KeyValueStore;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use runtime::StoreError;
use std::sync::Mutex;

/// The stores that the function names.
#[pyclass(frozen)]
pub(crate) struct Stores {
    stores: Mutex<runtime::Stores>,
}

#[pymethods]
impl Stores {
    /// `stores` is what the plan says of them, as JSON.
    #[new]
    fn new(stores: &str) -> PyResult<Stores> {
        let stores: Vec<KeyValueStore> =
            serde_json::from_str(stores).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Stores { stores: Mutex::new(runtime::Stores::new(&stores)) })
    }

    /// An invocation begins.
    fn begin(&self) {
        lock(&self.stores).begin();
    }

    /// The number of the store with this name or id; of the only one when it is `None`.
    fn choose(&self, name: Option<&str>) -> PyResult<usize> {
        lock(&self.stores).choose(name).map_err(refused)
    }

    /// What its function calls it.
    fn name(&self, nth: usize) -> String {
        lock(&self.stores).name(nth).to_owned()
    }

    /// The value of a key; `None` when there is none.
    fn find(&self, nth: usize, key: &str) -> PyResult<Option<String>> {
        Ok(lock(&self.stores).table(nth).map_err(refused)?.find(key).map(str::to_owned))
    }

    /// How many pairs it has, and when it was made and last changed in Unix milliseconds.
    fn meta(&self, nth: usize) -> PyResult<(usize, u64, u64)> {
        let mut stores = lock(&self.stores);
        let table = stores.table(nth).map_err(refused)?;
        Ok((table.count(), table.times().created_ms, table.times().updated_ms))
    }
}

fn refused(error: StoreError) -> PyErr {
    match error {
        StoreError::Unreadable { .. } | StoreError::Damaged { .. } => PyRuntimeError::new_err(error.to_string()),
        StoreError::None | StoreError::Several(_) | StoreError::Unknown(_) => PyValueError::new_err(error.to_string()),
    }
}
