//! A template: the zygote's copy that entered the sandbox and loads one function
//! version. It runs no handler itself; environments are its forks.

use crate::engine::after_fork_in_child;
use crate::environment_process::{Born, EnvironmentProcess};
use crate::notes::{self, Notes};
use crate::plan::plan;
use crate::stopper::StopInit;
use environment::limits::INIT_TIMEOUT;
use environment::{ControlReply, ErrorPayload, Manifest};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use runtime::{InitWatch, LogBudget, Resident, second_thread};
use sandbox::{Birth, Children, fit_line, fit_packet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A function version that is being loaded, then copied.
#[pyclass(frozen)]
pub(crate) struct Template {
    children: Mutex<Option<Arc<Children>>>,
    budget: Mutex<LogBudget>,
    watch: Mutex<Option<InitWatch>>,
    manifest: Manifest,
    shared_bytes: u64,
    /// Sandbox included, as the PoP counts.
    started: Instant,
    began: Instant,
}

impl Template {
    pub(crate) fn new(children: Children, manifest: Manifest, shared_bytes: u64, started: Instant) -> Template {
        let budget = Mutex::new(LogBudget::new(manifest.log_bytes_max));
        let (children, watch) = (Mutex::new(Some(Arc::new(children))), Mutex::new(None));
        Template { children, budget, watch, manifest, shared_bytes, started, began: Instant::now() }
    }

    fn children(&self) -> PyResult<Arc<Children>> {
        lock(&self.children).clone().ok_or_else(|| PyRuntimeError::new_err("the template serves already"))
    }

    /// Ends the watch over the init phase. At a limit that ends the process, so the phase was within them.
    fn end_watch(&self) {
        if let Some(watch) = lock(&self.watch).take() {
            let _ = watch.end();
        }
    }

    fn fail(&self, error: ErrorPayload) -> PyResult<()> {
        self.children()?.control().send(&ControlReply::InitFailed { error: fit_packet(error) }, None)?;
        sandbox::exit_now(0)
    }
}

#[pymethods]
impl Template {
    /// The function, as JSON.
    fn plan(&self) -> String {
        plan(&self.manifest, &self.manifest.tmp_root)
    }

    /// Watches the init phase from here on. Returns the signal that asks for the stack, and the descriptor
    /// that it is written to.
    fn watch(&self) -> PyResult<(i32, i32)> {
        let (notes, write) = Notes::open()?;
        let stopper = StopInit { notes, children: self.children()?, memory_mb: self.manifest.memory_mb };
        let resident = Resident::new(self.shared_bytes, self.manifest.memory_mb).ok();
        let limit = INIT_TIMEOUT.saturating_sub(self.started.elapsed());
        *lock(&self.watch) = Some(InitWatch::start(Box::new(stopper), limit, resident)?);
        Ok((notes::SIGNAL, notes::keep_open(write)))
    }

    /// A line that the module wrote while it was loaded.
    fn log(&self, line: &[u8]) -> PyResult<()> {
        let children = self.children()?;
        lock(&self.budget).spend(line, |kept| {
            // A PoP that is gone is noticed by the loop; loading goes on until then.
            let _ = children.control().send(&ControlReply::Log { line: fit_line(kept) }, None);
        });
        Ok(())
    }

    /// The init phase failed: ends the process.
    fn failed(&self, error: &str) -> PyResult<()> {
        self.end_watch();
        self.fail(parse(error)?)
    }

    /// The function is loaded. `unshared` says why its process must not be copied.
    fn loaded(&self, unshared: Option<String>, has_restore_hooks: bool) -> PyResult<()> {
        self.end_watch();
        let init_ms = self.began.elapsed().as_secs_f64() * 1e3;
        let unshared = unshared.or_else(second_thread);
        let initialized = ControlReply::Initialized { init_ms, unshared, has_restore_hooks };
        Ok(self.children()?.control().send(&initialized, None)?)
    }

    /// Forks environments until the PoP is gone, and does not return then. Returns in each of them.
    fn serve(&self, python: Python<'_>) -> PyResult<EnvironmentProcess> {
        let children = lock(&self.children).take().and_then(Arc::into_inner);
        let children = children.ok_or_else(|| PyRuntimeError::new_err("the template serves already"))?;
        let Some(birth) = children.serve()? else { sandbox::exit_now(0) };
        let started = Instant::now();
        after_fork_in_child(python);
        match birth {
            Birth::Copy { id, socket, cell } => {
                let born = Born { id, socket, cell, shared_bytes: self.shared_bytes, started };
                EnvironmentProcess::new(born, self.manifest.clone())
            }
            _ => Err(PyRuntimeError::new_err("a template makes copies of itself only")),
        }
    }
}

/// An error as the Python side writes it.
pub(crate) fn parse(error: &str) -> PyResult<ErrorPayload> {
    serde_json::from_str(error).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
