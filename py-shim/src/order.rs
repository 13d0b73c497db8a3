//! What a new child of the zygote is to become, before it enters the sandbox.

use crate::bounds::bound_address_space;
use crate::environment_process::{Born, EnvironmentProcess};
use crate::template::Template;
use environment::{ControlReply, ErrorPayload, Manifest};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sandbox::{Cell, Children, Control, Entry, Source};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A child's orders.
#[pyclass(frozen)]
pub(crate) struct Order {
    kind: &'static str,
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    started: Instant,
    id: u64,
    manifest: Manifest,
    socket: OwnedFd,
    cell: Cell,
    zygote: Control,
    shared_bytes: u64,
}

impl Order {
    pub(crate) fn new(
        kind: &'static str,
        id: u64,
        manifest: Manifest,
        (socket, cell, zygote): (OwnedFd, Cell, Control),
        shared_bytes: u64,
    ) -> Order {
        let started = Instant::now();
        let parts = Parts { started, id, manifest, socket, cell, zygote, shared_bytes };
        Order { kind, parts: Mutex::new(Some(parts)) }
    }

    fn take(&self) -> PyResult<Parts> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        parts.ok_or_else(|| PyRuntimeError::new_err("an order is carried out once"))
    }
}

#[pymethods]
impl Order {
    /// `template` or `environment`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind
    }

    /// Enters the sandbox as a template. A process that cannot is over.
    fn template(&self) -> PyResult<Template> {
        let Parts { started, id, mut manifest, socket, mut cell, zygote, shared_bytes } = self.take()?;
        // For the operator's `ps` and `top`.
        let _ = nix::sys::prctl::set_name(c"py-template");
        let mut control = Control::new(socket)?;
        if let Err(error) = cell.enter(Entry { id, own: Some(&mut control), zygote, kept: &[] }, &mut manifest) {
            let error = ErrorPayload {
                error_type: "Runtime.PlatformError".to_owned(),
                error_message: format!("the sandbox cannot be entered: {error}"),
                trace: Vec::new(),
            };
            control.send(&ControlReply::InitFailed { error }, None)?;
            sandbox::exit_now(1);
        }
        bound_address_space(manifest.memory_mb)?;
        let children = Children::new(control, Source::Template(cell))?.around_fork(crate::engine::AROUND_FORK);
        Ok(Template::new(children, manifest, shared_bytes, started))
    }

    /// Enters the sandbox as an environment that loads the code itself.
    fn environment(&self) -> PyResult<EnvironmentProcess> {
        let Parts { started, id, mut manifest, socket, mut cell, zygote, shared_bytes } = self.take()?;
        let entered = cell.enter(Entry { id, own: None, zygote, kept: &[socket.as_fd()] }, &mut manifest);
        entered.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        bound_address_space(manifest.memory_mb)?;
        EnvironmentProcess::new(Born { id, socket, cell, shared_bytes, started }, manifest)
    }
}
