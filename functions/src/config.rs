//! What one function is: where its code lies, how it is called and what it may
//! use. Built by `deployment` after its own checks; nothing here is read from a
//! file directly.

use environment::Runtime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One version of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionConfig {
    pub name: String,
    /// `$LATEST` or a number, as in `context.functionVersion`.
    pub version: String,
    pub package: PackageSource,
    /// Handler string, for example `index.handler` (AWS: "Define Lambda function handler in Node.js").
    pub handler: String,
    pub runtime: Runtime,
    /// Mebibytes.
    pub memory_mb: u32,
    /// Wall-clock limit of one invocation.
    pub timeout: Duration,
    /// The function's own environment variables.
    pub variables: BTreeMap<String, String>,
    /// Execution environments of this function at one time.
    pub environments_max: usize,
}

/// Where the code comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum PackageSource {
    /// A directory whose content is copied, so that later edits do not reach a running function.
    Directory(PathBuf),
    /// A zip archive, as Lambda takes it.
    Zip(PathBuf),
}

impl PackageSource {
    /// The path of the directory or archive.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            PackageSource::Directory(path) | PackageSource::Zip(path) => path,
        }
    }
}
