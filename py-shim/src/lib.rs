//! `libselvedge_python.so`: an extension module that makes a Python interpreter
//! a zygote. The process tree, the sandbox, frames and limits are Rust's, in the
//! interpreter's own process; what a handler sees is the Python package in
//! `python/`, which is part of this file. Started by a PoP as
//! `python3.x -I -S -X utf8 -c <launch> libselvedge_python.so <control fd>`.

mod bounds;
mod engine;
mod environment_process;
mod key_values;
mod notes;
mod order;
mod plan;
mod stopper;
mod template;
mod zygote;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::CString;

#[pymodule]
mod selvedge_python {
    #[pymodule_export]
    use super::environment_process::EnvironmentProcess;
    #[pymodule_export]
    use super::key_values::Stores;
    #[pymodule_export]
    use super::order::Order;
    #[pymodule_export]
    use super::run;
    #[pymodule_export]
    use super::template::Template;
    #[pymodule_export]
    use super::zygote::Zygote;
}

/// Runs the zygote behind `control_fd`, and in its children their own lives. Does not return.
#[pyfunction]
fn run(python: Python<'_>, control_fd: i32) -> PyResult<()> {
    runtime::end_with_parent()?;
    runtime::settle();
    let mut zygote = None;
    for (name, source) in SOURCES {
        let text = CString::new(source).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let file =
            CString::new(format!("{OWN_FILES}{name}.py")).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let module =
            CString::new(format!("{OWN_MODULES}{name}")).map_err(|error| PyValueError::new_err(error.to_string()))?;
        zygote = Some(PyModule::from_code(python, &text, &file, &module)?);
    }
    let native = python.import("sys")?.getattr("modules")?.get_item("selvedge_python")?;
    zygote.expect("there are sources").call_method1("run", (native, control_fd))?;
    Ok(())
}

/// Each after those it imports; the last one has `run`.
const SOURCES: [(&str, &str); 11] = [
    ("errors", include_str!("../python/errors.py")),
    ("log", include_str!("../python/log.py")),
    ("marshal", include_str!("../python/marshal.py")),
    ("context", include_str!("../python/context.py")),
    ("hooks", include_str!("../python/hooks.py")),
    ("compiling", include_str!("../python/compiling.py")),
    ("stores", include_str!("../python/stores.py")),
    ("loading", include_str!("../python/loading.py")),
    ("serving", include_str!("../python/serving.py")),
    ("templating", include_str!("../python/templating.py")),
    ("zygote", include_str!("../python/zygote.py")),
];

/// How the files of the package are called in tracebacks, and its modules in `sys.modules`.
pub(crate) const OWN_FILES: &str = "<selvedge>/";
const OWN_MODULES: &str = "_selvedge_";
