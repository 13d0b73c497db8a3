//! What a function's code is to the system. Decides what its root holds, what
//! may be executed there, and which system calls there are.

use environment::limits::{PROGRAM_TASKS_MAX, THREADS_MAX};
use std::path::PathBuf;

/// What the processes of a cell run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// Text, for an engine that is there already.
    Text,
    /// The same, and native code that the engine loads from these directories and from the package.
    Native(Vec<PathBuf>),
    /// Programs of the package and of these directories, which start further ones.
    Programs(Vec<PathBuf>),
}

impl Code {
    /// Directories of the machine that are in the root, too.
    pub(crate) fn libraries(&self) -> &[PathBuf] {
        match self {
            Code::Text => &[],
            Code::Native(libraries) | Code::Programs(libraries) => libraries,
        }
    }

    /// Whether the system loads machine code from files at all.
    pub(crate) fn is_native(&self) -> bool {
        !matches!(self, Code::Text)
    }

    /// Whether environments have more than one process.
    pub(crate) fn has_programs(&self) -> bool {
        matches!(self, Code::Programs(_))
    }

    /// Processes and threads of one environment.
    pub(crate) fn tasks_max(&self) -> u64 {
        if self.has_programs() { PROGRAM_TASKS_MAX } else { THREADS_MAX }
    }
}
