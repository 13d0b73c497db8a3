//! Landlock: a second wall around files, where the kernel has it. It also keeps
//! a process from listening and from the sockets and signals of others.

use crate::code::Code;
use crate::failure::during;
use crate::root::CODE_DIR;
use environment::Manifest;
use environment::manifest::{LAYERS_DIR, STORES_DIR};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use std::io;
use std::path::{Path, PathBuf};

/// Why this kernel has none; `None` when it has.
pub(crate) fn missing() -> Option<String> {
    let probe = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    probe.err().map(|error| format!("the kernel has no landlock: {error}"))
}

/// What a process may still read and write.
pub(crate) struct Places {
    readable: Vec<PathBuf>,
    executable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
}

impl Places {
    /// In a root of its own everything is meant to be there.
    pub(crate) fn of_own_root() -> Places {
        let readable = [CODE_DIR, LAYERS_DIR, STORES_DIR, "/etc", "/usr", "/proc"].map(PathBuf::from).to_vec();
        Places { readable, executable: Vec::new(), writable: vec!["/tmp".into()] }
    }

    /// In the machine's root. A template's `proc_dir` is the one in which its copies find themselves.
    pub(crate) fn of_machine(code_dir: &Path, tmp_dir: &Path, proc_dir: &str) -> Places {
        let mut readable: Vec<PathBuf> = READABLE.iter().map(PathBuf::from).collect();
        readable.extend([code_dir.to_owned(), proc_dir.into()]);
        Places { readable, executable: Vec::new(), writable: vec![tmp_dir.to_owned()] }
    }
}

impl Places {
    /// With the key value stores of a function, and no others.
    pub(crate) fn with_stores(mut self, manifest: &Manifest) -> Places {
        self.readable.extend(manifest.key_value_stores.iter().map(|store| store.directory.clone()));
        self
    }

    /// With what `code` loads and starts. Programs are started in a root of their own only.
    pub(crate) fn with(mut self, code: &Code) -> Places {
        self.readable.extend_from_slice(code.libraries());
        if code.has_programs() {
            self.executable.extend([CODE_DIR.into(), LAYERS_DIR.into()]);
            self.executable.extend_from_slice(code.libraries());
        }
        self
    }
}

/// Layers only ever take away: an environment's is the smaller of its own and its template's.
pub(crate) fn enter(places: &Places) -> io::Result<()> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(NEWEST) & !AccessFs::Execute;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&places.readable, read)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&places.executable, AccessFs::Execute)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&places.writable, write)))
        .and_then(|ruleset| ruleset.restrict_self());
    restricted.map(|_| ()).map_err(io::Error::other).map_err(during("landlock"))
}

/// Newer rights are used where the kernel knows them, down to none at all.
const NEWEST: ABI = ABI::V6;

/// Name resolution, certificates, time zones, and what `os` reports.
const READABLE: [&str; 12] = [
    "/etc",
    "/etc/resolv.conf",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/version",
];

const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];
