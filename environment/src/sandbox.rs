//! The layers of the sandbox around an environment: a closed list, and whether
//! this machine gives each. Tried by a zygote, reported to its PoP.

use serde::{Deserialize, Serialize};

/// What one layer takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// No new privileges, no capabilities, no core dumps, bounds on descriptors and threads, no variables.
    Privileges,
    /// Own user, process, IPC, host-name and network namespaces.
    Namespaces,
    /// A root directory of its own that holds the function's code and little else.
    Files,
    /// A `/tmp` of each environment's own with a quota.
    Tmp,
    /// `/tmp` never reaches a disk.
    TmpInMemory,
    /// A list of allowed system calls.
    SystemCalls,
    /// Connections only where the function's policy allows them, checked by the PoP.
    Network,
    /// Landlock rules, a second wall around files.
    Landlock,
}

impl Layer {
    /// Every layer, outermost first.
    pub const ALL: [Layer; 8] = [
        Layer::Privileges,
        Layer::Namespaces,
        Layer::Files,
        Layer::Tmp,
        Layer::TmpInMemory,
        Layer::SystemCalls,
        Layer::Network,
        Layer::Landlock,
    ];

    /// Its name in tables and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layer::Privileges => "privileges",
            Layer::Namespaces => "namespaces",
            Layer::Files => "files",
            Layer::Tmp => "tmp",
            Layer::TmpInMemory => "tmp-in-memory",
            Layer::SystemCalls => "system-calls",
            Layer::Network => "network",
            Layer::Landlock => "landlock",
        }
    }

    /// What it does, in one line.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Layer::Privileges => "no capabilities, no new privileges, bounded descriptors and threads",
            Layer::Namespaces => "own users, processes, IPC and network stack",
            Layer::Files => "own root directory: the function's code and little else, read-only",
            Layer::Tmp => "own /tmp for every environment, with a quota",
            Layer::TmpInMemory => "/tmp never reaches a disk",
            Layer::SystemCalls => "a list of allowed system calls",
            Layer::Network => "connections only where the function's policy allows",
            Layer::Landlock => "a second wall around files",
        }
    }

    /// Whether a sandbox without it counts as incomplete. Landlock repeats what `files` does.
    #[must_use]
    pub fn is_required(self) -> bool {
        self != Layer::Landlock
    }
}

/// Whether a machine gives a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerState {
    pub layer: Layer,
    /// Why it is not applied; `None` when it is.
    pub missing: Option<String>,
}
