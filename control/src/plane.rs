//! The control plane's state and what its operations share: reading, changing, and telling
//! the edge. A change is applied to the edge and then committed; one that the edge refuses
//! is not kept, and one that cannot be kept is taken back from the edge.

use crate::access::AccessKeys;
use crate::cloudfront::{self, Distribution};
use crate::error::{ApiError, Code};
use crate::keyring::Keyring;
use crate::lambda::queue::Queue;
use crate::lambda::{Function, Links, Place, Runnable, Runner, UrlPlace, layer_packages, runnable, table};
use crate::order::Orders;
use crate::packages::Packages;
use crate::services::Services;
use crate::store::{Kind, Records, Store};
use deployment::{Added, Problems};
use environment::Runtime;
use functions::{FunctionConfig, Logs};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every operation works on.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) store: Store,
    pub(crate) packages: Packages,
    pub(crate) access: AccessKeys,
    pub(crate) runner: Runner,
    pub(crate) links: Links,
    pub(crate) queue: Queue,
    pub(crate) orders: Orders,
    pub(crate) services: Services,
    interpreters: HashMap<Runtime, PathBuf>,
    pub(crate) logs: Logs,
    pub(crate) urls: UrlPlace,
    socket: PathBuf,
    uploads: RwLock<()>,
    /// Held while a key value store changes: in the state, and then for the environments.
    pub(crate) values: Mutex<()>,
}

/// The parts of a [`Plane`] that are there before the edge is.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) store: Store,
    pub(crate) packages: Packages,
    pub(crate) access: AccessKeys,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) services: Services,
    pub(crate) interpreters: HashMap<Runtime, PathBuf>,
    pub(crate) logs: Logs,
    pub(crate) urls: UrlPlace,
    /// Where requests to function URLs arrive.
    pub(crate) socket: PathBuf,
}

impl Kept {
    /// What the edge runs of it.
    pub(crate) fn added(&self) -> Result<Added, ApiError> {
        self.store.read(|records| added(&self.packages, &self.services, (&self.urls, &self.socket), records))
    }

    pub(crate) fn into_plane(self, runner: Runner, queue: Queue, orders: Orders) -> Plane {
        let Kept { store, packages, access, keyring, services, interpreters, logs, urls, socket } = self;
        let links = Links::new(keyring.signing_key("links to packages"));
        Plane {
            store,
            packages,
            access,
            runner,
            links,
            queue,
            orders,
            services,
            interpreters,
            logs,
            urls,
            socket,
            uploads: RwLock::new(()),
            values: Mutex::new(()),
        }
    }
}

impl Plane {
    /// A change that the edge must take up: it has, when this returns. One that it refuses is
    /// an error with the code `refused`. Blocks.
    pub(crate) fn change<T>(
        &self,
        refused: Code,
        work: impl FnOnce(&Records<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut applied = false;
        let changed = self.store.write(|records| {
            let done = work(records)?;
            let added = self.added(records)?;
            self.orders.apply(added).map_err(|reason| ApiError::new(refused, reason))?;
            applied = true;
            Ok(done)
        });
        if changed.is_err() && applied {
            self.take_back();
        }
        changed
    }

    /// A package that was kept stays at least until the guard is dropped.
    pub(crate) fn uploading(&self) -> RwLockReadGuard<'_, ()> {
        self.uploads.read()
    }

    /// Removes packages that no function and no layer has, unless one is being uploaded.
    pub(crate) fn sweep_packages(&self) {
        let Some(_guard) = self.uploads.try_write() else { return };
        let used = self.store.read(used_packages);
        let swept = used.map(|used| self.packages.retain(&used));
        if let Ok(Err(error)) = swept {
            tracing::warn!("unused packages cannot be removed: {error}");
        }
    }

    /// The function as it would run, by the checks of the deployment. Blocks.
    pub(crate) fn check_function(
        &self,
        name: &str,
        version: &str,
        runnable: &Runnable,
        place: Place,
    ) -> Result<FunctionConfig, ApiError> {
        runnable.settings.unseal(&self.packages)?;
        let label = format!("{name}:{version}");
        let functions = toml::Table::from_iter([(label.clone(), table(runnable, place).into())]);
        let document = toml::Table::from_iter([("functions".to_owned(), functions.into())]);
        let text = toml::to_string(&document).map_err(|error| ApiError::of_ours(&error))?;
        let directory = self.packages.opened().to_path_buf();
        let interpreters = self.interpreters.clone();
        let added = Added { text, directory, interpreters, ..Added::default() };
        let refused = |problems: Problems| ApiError::new(Code::INVALID_PARAMETER, sentences(&problems));
        let mut checked = deployment::check_functions(&added).map_err(refused)?;
        checked.remove(&label).ok_or_else(|| ApiError::of_ours(&format!("function {label} is not in its own check")))
    }

    /// A function, or a version of it, that a distribution needs cannot be removed.
    pub(crate) fn refuse_associated(
        &self,
        records: &Records<'_>,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), ApiError> {
        for (id, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
            let needs = |(function, number): &(String, String)| {
                function == name && version.is_none_or(|version| version == number)
            };
            if cloudfront::associated(&distribution).iter().any(needs) {
                let message = format!("Lambda was unable to delete {name}: distribution {id} is associated with it");
                return Err(ApiError::new(Code::INVALID_PARAMETER, message));
            }
        }
        Ok(())
    }

    fn added(&self, records: &Records<'_>) -> Result<Added, ApiError> {
        added(&self.packages, &self.services, (&self.urls, &self.socket), records)
    }

    fn take_back(&self) {
        let kept = self.store.read(|records| self.added(records));
        if let Err(reason) = kept.map_err(|error| error.to_string()).and_then(|added| self.orders.apply(added)) {
            tracing::error!("a change that could not be kept is still in effect: {reason}");
        }
    }
}

/// Everything that the edge needs to know, in the language of the configuration file.
fn added(
    packages: &Packages,
    services: &Services,
    (urls, socket): (&UrlPlace, &Path),
    records: &Records<'_>,
) -> Result<Added, ApiError> {
    let mut functions: BTreeMap<String, toml::Value> = BTreeMap::new();
    let mut distributions = crate::lambda::distributions(records, urls, socket)?;
    let policies = cloudfront::tables(records)?;
    for (id, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
        let Some(mut table) = cloudfront::table(&distribution, &policies)? else { continue };
        let access = services.origin_access.as_ref();
        let signed = cloudfront::sign_origins(records, access, &distribution.config, &mut table);
        match signed.and_then(|()| associated_functions(packages, records, &distribution)) {
            Ok(associated) => functions.extend(associated),
            Err(error) => {
                // Without its functions it would let through what they keep out.
                tracing::error!("distribution {id} is not served: {error}");
                continue;
            }
        }
        distributions.insert(id, table.into());
    }
    cloudfront::join_staging(records, &mut distributions)?;
    let functions: toml::Table = functions.into_iter().collect();
    let document = toml::Table::from_iter([
        ("functions".into(), functions.into()),
        ("distributions".into(), distributions.into()),
        ("key_groups".into(), cloudfront::key_groups(records)?.into()),
    ]);
    let text = toml::to_string(&document).map_err(|error| ApiError::of_ours(&error))?;
    let names = records.list::<Function>(Kind::Function, "")?.into_iter().map(|(name, _)| name);
    let directory = packages.opened().to_path_buf();
    Ok(Added { text, directory, functions: names.collect(), ..Added::default() })
}

fn associated_functions(
    packages: &Packages,
    records: &Records<'_>,
    distribution: &Distribution,
) -> Result<Vec<(String, toml::Value)>, ApiError> {
    let mut functions = Vec::new();
    for (name, number) in cloudfront::associated(distribution) {
        let runnable = runnable(records, &name, &number)?;
        runnable.settings.unseal(packages)?;
        functions.push((format!("{name}:{number}"), table(&runnable, Place::Edge).into()));
    }
    Ok(functions)
}

/// Those of layers that can be given to functions, and all that functions have.
fn used_packages(records: &Records<'_>) -> Result<BTreeSet<String>, ApiError> {
    let layers = layer_packages(records)?;
    let mut used: BTreeSet<String> = layers.into_iter().map(|code| code.digest).collect();
    for (name, function) in records.list::<Function>(Kind::Function, "")? {
        used.extend(function.settings.packages().map(|code| code.digest.clone()));
        for (_, version) in records.list::<crate::lambda::Version>(Kind::Version, &name)? {
            used.extend(version.settings.packages().map(|code| code.digest.clone()));
        }
    }
    Ok(used)
}

/// The problems without their places, which are in no file of the caller.
pub(crate) fn sentences(problems: &Problems) -> String {
    problems.0.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}
