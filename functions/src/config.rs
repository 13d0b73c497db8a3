//! What one function is: where its code lies, how it is called and what it may
//! use. Built by `deployment` after its own checks; nothing here is read from a
//! file directly.

use crate::network::NetworkPolicy;
use environment::{Runtime, limits};
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
    /// Unpacked over each other in this order, environments see them as `/opt`.
    pub layers: Vec<PackageSource>,
    /// Handler string, for example `index.handler` (AWS: "Define Lambda function handler in Node.js").
    pub handler: String,
    pub runtime: Runtime,
    /// The interpreter of a Python runtime; `None` for the others.
    pub interpreter: Option<PathBuf>,
    /// Mebibytes.
    pub memory_mb: u32,
    /// Wall-clock limit of one invocation.
    pub timeout: Duration,
    /// Quota of each environment's `/tmp`, mebibytes.
    pub tmp_mb: u32,
    /// Where the function may connect to besides public addresses.
    pub network: NetworkPolicy,
    /// The function's own environment variables.
    pub variables: BTreeMap<String, String>,
    pub scaling: Scaling,
    pub snap_start: SnapStart,
    /// Running the handler twice for one event does no harm: an invocation whose process is lost
    /// before it produced output is run once more.
    pub idempotent: bool,
    /// What its handlers may read.
    pub key_value_stores: Vec<StoreName>,
}

/// A key value store, as a function names it. What is in it is no part of the function: [`crate::KeyValueStores`] has that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreName {
    pub name: String,
    /// The name it is published by.
    pub id: String,
}

/// How many execution environments there are, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scaling {
    /// At one time.
    pub environments_max: usize,
    /// New ones within [`limits::BURST_PERIOD`]; the allowance comes back evenly.
    pub burst: u32,
    /// Warm before they are asked for, and replaced when they end. Not counted in `burst`.
    pub provisioned: usize,
    /// How long one may stay idle; zero: each runs one invocation.
    pub idle_max: Duration,
    /// How long a template is kept that has no environment and forks none.
    pub template_idle_max: Duration,
}

impl Default for Scaling {
    fn default() -> Scaling {
        Scaling {
            environments_max: limits::ENVIRONMENTS_MAX_DEFAULT,
            burst: limits::BURST_DEFAULT,
            provisioned: 0,
            idle_max: limits::IDLE_DEFAULT,
            template_idle_max: limits::TEMPLATE_IDLE_DEFAULT,
        }
    }
}

/// Whether environments are copies of an initialised process. See
/// `docs/decisions` for how this relates to Lambda's SnapStart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum SnapStart {
    /// Copies where the init phase can be shared, else each loads the code itself.
    #[default]
    WhenPossible,
    /// Copies only: an init phase that cannot be shared is an error.
    Always,
    /// Each environment loads the code itself.
    Never,
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
