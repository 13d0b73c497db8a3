//! All functions of a PoP: one zygote, one log writer, one bound on the number
//! of environments, one place for packages. Called by `cli` at start and stop,
//! and whenever a deployment is prepared.

use crate::ceiling::Ceilings;
use crate::config::FunctionConfig;
use crate::connection::Environment;
use crate::cpu::{CpuKeeping, CpuShare};
use crate::function::{Core, Function};
use crate::inspection::{self, Inspection};
use crate::key_values::KeyValueStores;
use crate::leaving::Leaving;
use crate::log::Log;
use crate::manifest::manifest;
use crate::network::NetworkGuard;
use crate::own_directory::own_directory;
use crate::package::{self, Known, PackageDigest, PackageError};
use crate::pool::Capacity;
use crate::program::Engines;
use crate::scratch::Scratch;
use crate::zygote::ZygoteError;
use crate::zygotes::Zygotes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How the functions of a PoP are run.
#[derive(Clone, Debug)]
pub struct Options {
    pub engines: Engines,
    /// Packages, private directories of environments, and logs go below it.
    pub data_dir: PathBuf,
    /// Execution environments of all functions at one time.
    pub environments_max: usize,
    pub cpu: CpuShare,
    /// Bytes that all environments together may hold in `/tmp`; half of the machine's memory when `None`.
    pub tmp_bytes_max: Option<u64>,
    pub log: LogSink,
    pub sandbox: SandboxDemand,
}

/// What happens when this machine cannot give the whole sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxDemand {
    /// It is an error at start-up.
    Whole,
    /// It is said at start-up, and functions run with what there is.
    WhatThereIs,
}

/// Where the functions' log lines go. Files are `<data_dir>/logs/<function>.log`.
#[derive(Clone, Debug)]
pub enum LogSink {
    Files,
    FilesAndTerminal,
    FilesAnd(LineSink),
}

/// Gets whole lines, each with its newline, after the name of the function they are of. Called by the
/// thread that writes the logs, which waits for it.
#[derive(Clone)]
pub struct LineSink(pub Arc<TakeLines>);

type TakeLines = dyn Fn(&str, &[u8]) + Send + Sync;

impl fmt::Debug for LineSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineSink")
    }
}

/// Why no function can run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot prepare {}: {source}", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    #[error("cannot answer network calls: {0}")]
    Network(io::Error),
}

/// Why one function cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("function {function}: {source}")]
    Package { function: String, source: PackageError },
    #[error("function {0:?}: a name has 1 to {NAME_MAX} letters, digits, hyphens and underscores")]
    Name(String),
    #[error("function {function}: {source}")]
    Zygote { function: String, source: ZygoteError },
    #[error("function {function}: cannot prepare {}: {source}", path.display())]
    Directory { function: String, path: PathBuf, source: io::Error },
}

/// The functions of a PoP and the processes they run in.
#[derive(Debug)]
pub struct Functions {
    shared: Arc<Shared>,
    packages: PathBuf,
    known: Arc<Known>,
    tmp: TempDir,
    key_value_stores: KeyValueStores,
    prepared: Arc<Prepared>,
    sweeper: JoinHandle<()>,
}

type Prepared = Mutex<Vec<Weak<Core>>>;

/// What every function uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) zygotes: Arc<Zygotes>,
    pub(crate) log: Log,
    pub(crate) network: NetworkGuard,
    pub(crate) capacity: Arc<Capacity<Environment>>,
    pub(crate) ceilings: Ceilings,
    pub(crate) cpu: CpuKeeping,
    /// `None` where `/tmp` is on a disk.
    pub(crate) scratch: Option<Arc<Scratch>>,
    pub(crate) leaving: Leaving,
    /// Where debuggers find JavaScript functions.
    pub(crate) inspection: Option<Inspection>,
    ids: AtomicU64,
    stopping: AtomicBool,
}

impl Shared {
    /// A new id for a template or environment.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl Functions {
    /// Starts the zygote and waits until it is ready.
    ///
    /// # Errors
    /// The data directory cannot be written, or the zygote does not start.
    pub async fn start(options: Options) -> Result<Arc<Functions>, StartError> {
        Functions::start_with(options, None).await
    }

    /// The same for development: debuggers may attach to JavaScript functions, each of which then has one environment.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_inspected(options: Options, inspection: Inspection) -> Result<Arc<Functions>, StartError> {
        Functions::start_with(options, Some(inspection)).await
    }

    async fn start_with(options: Options, inspection: Option<Inspection>) -> Result<Arc<Functions>, StartError> {
        let failed = |path: &Path, source| StartError::DataDir { path: path.to_path_buf(), source };
        let data_dir = &options.data_dir;
        fs::create_dir_all(data_dir).map_err(|source| failed(data_dir, source))?;
        let data_dir = fs::canonicalize(data_dir).map_err(|source| failed(data_dir, source))?;
        let tmp = own_directory(&data_dir.join("tmp")).map_err(|source| failed(&data_dir.join("tmp"), source))?;
        let stores = data_dir.join("key-value-stores");
        let key_value_stores = own_directory(&stores).map_err(|source| failed(&stores, source))?;
        let key_value_stores = KeyValueStores::new(key_value_stores);
        let logs = data_dir.join("logs");
        let log = Log::start(logs.clone(), options.log).map_err(|source| failed(&logs, source))?;
        // Before there are processes: they stay where they are born.
        let cpu = CpuKeeping::choose(options.cpu);
        let zygotes = Arc::new(Zygotes::start(options.engines, options.sandbox).await?);
        let network = NetworkGuard::start().map_err(StartError::Network)?;
        let scratch = zygotes.give_own_tmp().await.then(|| Scratch::new(options.tmp_bytes_max, log.clone()));
        if let Some(scratch) = &scratch {
            tracing::info!("tmp: all environments together get {} MB of memory for it", scratch.bytes_max() >> 20);
        }
        let capacity = Capacity::new(options.environments_max);
        let ceilings = Ceilings::new(options.environments_max);
        let packages = data_dir.join("packages");
        remove_packages(packages.clone()).await;
        let prepared = Arc::new(Prepared::default());
        let (ids, stopping) = (AtomicU64::new(1), AtomicBool::new(false));
        let leaving = Leaving::new();
        let shared =
            Shared { zygotes, log, network, capacity, ceilings, cpu, scratch, leaving, inspection, ids, stopping };
        let shared = Arc::new(shared);
        let sweeper = tokio::spawn(sweep(Swept::of(&shared), Arc::clone(&prepared), packages.clone()));
        let known = Arc::default();
        Ok(Arc::new(Functions { shared, packages, known, tmp, key_value_stores, prepared, sweeper }))
    }

    /// Unpacks the function and initialises its template. A function that is already prepared with the
    /// same configuration and code is shared. An init phase that fails is logged and tried again by
    /// the next invocation.
    ///
    /// # Errors
    /// The name or the package is not usable.
    pub async fn prepare(self: &Arc<Self>, config: &FunctionConfig) -> Result<Arc<Function>, PrepareError> {
        let (core, is_new) = self.core(config).await?;
        if is_new {
            core.provision().await;
        }
        Ok(Arc::new(Function { core }))
    }

    /// The same without waiting for provisioned environments: [`Function::provisioned`] says how
    /// many are there.
    ///
    /// # Errors
    /// As `prepare`.
    pub async fn begin(self: &Arc<Self>, config: &FunctionConfig) -> Result<Arc<Function>, PrepareError> {
        let (core, is_new) = self.core(config).await?;
        if is_new {
            let core = Arc::clone(&core);
            tokio::spawn(async move { core.provision().await });
        }
        Ok(Arc::new(Function { core }))
    }

    /// What is known of their packages' files, for those who check packages of the same functions.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known)
    }

    /// How many invocations of these functions, all versions together, may run at one time, each
    /// of them whatever others do. Of other functions so many may run that these always can.
    pub fn reserve(&self, reserved: BTreeMap<String, usize>) {
        self.shared.ceilings.reserve(reserved);
    }

    /// What the handlers of functions that name them read. Before such a function is prepared, they are published.
    #[must_use]
    pub fn key_value_stores(&self) -> &KeyValueStores {
        &self.key_value_stores
    }

    /// How long compiling one Python package may take from now on; a minute unless this is called.
    pub fn bound_compiling(&self, time_max: Duration) {
        self.shared.zygotes.bound_compiling(time_max);
    }

    /// Execution environments of all functions at one time.
    #[must_use]
    pub fn environments_max(&self) -> usize {
        self.shared.ceilings.total()
    }

    /// A function with its template, and whether it was made just now.
    async fn core(self: &Arc<Self>, config: &FunctionConfig) -> Result<(Arc<Core>, bool), PrepareError> {
        if !is_name(&config.name) {
            return Err(PrepareError::Name(config.name.clone()));
        }
        let is_inspected = self.shared.inspection.is_some() && inspection::is_inspectable(config);
        let config = &if is_inspected { inspection::of_one_environment(config) } else { config.clone() };
        let (packages, known, for_install) = (self.packages.clone(), self.known(), config.clone());
        let installed = tokio::task::spawn_blocking(move || package::install(&for_install, &packages, &known)).await;
        let installed = installed.expect("installing a package does not panic and is not aborted");
        let package_error = |source| PrepareError::Package { function: config.name.clone(), source };
        let package = installed.map_err(package_error)?;
        if let Some(core) = self.find(config, &package.digest) {
            return Ok((core, false));
        }
        let zygote = self.shared.zygotes.of(config).await;
        let zygote = zygote.map_err(|source| PrepareError::Zygote { function: config.name.clone(), source })?;
        let tmp_root = self.tmp.path().join(format!("{}-{}", config.name, self.shared.next_id()));
        fs::create_dir(&tmp_root).map_err(|source| PrepareError::Directory {
            function: config.name.clone(),
            path: tmp_root.clone(),
            source,
        })?;
        let stores = self.key_value_stores.of_function(config)?;
        let inspected = is_inspected.then(|| inspection::inspected(config));
        let manifest = manifest(config, &package, (tmp_root, stores), inspected);
        let core = Arc::new(Core::new(&self.shared, config.clone(), package, (manifest, zygote)));
        self.prepared.lock().push(Arc::downgrade(&core));
        core.init().await;
        Ok((core, true))
    }

    /// Ends idle environments, templates and the zygote. Invocations that run are given until their
    /// end; whoever asks from now on is throttled. Returns once the logs are written.
    pub async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.sweeper.abort();
        for core in living(&self.prepared) {
            core.close().await;
        }
        self.shared.leaving.wait().await;
        self.shared.zygotes.stop().await;
        let log = self.shared.log.clone();
        let _ = tokio::task::spawn_blocking(move || log.flush()).await;
    }

    fn find(&self, config: &FunctionConfig, digest: &PackageDigest) -> Option<Arc<Core>> {
        living(&self.prepared).into_iter().find(|core| core.config == *config && core.package.digest == *digest)
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

fn living(prepared: &Prepared) -> Vec<Arc<Core>> {
    let mut prepared = prepared.lock();
    prepared.retain(|core| core.strong_count() > 0);
    prepared.iter().filter_map(Weak::upgrade).collect()
}

/// What of all functions is looked after.
struct Swept {
    capacity: Arc<Capacity<Environment>>,
    cpu: CpuKeeping,
    scratch: Option<Arc<Scratch>>,
    zygotes: Arc<Zygotes>,
}

impl Swept {
    fn of(shared: &Shared) -> Swept {
        let scratch = shared.scratch.as_ref().map(Arc::clone);
        let (capacity, zygotes) = (Arc::clone(&shared.capacity), Arc::clone(&shared.zygotes));
        Swept { capacity, cpu: shared.cpu.clone(), scratch, zygotes }
    }
}

/// Discards what was idle for too long, what ended while it was idle, and who holds too much in `/tmp`.
async fn sweep(swept: Swept, prepared: Arc<Prepared>, packages: PathBuf) {
    let Swept { capacity, cpu, scratch, zygotes } = swept;
    let scratch = async move {
        match scratch {
            Some(scratch) => scratch.keep().await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(scratch, sweep_idle(capacity, cpu, zygotes, (prepared, packages)));
}

async fn sweep_idle(
    capacity: Arc<Capacity<Environment>>,
    cpu: CpuKeeping,
    zygotes: Arc<Zygotes>,
    (prepared, packages): (Arc<Prepared>, PathBuf),
) {
    let mut packages_at = Instant::now() + PACKAGES_EVERY;
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        for core in living(&prepared) {
            core.pool.discard(|environment| environment.is_usable() && environment.stands_still());
            core.retire_idle_template();
        }
        capacity.expire(Instant::now());
        cpu.sweep();
        zygotes.retire_unused();
        if Instant::now() >= packages_at {
            remove_packages(packages.clone()).await;
            packages_at = Instant::now() + PACKAGES_EVERY;
        }
    }
}

/// Removes the packages that no function of any process uses.
async fn remove_packages(packages: PathBuf) {
    let removed = tokio::task::spawn_blocking(move || package::remove_unused(&packages)).await;
    match removed {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(removed)) => tracing::info!(removed, "unused packages removed"),
        Ok(Err(error)) => tracing::warn!(%error, "unused packages cannot be removed"),
    }
}

/// The name is also a file name.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

const NAME_MAX: usize = 64;
const SWEEP_EVERY: Duration = Duration::from_millis(500);
const PACKAGES_EVERY: Duration = Duration::from_secs(15);
