//! JavaScript functions under development that debuggers may attach to: each is
//! run in one environment, which is a target for as long as it lives. Who attaches
//! to it, and by which protocol, is the `inspector` crate's affair. Off unless a
//! PoP is started with an [`Inspection`].

mod link;

use crate::config::{FunctionConfig, PackageSource, Scaling, SnapStart};
use environment::limits::{IDLE_MAX, INSPECTOR_SESSIONS_MAX};
use environment::{Inspected, Language, Suspension};
use link::Link;
pub use link::Session;
use parking_lot::Mutex;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// The targets of a PoP. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    targets: Arc<Mutex<Vec<Reachable>>>,
}

type Reachable = (Target, Arc<Link>);

/// One environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Nobody can guess it.
    pub id: Uuid,
    pub function: String,
    pub version: String,
    /// The handler's module, on the disk of whoever develops it where it has been found there.
    pub source: PathBuf,
}

impl Target {
    /// What people call it: the function's name, with its version where that is another than its first.
    #[must_use]
    pub fn title(&self) -> String {
        match self.version.as_str() {
            "$LATEST" | "1" => self.function.clone(),
            version => format!("{}:{version}", self.function),
        }
    }
}

/// Why a debugger cannot attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    #[error("no such target: it may be gone with the environment that it was")]
    Gone,
    #[error("{INSPECTOR_SESSIONS_MAX} debuggers are attached to the target already")]
    TooMany,
}

impl Inspection {
    /// What debuggers may attach to now, by the functions' names.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = self.targets.lock().iter().map(|(target, _)| target.clone()).collect();
        targets.sort_by(|a, b| (&a.function, &a.version).cmp(&(&b.function, &b.version)));
        targets
    }

    /// Attaches a debugger. From here on, what the environment does has no limit of time or memory.
    ///
    /// # Errors
    /// The target is gone, or has as many debuggers as it may.
    pub fn attach(&self, id: Uuid) -> Result<Session, AttachError> {
        let link = self.targets.lock().iter().find(|(target, _)| target.id == id).map(|(_, link)| Arc::clone(link));
        link.ok_or(AttachError::Gone)?.open()
    }

    /// Makes an environment a target until it ends: what it is to have of the socket, and what says
    /// whether its limits are suspended.
    pub(crate) fn add(&self, config: &FunctionConfig) -> io::Result<(OwnedFd, Arc<Suspension>)> {
        let (link, incoming, inside) = Link::pair()?;
        let (function, version) = (config.name.clone(), config.version.clone());
        let target = Target { id: Uuid::new_v4(), function, version, source: module(config) };
        tracing::info!(function = target.function, target = %target.id, "can be debugged");
        let (id, suspension) = (target.id, link.suspension());
        self.targets.lock().push((target, Arc::clone(&link)));
        let targets = Arc::clone(&self.targets);
        tokio::spawn(async move {
            if let Err(error) = link.read(incoming).await {
                tracing::error!(target = %id, "the inspector of an environment broke: {error}");
            }
            targets.lock().retain(|(target, _)| target.id != id);
            link.close();
        });
        Ok((inside, suspension))
    }
}

/// Whether debuggers of this kind can attach to it.
pub(crate) fn is_inspectable(config: &FunctionConfig) -> bool {
    config.runtime.language() == Language::JavaScript
}

/// How a function is run that can be debugged: in one environment, which is there before the first
/// invocation, stays, and has loaded the code itself.
pub(crate) fn of_one_environment(config: &FunctionConfig) -> FunctionConfig {
    let one = Scaling { environments_max: 1, provisioned: 1, idle_max: IDLE_MAX, ..Scaling::default() };
    FunctionConfig { scaling: one, snap_start: SnapStart::Never, ..config.clone() }
}

/// What debuggers are told of it.
pub(crate) fn inspected(config: &FunctionConfig) -> Inspected {
    Inspected { source_dir: source_dir(config) }
}

/// Without links, as Node.js names scripts: editors know their files by both.
fn source_dir(config: &FunctionConfig) -> Option<PathBuf> {
    match &config.package {
        PackageSource::Directory(path) => fs::canonicalize(path).ok(),
        PackageSource::Zip(_) => None,
    }
}

fn module(config: &FunctionConfig) -> PathBuf {
    let root = source_dir(config).unwrap_or_else(|| Path::new(CODE_DIR).to_path_buf());
    let name_start = config.handler.rfind('/').map_or(0, |slash| slash + 1);
    let name_end = config.handler[name_start..].find('.').map_or(config.handler.len(), |dot| name_start + dot);
    let stem = &config.handler[..name_end];
    let files =
        ["", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"].map(|extension| root.join(format!("{stem}{extension}")));
    files.into_iter().find(|file| file.is_file()).unwrap_or(root)
}

/// Where environments see the code.
const CODE_DIR: &str = "/var/task";
