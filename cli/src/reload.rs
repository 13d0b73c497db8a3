//! The deployment of a running edge and its replacement: load, check, prepare,
//! swap. A deployment that fails a step is refused with its reasons, and the
//! one before stays.

use crate::watch::Watch;
use anyhow::{Context, anyhow, bail};
use control::Order;
use deployment::{AccessControl, Added, Config, Deployment, Origin, OriginKind, Problems, Server};
use functions::{Function, FunctionConfig, Functions, PackageDigest};
use proxy::Live;
use proxy::control::{Client, Invalidation};
use proxy::directory::DirectoryOrigins;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// A change is acted on when nothing changed for this long, at most [`SETTLE_MAX`] after the first.
const SETTLE: Duration = Duration::from_millis(200);
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Functions that are ready, with what they were made from.
#[derive(Default)]
pub(crate) struct Prepared {
    by_name: HashMap<String, (FunctionConfig, PackageDigest, Arc<Function>)>,
}

impl Prepared {
    /// Prepares the functions of a deployment; those that are in `self` already,
    /// with the same configuration and code, stay as they are, warm.
    pub(crate) async fn next(&self, functions: &Arc<Functions>, deployment: &Deployment) -> anyhow::Result<Prepared> {
        let mut by_name = HashMap::new();
        for (name, config) in &deployment.functions {
            let checked = config.clone();
            let package = tokio::task::spawn_blocking(move || functions::check_package(&checked))
                .await
                .context("the check of a package panicked")?
                .map_err(|error| anyhow!("function {name}: {error}"))?;
            let function = match self.by_name.get(name) {
                Some((was, digest, function)) if was == config && *digest == package => Arc::clone(function),
                _ => functions.prepare(config).await.map_err(|error| anyhow!("{error}"))?,
            };
            by_name.insert(name.clone(), (config.clone(), package, function));
        }
        Ok(Prepared { by_name })
    }

    /// For [`Live`].
    pub(crate) fn functions(&self) -> HashMap<String, Arc<Function>> {
        self.by_name.iter().map(|(name, (_, _, function))| (name.clone(), Arc::clone(function))).collect()
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
}

impl Reload {
    /// Reloads on SIGHUP and on changes of the files, until it is aborted.
    pub(crate) async fn run(mut self, mut hangup: Signal) {
        let (sender, mut changes) = mpsc::channel(1);
        let mut watch = match Watch::start(sender.clone()) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "cannot watch files; use SIGHUP after changes");
                None
            }
        };
        loop {
            if let Some(watch) = &mut watch {
                watch.follow(&self.file, &self.live.load().deployment);
            }
            tokio::select! {
                _ = hangup.recv() => {}
                _ = changes.recv() => settle(&mut changes).await,
                Some(order) = self.orders.recv() => {
                    self.follow(order).await;
                    continue;
                }
            }
            if let Err(error) = self.reload().await {
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

    async fn reload(&mut self) -> anyhow::Result<()> {
        let (file, added) = (self.file.clone(), self.added.clone());
        let config = tokio::task::spawn_blocking(move || deployment::load_with(&file, &added))
            .await
            .context("the check of the configuration panicked")??;
        let deployment = accept(&self.file, &self.server, config)?;
        let digest = deployment.digest.clone();
        let running = Arc::clone(&self.live.load().deployment);
        if digest == running.digest && access_controls(&deployment).eq(access_controls(&running)) {
            tracing::info!(deployment = %digest, "nothing changed");
            return Ok(());
        }
        let started = Instant::now();
        let prepared = self.prepared.next(&self.functions, &deployment).await?;
        self.directories.add(directories(&deployment)).map_err(|error| anyhow!("{error}"))?;
        let before = self.live.swap(deployment, prepared.functions());
        self.prepared = prepared;
        let prepare_ms = started.elapsed().as_millis();
        tracing::info!(deployment = %digest, before = %before.deployment.digest, %prepare_ms, "deployment swapped");
        Ok(())
    }
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

/// Returns when no change came for [`SETTLE`].
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + SETTLE_MAX;
    let quiet = async { while let Ok(Some(())) = timeout(SETTLE, changes.recv()).await {} };
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
        settle(&mut changes).await;
        let elapsed = started.elapsed();
        assert!(elapsed >= SETTLE_MAX && elapsed < 2 * SETTLE_MAX, "{elapsed:?}");
        noise.abort();
    }
}
