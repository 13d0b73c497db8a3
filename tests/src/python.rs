//! The Python interpreters of this machine. Python 3.11 at least is there
//! (`scripts/setup.sh` installs it on Debian 12).

use environment::{Language, Runtime};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every Python runtime that has an interpreter on the search path, or among pyenv's versions, with it.
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
    let versions = std::env::var_os("PYENV_ROOT").map(|root| PathBuf::from(root).join("versions"));
    let directories = versions.and_then(|versions| std::fs::read_dir(versions).ok()).into_iter().flatten().flatten();
    let of_pyenv = directories.map(|directory| directory.path().join("bin").join(runtime.id()));
    std::iter::once(PathBuf::from(runtime.id())).chain(of_pyenv).find_map(|program| executable(&program))
}

/// What an interpreter says of its own path.
fn executable(program: &Path) -> Option<PathBuf> {
    let said = Command::new(program).args(["-I", "-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| PathBuf::from(path.trim()))
}
