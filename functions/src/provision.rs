//! Provisioned environments: made before anybody asks, and made again when they
//! end for whatever reason. `functions` fills a pool once before a deployment
//! goes live; `keep` does it for as long as the function lives.

use crate::function::Core;
use crate::template::BuildError;
use environment::ErrorPayload;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How far a function's provisioned environments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// Of those wanted, how many are there, whether they are in use or idle.
    pub ready: usize,
    /// Why no more can be made, when the last attempt failed.
    pub failed: Option<String>,
}

/// What is known while they are made.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Counted in the pool already and not there yet.
    making: AtomicUsize,
    failed: Mutex<Option<BuildError>>,
}

impl Progress {
    pub(crate) fn of(&self, core: &Core) -> Provisioned {
        let there = core.pool.total().saturating_sub(self.making.load(Ordering::Relaxed));
        Provisioned {
            ready: there.min(core.config.scaling.provisioned),
            failed: self.failed.lock().as_ref().map(ToString::to_string),
        }
    }

    /// The error of the init phase that the last one ended with.
    pub(crate) fn init_error(&self) -> Option<ErrorPayload> {
        match &*self.failed.lock() {
            Some(BuildError::Init(error)) => Some(error.clone()),
            _ => None,
        }
    }
}

/// One that is being made, until it is there or given up.
struct Making<'a>(&'a Progress);

impl Making<'_> {
    fn begin(progress: &Progress) -> Making<'_> {
        progress.making.fetch_add(1, Ordering::Relaxed);
        Making(progress)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.making.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Core {
    /// Returns when the provisioned environments are there, or it took too long; they are made
    /// again from then on.
    pub(crate) async fn provision(self: &Arc<Self>) {
        if self.config.scaling.provisioned == 0 {
            return;
        }
        let filled = tokio::time::timeout(FILL_MAX, fill(&Arc::downgrade(self))).await;
        // Code under development that does not load is tried again by the next invocation, or is mended.
        if self.is_inspected() && matches!(filled, Ok(Err(_))) {
            return;
        }
        if !matches!(filled, Ok(Ok(()))) {
            let provisioned = self.config.scaling.provisioned;
            tracing::error!(function = %self.name, provisioned, "not all provisioned environments are there yet");
        }
        tokio::spawn(keep(Arc::downgrade(self)));
    }
}

/// Returns once as many environments exist as are provisioned, or one could not be made.
async fn fill(core: &Weak<Core>) -> Result<(), BuildError> {
    let Some(pool) = core.upgrade().map(|core| Arc::clone(&core.pool)) else { return Ok(()) };
    while let Some(place) = pool.reserve().await {
        let Some(core) = core.upgrade() else { return Ok(()) };
        let making = Making::begin(&core.progress);
        let created = core.create(place).await;
        drop(making);
        *core.progress.failed.lock() = created.as_ref().err().cloned();
        let (environment, _) = created?;
        environment.rest();
        pool.put(environment);
    }
    Ok(())
}

/// Fills again whenever there are fewer, until the function is gone.
async fn keep(core: Weak<Core>) {
    let mut pause = PAUSE_MIN;
    loop {
        let filled = fill(&core).await;
        let Some(core) = core.upgrade() else { return };
        let (pool, name) = (Arc::clone(&core.pool), Arc::clone(&core.name));
        // As in `Core::provision`.
        if pool.is_closed() || (core.is_inspected() && filled.is_err()) {
            return;
        }
        drop(core);
        match filled {
            Ok(()) => {
                pause = PAUSE_MIN;
                pool.shrunk().await;
            }
            Err(error) => {
                tracing::error!(function = %name, ?error, "a provisioned environment cannot be made");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// How long a deployment waits for its provisioned environments before it goes live without them.
const FILL_MAX: Duration = Duration::from_secs(60);

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
