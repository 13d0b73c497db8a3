//! The deployment of a running edge and its replacement: load, check, prepare,
//! swap. A deployment that fails a step is refused with its reasons, and the
//! one before stays.

use crate::dev::Session;
use crate::stores;
use crate::watch::{Heed, Watch};
use anyhow::{Context, anyhow, bail};
use control::Order;
use deployment::{AccessControl, Added, Config, Deployment, KeyValueStore, Origin, OriginKind, Problems, Server};
use functions::{Function, Functions, PrepareError};
use proxy::Live;
use proxy::control::{Client, Invalidation};
use proxy::directory::DirectoryOrigins;
use std::collections::HashMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// When changes are acted on.
#[derive(Clone, Copy, Debug)]
struct Settle {
    /// Nothing changed for this long…
    quiet: Duration,
    /// … or the first change is this long ago.
    max: Duration,
}

const SETTLE: Settle = Settle { quiet: Duration::from_millis(200), max: Duration::from_secs(2) };
/// Of whole files that a person saves, one or a few.
const SETTLE_DEV: Settle = Settle { quiet: Duration::from_millis(5), max: Duration::from_millis(500) };

/// The functions of a deployment, ready.
pub(crate) struct Prepared {
    by_name: HashMap<String, Arc<Function>>,
}

impl Prepared {
    /// Prepares the functions of a deployment. As long as those of the one before are held, those with the
    /// same configuration and code stay as they are, warm.
    pub(crate) async fn of(functions: &Arc<Functions>, deployment: &Deployment) -> anyhow::Result<Prepared> {
        let mut preparing = JoinSet::new();
        let at_once = Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get)));
        for (name, config) in &deployment.functions {
            let (name, config) = (name.clone(), config.clone());
            let (functions, at_once) = (Arc::clone(functions), Arc::clone(&at_once));
            preparing.spawn(async move {
                let _one = at_once.acquire_owned().await;
                let function = functions.prepare(&config).await;
                (name, function)
            });
        }
        let mut all: Vec<(String, Result<Arc<Function>, PrepareError>)> = preparing.join_all().await;
        // The same error first, however long each took.
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let ready = all.into_iter().map(|(name, function)| Ok((name, function?)));
        let by_name = ready.collect::<Result<_, PrepareError>>().map_err(|error| anyhow!("{error}"))?;
        Ok(Prepared { by_name })
    }

    /// The functions that `before` had not, or had with other code or configuration.
    fn renewed_since(&self, before: &Prepared) -> Vec<String> {
        let had = |name: &str, function: &Function| before.by_name.get(name).is_some_and(|other| other.is(function));
        let renewed = self.by_name.iter().filter(|(name, function)| !had(name, function));
        let mut names: Vec<String> = renewed.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Those of these functions whose code does not load.
    async fn broken(&self, names: &[String]) -> Vec<String> {
        let mut broken = Vec::new();
        for name in names {
            if let Some(function) = self.by_name.get(name)
                && function.init_error().await.is_some()
            {
                broken.push(name.clone());
            }
        }
        broken
    }

    /// For [`Live`].
    pub(crate) fn functions(&self) -> HashMap<String, Arc<Function>> {
        self.by_name.clone()
    }
}

/// What a running edge was made from, and where the next deployment goes.
pub(crate) struct Reload {
    pub(crate) file: PathBuf,
    pub(crate) server: Server,
    pub(crate) functions: Arc<Functions>,
    pub(crate) prepared: Prepared,
    pub(crate) live: Arc<Live>,
    pub(crate) directories: Arc<DirectoryOrigins>,
    /// What the control plane adds to the file.
    pub(crate) added: Added,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Of `selvedge dev`.
    pub(crate) dev: Option<Arc<Session>>,
}

impl Reload {
    /// Reloads on SIGHUP and on changes of the files, until it is aborted.
    pub(crate) async fn run(mut self, mut hangup: Signal) {
        let (sender, mut changes) = mpsc::channel(1);
        let (heed, pace) = match self.dev {
            None => (Heed::Changes, SETTLE),
            Some(_) => (Heed::Saves, SETTLE_DEV),
        };
        let mut watch = match Watch::start(sender.clone(), heed) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "cannot watch files; use SIGHUP after changes");
                None
            }
        };
        if let (Some(watch), Some(_)) = (&mut watch, &self.dev) {
            // What was saved since the start was not heard.
            watch.follow(&self.file, &self.live.load().deployment);
            let _ = sender.try_send(());
        }
        loop {
            if let Some(watch) = &mut watch {
                watch.follow(&self.file, &self.live.load().deployment);
            }
            tokio::select! {
                _ = hangup.recv() => {}
                _ = changes.recv() => settle(&mut changes, pace).await,
                Some(order) = self.orders.recv() => {
                    self.follow(order).await;
                    continue;
                }
            }
            let Err(error) = self.reload().await else { continue };
            if let Some(dev) = &self.dev {
                dev.refused(&error);
            } else {
                for reason in format!("{error:#}").lines() {
                    tracing::error!("{reason}");
                }
                tracing::error!(deployment = %self.live.load().deployment.digest, "reload refused, the deployment stays");
            }
        }
    }

    /// Does what the control plane asks for, and tells it how that went.
    async fn follow(&mut self, order: Order) {
        let (done, told) = match order {
            Order::Apply { added, done } => (done, self.apply(added).await),
            Order::Invalidate { distribution, items, done } => {
                let client = Client::new(&self.server.data_dir);
                let invalidated = client.invalidate(&Invalidation { distribution, items }).await;
                (done, invalidated.map(drop).map_err(|error| error.to_string()))
            }
        };
        // Whoever asked has given up; what was done stays.
        let _ = done.send(told);
    }

    /// Runs the file with this; what was added before stays when that cannot be.
    async fn apply(&mut self, added: Added) -> Result<(), String> {
        let before = std::mem::replace(&mut self.added, added);
        self.reload().await.map_err(|error| {
            self.added = before;
            let sentences: Vec<String> = match error.downcast_ref::<Problems>() {
                Some(problems) => problems.0.iter().map(ToString::to_string).collect(),
                None => vec![format!("{error:#}")],
            };
            sentences.join("; ")
        })
    }

    /// Takes out of the cache what functions made that are others now.
    async fn forget_responses(&self, dev: &Session) {
        if !dev.caches() {
            return;
        }
        let client = Client::new(&self.server.data_dir);
        for distribution in &self.live.load().deployment.distributions {
            let invalidation = Invalidation { distribution: distribution.name.clone(), items: vec!["/*".to_owned()] };
            if let Err(error) = client.invalidate(&invalidation).await {
                tracing::warn!(%error, "what is in the cache stays");
            }
        }
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let (file, dev) = (self.file.clone(), self.dev.clone());
        let added = Added { known: self.functions.known(), ..self.added.clone() };
        let config = tokio::task::spawn_blocking(move || load(&file, &added, dev.as_deref()))
            .await
            .context("the check of the configuration panicked")??;
        let deployment = accept(&self.file, &self.server, config)?;
        let digest = deployment.digest.clone();
        let running = Arc::clone(&self.live.load().deployment);
        if digest == running.digest && access_controls(&deployment).eq(access_controls(&running)) {
            tracing::info!(deployment = %digest, "nothing changed");
            return Ok(());
        }
        let known = running.key_value_stores.clone();
        stores::publish(&self.functions, &deployment, |id, _| !known.contains_key(id))?;
        let prepared = Prepared::of(&self.functions, &deployment).await?;
        if self.dev.as_ref().is_some_and(|dev| !dev.is_current()) {
            // The code may be newer than its exports; the save that came between is the next change.
            return Ok(());
        }
        self.directories.add(directories(&deployment)).map_err(|error| anyhow!("{error}"))?;
        let before = self.live.swap(deployment, prepared.functions());
        let renewed = prepared.renewed_since(&self.prepared);
        self.prepared = prepared;
        let deployment = Arc::clone(&self.live.load().deployment);
        let changed = |id: &str, store: &KeyValueStore| known.get(id).is_some_and(|was| was.pairs != store.pairs);
        if let Err(error) = stores::publish(&self.functions, &deployment, changed) {
            tracing::error!("{error:#}: handlers read it as it was");
        }
        if let Some(dev) = self.dev.clone() {
            let took = started.elapsed();
            self.forget_responses(&dev).await;
            dev.reloaded(&renewed, &self.prepared.broken(&renewed).await, took);
        }
        let prepare_ms = started.elapsed().as_millis();
        tracing::info!(deployment = %digest, before = %before.deployment.digest, %prepare_ms, "deployment swapped");
        Ok(())
    }
}

/// The configuration as it is now.
fn load(file: &Path, added: &Added, dev: Option<&Session>) -> anyhow::Result<Config> {
    if let Some(dev) = dev {
        dev.refresh()?;
    }
    let config = deployment::load_with(file, added)?;
    Ok(match dev {
        Some(dev) => dev.adapt(config),
        None => config,
    })
}

/// The origins of a deployment that are directories.
pub(crate) fn directories(deployment: &Deployment) -> Vec<PathBuf> {
    let origins = deployment.distributions.iter().flat_map(|distribution| distribution.origins.values());
    let directory = |origin: &Arc<Origin>| match &origin.kind {
        OriginKind::Directory(path) => Some(path.clone()),
        OriginKind::Http { .. } | OriginKind::Socket(_) => None,
    };
    origins.filter_map(directory).collect()
}

/// How requests to origins are signed: credentials change without the text that names them.
fn access_controls(deployment: &Deployment) -> impl Iterator<Item = Option<&AccessControl>> {
    let origins = deployment.distributions.iter().flat_map(|distribution| distribution.origins.values());
    origins.map(|origin| origin.access_control.as_ref())
}

/// The deployment of a new configuration, unless it asks for another `[server]`.
fn accept(file: &Path, server: &Server, config: Config) -> anyhow::Result<Deployment> {
    if config.server != *server {
        bail!(
            "{}: [server], [control] or [runtimes] beside a [control] changed, which needs a restart",
            file.display()
        );
    }
    Ok(config.deployment)
}

/// Returns when it is time to act on changes.
async fn settle(changes: &mut mpsc::Receiver<()>, pace: Settle) {
    let latest = Instant::now() + pace.max;
    let quiet = async { while let Ok(Some(())) = timeout(pace.quiet, changes.recv()).await {} };
    // Either way it is time.
    let _ = timeout_at(latest, quiet).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &Path, text: &str) -> Config {
        std::fs::write(root.join("selvedge.toml"), text).unwrap();
        deployment::load(&root.join("selvedge.toml")).unwrap()
    }

    #[test]
    fn a_changed_server_table_needs_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let running = config(root.path(), "[server]\nthreads = 1\n");
        let same = config(root.path(), "# the same\n[server]\nthreads = 1\n");
        assert!(accept(Path::new("f"), &running.server, same).is_ok());
        let other = config(root.path(), "[server]\nthreads = 2\n");
        let refused = accept(Path::new("f"), &running.server, other).unwrap_err().to_string();
        assert!(refused.contains("needs a restart"), "{refused}");
    }

    #[tokio::test]
    async fn changes_settle_even_when_they_do_not_stop() {
        let (sender, mut changes) = mpsc::channel(1);
        let noise = tokio::spawn(async move {
            while sender.send(()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let started = Instant::now();
        settle(&mut changes, SETTLE).await;
        let elapsed = started.elapsed();
        assert!(elapsed >= SETTLE.max && elapsed < 2 * SETTLE.max, "{elapsed:?}");
        noise.abort();
    }
}
