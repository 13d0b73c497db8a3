//! The zygote's side of the tree: an interpreter with the common modules, no
//! user code, one thread.

use crate::engine::{AROUND_FORK, after_fork_in_child};
use crate::order::Order;
use environment::ControlReply;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sandbox::{Birth, Children, Code, Control, Sandbox, Source};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Forks templates and environments on request.
#[pyclass(frozen)]
pub(crate) struct Zygote {
    children: Mutex<Option<Children>>,
}

#[pymethods]
impl Zygote {
    /// Tries the sandbox and tells the PoP that it is ready. `libraries` is what the interpreter loads from.
    #[new]
    fn new(control_fd: i32, engine: String, libraries: Vec<PathBuf>) -> PyResult<Zygote> {
        let control = Control::new(sandbox::adopt(control_fd))?;
        let sandbox = Sandbox::probe(Code::Native(libraries))?;
        let layers = sandbox.layers();
        let threads = sandbox::thread_count()?;
        if threads != 1 {
            let message = format!("the zygote has {threads} threads, and can fork only with 1");
            return Err(PyRuntimeError::new_err(message));
        }
        let children = Children::new(control, Source::Zygote(sandbox))?.around_fork(AROUND_FORK);
        let pid = i32::try_from(std::process::id())?;
        children.control().send(&ControlReply::ZygoteReady { pid, engine, sandbox: layers }, None)?;
        Ok(Zygote { children: Mutex::new(Some(children)) })
    }

    /// Serves until the PoP is gone, and does not return then. Returns in each new child.
    fn serve(&self, python: Python<'_>) -> PyResult<Order> {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner).take();
        let children = children.ok_or_else(|| PyRuntimeError::new_err("a zygote serves once"))?;
        // Without /proc nothing is known of what is shared: then only the supervisor limits memory.
        let shared_bytes = runtime::anonymous_bytes().unwrap_or(u64::MAX / 2);
        let Some(birth) = children.serve()? else { sandbox::exit_now(0) };
        after_fork_in_child(python);
        match birth {
            Birth::Template { id, manifest, socket, cell, zygote } => {
                Ok(Order::new("template", id, manifest, (socket, cell, zygote), shared_bytes))
            }
            Birth::Unshared { id, manifest, socket, cell, zygote } => {
                Ok(Order::new("environment", id, manifest, (socket, cell, zygote), shared_bytes))
            }
            Birth::Copy { .. } => Err(PyRuntimeError::new_err("a zygote makes no copies")),
        }
    }
}
