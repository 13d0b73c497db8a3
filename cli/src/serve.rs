//! `selvedge serve`: check, prepare every function, listen, and follow changes
//! until a signal ends it.

use crate::args::{LogFormat, ServeArgs};
use crate::debuggers::Debuggers;
use crate::dev::Session;
use crate::exit::{self, Exit};
use crate::reload::{self, Prepared, Reload};
use crate::runtime;
use crate::stores;
use anyhow::{Context, anyhow, bail};
use certs::Store;
use control::{Control, Order};
use deployment::{Added, Config, Deployment};
use functions::{Functions, LogSink, SandboxDemand};
use inspector::Address;
use proxy::directory::DirectoryOrigins;
use proxy::geo::Geo;
use proxy::listen::{self, Listeners};
use proxy::{Edge, Live};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::EnvFilter;

/// What is logged when it is not set: this program's own words, and warnings of its libraries.
pub(crate) const LOG_VARIABLE: &str = "SELVEDGE_LOG";
const LOG_DEFAULT: &str = "warn,selvedge=info,access=info,hook=info,edge=info,certs=info,control=info,deployment=info,\
    functions=info,proxy=info";
/// Of the control plane, that wait for the edge.
const ORDERS_MAX: usize = 16;

pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<Exit> {
    if args.inspect.is_some() {
        bail!(
            "--inspect is for development: a debugger can run code in functions and stops them for as long as it \
             likes; use `selvedge dev --inspect`"
        );
    }
    start_log(args.log_format)?;
    let file = std::path::absolute(&args.config).context("the configuration file has no absolute path")?;
    let config = match deployment::load(&file) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let sink = if args.function_logs { LogSink::FilesAndTerminal } else { LogSink::Files };
    let demand = if args.require_sandbox { SandboxDemand::Whole } else { SandboxDemand::WhatThereIs };
    let tokio = runtime::tokio(&config.server)?;
    tokio.block_on(run(Start { file, config, sink, demand, dev: None, inspect: None }))?;
    Ok(Exit::Done)
}

/// What an edge is started with.
pub(crate) struct Start {
    pub(crate) file: PathBuf,
    pub(crate) config: Config,
    pub(crate) sink: LogSink,
    pub(crate) demand: SandboxDemand,
    /// Of `selvedge dev`.
    pub(crate) dev: Option<Arc<Session>>,
    /// Where debuggers may attach.
    pub(crate) inspect: Option<Address>,
}

/// Serves until a signal ends it.
///
/// # Errors
/// What it needs cannot be had.
pub(crate) async fn run(start: Start) -> anyhow::Result<()> {
    let Start { file, config: Config { server, deployment }, sink, demand, dev, inspect } = start;
    let plane = server.control.as_ref().map(|settings| Control::open(settings, &server.data_dir));
    let plane = plane.transpose().map_err(|error| anyhow!("{error}"))?;
    let (added, deployment) = with_control_plane(&file, plane.as_ref(), deployment)?;
    // Before anything listens, so that no signal ends the process by default.
    let hangup = signal(SignalKind::hangup()).context("cannot receive SIGHUP")?;
    let shutdown = stop_signals()?;
    let store = server.certificates.as_deref().filter(|_| !server.https.is_empty()).map(open_store).transpose()?;
    let directories = DirectoryOrigins::start(reload::directories(&deployment)).map_err(|error| anyhow!("{error}"))?;
    let started = Instant::now();
    let debuggers = Debuggers::listen(inspect).await?;
    let functions = runtime::start_functions(&server, &server.data_dir, (sink, demand), debuggers.inspection()).await?;
    stores::publish(&functions, &deployment, |_, _| true)?;
    if let Some(plane) = &plane {
        plane.publish(&functions).map_err(|error| anyhow!("{error}"))?;
    }
    let prepared = Prepared::of(&functions, &deployment).await?;
    let prepare_ms = started.elapsed().as_millis();
    let (digest, count) = (deployment.digest.clone(), deployment.functions.len());
    tracing::info!(deployment = %digest, functions = count, %prepare_ms, "prepared");

    let live = Live::new(deployment, prepared.functions());
    let sockets = Arc::clone(&directories);
    let geo = server.geo_database.as_deref().map(Geo::open).transpose().map_err(|error| anyhow!("{error}"))?;
    let edge =
        Edge::new(&server, Arc::clone(&live), Arc::new(move |directory| sockets.socket(directory)))?.locating(geo);
    let edge = edge.explaining(dev.as_deref().map(Session::explain));
    let listeners = listen::bind(&server, store).map_err(|error| anyhow!("{error}"))?;
    let debuggers = debuggers.serve(shutdown.clone());
    tell_addresses(&listeners, dev.as_deref(), &live);
    if let (Some(dev), Some(address)) = (&dev, debuggers) {
        dev.lets_debuggers_in(address);
    }
    let control = edge.control(&server.data_dir).context("the control socket and the invalidations in data_dir")?;
    let control = tokio::spawn(control.serve());
    let metrics = match server.metrics {
        Some(address) => {
            let listening = edge.metrics().listen(address).await;
            Some(tokio::spawn(listening.with_context(|| format!("metrics listener {address}"))?))
        }
        None => None,
    };
    let (orders, received) = mpsc::channel(ORDERS_MAX);
    let plane = plane.map(|plane| tokio::spawn(serve_control(plane, Arc::clone(&functions), orders)));
    let stops = Arc::clone(&functions);
    let reload = Reload { file, server, functions, prepared, live, directories, added, orders: received, dev };
    let reload = tokio::spawn(reload.run(hangup));
    listeners.run(edge, shutdown).await;
    reload.abort();
    if let Some(plane) = plane {
        plane.abort();
    }
    control.abort();
    metrics.inspect(|metrics| metrics.abort());
    stops.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn tell_addresses(listeners: &Listeners, dev: Option<&Session>, live: &Live) {
    let http = listeners.http_addresses().into_iter().map(|address| ("http", address));
    let https = listeners.https_addresses().into_iter().map(|address| ("https", address));
    let addresses: Vec<(&str, SocketAddr)> = http.chain(https).collect();
    for (scheme, address) in &addresses {
        tracing::info!("listening on {scheme}://{address}");
    }
    if let Some(dev) = dev {
        dev.started(&addresses, &live.load().deployment);
    }
}

/// What the control plane adds, and the deployment together with it.
fn with_control_plane(file: &Path, plane: Option<&Control>, alone: Deployment) -> anyhow::Result<(Added, Deployment)> {
    let Some(plane) = plane else { return Ok((Added::default(), alone)) };
    let added = plane.added().map_err(|error| anyhow!("{error}"))?;
    let together =
        deployment::load_with(file, &added).context("the state of the control plane does not fit the file")?;
    tracing::info!("the control plane listens on http://{}", plane.address());
    if let Some(profile) = plane.new_profile() {
        println!("# An access key was made. Keep it now, it is not shown again: for ~/.aws/config");
        println!("{profile}");
    }
    if !plane.address().ip().is_loopback() {
        tracing::warn!("the control plane listens beyond this machine: what is sent to it is signed, not encrypted");
    }
    Ok((added, together.deployment))
}

async fn serve_control(plane: Control, functions: Arc<Functions>, orders: mpsc::Sender<Order>) {
    if let Err(error) = plane.serve(functions, orders).await {
        tracing::error!("the control plane ended: {error}");
    }
}

/// Becomes true on SIGTERM or SIGINT.
fn stop_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot receive SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot receive SIGINT")?;
    let (stop, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping after the requests in flight");
        // Nobody listens any more: stopped already.
        let _ = stop.send(true);
        // A second signal while requests finish: the person does not want to wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopping at once");
        std::process::exit(1);
    });
    Ok(shutdown)
}

fn open_store(dir: &Path) -> anyhow::Result<Arc<Store>> {
    let store = Store::open(dir).map_err(|error| anyhow!("{error}"))?;
    for warning in store.warnings() {
        tracing::warn!("{warning}");
    }
    store.watch();
    Ok(store)
}

/// Log lines go to standard error, so that standard output stays free.
fn start_log(format: LogFormat) -> anyhow::Result<()> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.into());
    let filter = EnvFilter::try_new(&wanted).with_context(|| format!("${LOG_VARIABLE} is {wanted:?}"))?;
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
