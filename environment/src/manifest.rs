//! What a runtime needs to know to load one function version. Written by
//! `functions`, read by a runtime's template.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

/// Everything a template loads one function version from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub function_name: String,
    /// `$LATEST` or a number, as in `context.functionVersion`.
    pub version: String,
    pub invoked_function_arn: String,
    pub runtime: Runtime,
    /// Handler string, for example `index.handler` (AWS: "Define Lambda function handler in Node.js", "... in Python").
    pub handler: String,
    /// Absolute path of the unpacked package: the only code the environment may read.
    pub code_dir: PathBuf,
    /// Absolute path of the function's unpacked layers, which are at [`LAYERS_DIR`] inside.
    pub layers_dir: Option<PathBuf>,
    /// The key value stores that the function names.
    pub key_value_stores: Vec<KeyValueStore>,
    /// Absolute path of the template's private directory. Where an environment cannot have a /tmp of
    /// its own, `<tmp_root>/<environment id>` stands in for it.
    pub tmp_root: PathBuf,
    /// The function's own variables; the runtime adds the reserved `AWS_*` ones.
    pub variables: BTreeMap<String, String>,
    /// Mebibytes, 128 to 10,240.
    pub memory_mb: u32,
    pub timeout_ms: u64,
    pub initialization: Initialization,
    /// Set where debuggers may attach to the environment, which then loads the code itself.
    pub inspected: Option<Inspected>,
    /// Quota of an environment's /tmp, mebibytes, 512 to 10,240.
    pub tmp_mb: u32,
    pub log_group_name: String,
    pub log_stream_name: String,
    /// Bytes of log text one invocation may write before the rest is dropped with a notice.
    pub log_bytes_max: usize,
    /// Bytes of the largest result the environment may send.
    pub result_bytes_max: usize,
}

/// What debuggers are told of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspected {
    /// Absolute path of the directory that whoever develops the function edits; `None` for an archive.
    pub source_dir: Option<PathBuf>,
}

/// A key value store of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyValueStore {
    pub name: String,
    /// By which handlers may name it, too; also a file name.
    pub id: String,
    /// Absolute path of the directory in which its file is replaced whenever the store changes. Inside,
    /// that is `<id>` below [`STORES_DIR`].
    pub directory: PathBuf,
}

/// Where environments see the function's key value stores.
pub const STORES_DIR: &str = "/var/key-value-stores";

/// Where environments see the function's layers.
pub const LAYERS_DIR: &str = "/opt";

/// Where a custom runtime finds the Runtime API, inside its environment.
pub const RUNTIME_API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9001);

/// What a custom runtime's program is called, in the package.
pub const BOOTSTRAP: &str = "bootstrap";

/// The handler of a process that compiles a package and runs nothing of it. No function's handler looks like it.
pub const COMPILES: &str = "<compile>";

/// How the function's environments come to be, as `AWS_LAMBDA_INITIALIZATION_TYPE` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    OnDemand,
    ProvisionedConcurrency,
    SnapStart,
}

impl Initialization {
    /// The variable's value.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Initialization::OnDemand => "on-demand",
            Initialization::ProvisionedConcurrency => "provisioned-concurrency",
            Initialization::SnapStart => "snap-start",
        }
    }
}

/// The managed runtimes, by their AWS identifiers (AWS: "Lambda runtimes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Runtime {
    #[serde(rename = "nodejs22.x")]
    Nodejs22,
    #[serde(rename = "nodejs24.x")]
    Nodejs24,
    #[serde(rename = "python3.11")]
    Python311,
    #[serde(rename = "python3.12")]
    Python312,
    #[serde(rename = "python3.13")]
    Python313,
    #[serde(rename = "python3.14")]
    Python314,
    /// The function brings its runtime: an executable named `bootstrap` (AWS: "Building a custom runtime for Lambda").
    #[serde(rename = "provided.al2023")]
    ProvidedAl2023,
}

/// What a runtime's handlers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    JavaScript,
    Python,
    /// Any: the function's own program speaks the Runtime API.
    Custom,
}

impl Language {
    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Language::JavaScript => "JavaScript",
            Language::Python => "Python",
            Language::Custom => "custom runtime",
        }
    }
}

impl Runtime {
    /// Every runtime this build can start.
    pub const ALL: [Runtime; 7] = [
        Runtime::Nodejs22,
        Runtime::Nodejs24,
        Runtime::Python311,
        Runtime::Python312,
        Runtime::Python313,
        Runtime::Python314,
        Runtime::ProvidedAl2023,
    ];

    /// The AWS identifier, for example `nodejs22.x`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Runtime::Nodejs22 => "nodejs22.x",
            Runtime::Nodejs24 => "nodejs24.x",
            Runtime::Python311 => "python3.11",
            Runtime::Python312 => "python3.12",
            Runtime::Python313 => "python3.13",
            Runtime::Python314 => "python3.14",
            Runtime::ProvidedAl2023 => "provided.al2023",
        }
    }

    /// What its handlers are written in.
    #[must_use]
    pub fn language(self) -> Language {
        match self {
            Runtime::Nodejs22 | Runtime::Nodejs24 => Language::JavaScript,
            Runtime::Python311 | Runtime::Python312 | Runtime::Python313 | Runtime::Python314 => Language::Python,
            Runtime::ProvidedAl2023 => Language::Custom,
        }
    }

    /// The runtime with this AWS identifier, or `None`.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Runtime> {
        Runtime::ALL.into_iter().find(|runtime| runtime.id() == id)
    }
}
