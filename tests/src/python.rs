//! The Python interpreters of this machine. Python 3.11 at least is there
//! (`scripts/setup.sh` installs it on Debian 12).

use environment::{Language, Runtime};
use std::path::PathBuf;
use std::process::Command;

/// Every Python runtime that has an interpreter on the search path, with it.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn interpreters() -> Vec<(Runtime, PathBuf)> {
    let python = Runtime::ALL.into_iter().filter(|runtime| runtime.language() == Language::Python);
    let found: Vec<_> = python.filter_map(|runtime| Some((runtime, interpreter(runtime)?))).collect();
    assert!(!found.is_empty(), "no interpreter from python3.11 to python3.14 is on the search path");
    found
}

fn interpreter(runtime: Runtime) -> Option<PathBuf> {
    let said = Command::new(runtime.id()).args(["-I", "-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| PathBuf::from(path.trim()))
}
