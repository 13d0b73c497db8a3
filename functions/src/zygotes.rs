//! One zygote for each program that functions need, started when the first
//! function needs it; an interpreter for each function in Python.

use crate::bytecode::COMPILE_MAX;
use crate::config::FunctionConfig;
use crate::functions::SandboxDemand;
use crate::program::{Engines, Program};
use crate::zygote::{Zygote, ZygoteError};
use environment::{Layer, LayerState};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};

/// All zygotes of a PoP.
#[derive(Debug)]
pub(crate) struct Zygotes {
    engines: Engines,
    /// What each must find on this machine.
    demand: SandboxDemand,
    /// For compiling one Python package.
    compile_max: parking_lot::Mutex<Duration>,
    /// One may still be starting.
    running: Mutex<HashMap<Program, Arc<OnceCell<Arc<Zygote>>>>>,
}

impl Zygotes {
    /// Starts the one for JavaScript, and waits until it is ready.
    pub(crate) async fn start(engines: Engines, demand: SandboxDemand) -> Result<Zygotes, ZygoteError> {
        let program = Program::JavaScript { binary: engines.javascript.clone() };
        let zygote = start(&program, demand).await?;
        let running = Mutex::new(HashMap::from([(program, Arc::new(OnceCell::new_with(Some(zygote))))]));
        Ok(Zygotes { engines, demand, compile_max: parking_lot::Mutex::new(COMPILE_MAX), running })
    }

    /// The one that this function's processes are copied from. One that cannot be started is tried again by
    /// the next function that needs it.
    pub(crate) async fn of(&self, config: &FunctionConfig) -> Result<Arc<Zygote>, ZygoteError> {
        let program = Program::of(config, &self.engines);
        let cell = Arc::clone(self.running.lock().await.entry(program.clone()).or_default());
        let zygote = Arc::clone(cell.get_or_try_init(|| start(&program, self.demand)).await?);
        match missing(&zygote, &[Layer::Files]).await {
            Some((_, reason)) if !config.layers.is_empty() => Err(ZygoteError::Layers(reason)),
            _ => Ok(zygote),
        }
    }

    /// How long compiling one Python package may take.
    pub(crate) fn compile_max(&self) -> Duration {
        *self.compile_max.lock()
    }

    pub(crate) fn bound_compiling(&self, time_max: Duration) {
        *self.compile_max.lock() = time_max;
    }

    /// Ends those that no function uses any more, but the one for JavaScript.
    pub(crate) fn retire_unused(&self) {
        let Ok(mut running) = self.running.try_lock() else { return };
        running.retain(|program, cell| {
            let has_user = cell.get().map_or(Arc::strong_count(cell) > 1, |zygote| Arc::strong_count(zygote) > 1);
            let is_used = matches!(program, Program::JavaScript { .. }) || has_user;
            if !is_used {
                tracing::info!(program = %program.path().display(), "zygote retired: no function uses it");
            }
            is_used
        });
    }

    /// Whether environments have a `/tmp` in memory on this machine.
    pub(crate) async fn give_own_tmp(&self) -> bool {
        let running = self.running.lock().await;
        let Some(zygote) = running.values().find_map(|cell| cell.get()) else { return false };
        let layers = zygote.running().await.map(|running| running.sandbox).unwrap_or_default();
        layers.iter().any(|state| state.layer == Layer::Tmp && state.missing.is_none())
    }

    /// Ends them for good.
    pub(crate) async fn stop(&self) {
        for zygote in self.running.lock().await.values().filter_map(|cell| cell.get()) {
            zygote.stop();
        }
    }
}

async fn start(program: &Program, demand: SandboxDemand) -> Result<Arc<Zygote>, ZygoteError> {
    let zygote = Zygote::start(program).await?;
    check_needs(&zygote, program).await?;
    check_sandbox(&zygote, demand).await?;
    Ok(Arc::new(zygote))
}

/// Refuses to go on without what the functions of `program` cannot do without.
async fn check_needs(zygote: &Zygote, program: &Program) -> Result<(), ZygoteError> {
    match missing(zygote, program.needs()).await {
        Some((layer, reason)) => Err(ZygoteError::Needs(format!("{} ({reason})", layer.name()))),
        None => Ok(()),
    }
}

/// The first of these layers that this machine does not give, and why.
async fn missing(zygote: &Zygote, needed: &[Layer]) -> Option<(Layer, String)> {
    let layers = zygote.running().await.map(|running| running.sandbox).unwrap_or_default();
    let lost = |state: &LayerState| needed.contains(&state.layer).then(|| Some((state.layer, state.missing.clone()?)));
    layers.iter().find_map(|state| lost(state).flatten())
}

/// Says what of the sandbox this machine does not give, or refuses to go on without it.
async fn check_sandbox(zygote: &Zygote, demand: SandboxDemand) -> Result<(), ZygoteError> {
    let layers = zygote.running().await.map(|running| running.sandbox).unwrap_or_default();
    let mut lost = Vec::new();
    for LayerState { layer, missing } in layers.iter() {
        let Some(reason) = missing else { continue };
        if !layer.is_required() {
            tracing::info!(layer = layer.name(), reason, "sandbox: not there, and repeated by another layer");
            continue;
        }
        tracing::warn!(layer = layer.name(), reason, "sandbox: missing on this machine: {}", layer.purpose());
        lost.push(format!("{} ({reason})", layer.name()));
    }
    match demand {
        SandboxDemand::Whole if !lost.is_empty() => Err(ZygoteError::Sandbox(lost.join(", "))),
        _ => Ok(()),
    }
}
