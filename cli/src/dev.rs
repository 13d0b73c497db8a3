//! `selvedge dev`: an edge on this machine for whoever writes functions. It is
//! `serve` with another eye: what is served may be made up from a directory
//! (`convention`), a save takes effect at once, and what happens is said for
//! people (`terminal`), errors with the place in the source (`place`).

mod convention;
mod place;
mod session;
mod story;
mod terminal;

pub(crate) use session::Session;

use crate::args::DevArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use crate::serve::{self, Start};
use anyhow::{Context, bail};
use convention::Convention;
use functions::{LogSink, SandboxDemand};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use terminal::Terminal;

/// Where responses of the edge come from, and how they are changed.
pub(crate) enum Project {
    /// A configuration file.
    Written(PathBuf),
    /// A configuration that is made up for a handler's file.
    MadeUp(Convention),
}

pub(crate) fn dev(args: &DevArgs) -> anyhow::Result<Exit> {
    let project = project(args)?;
    if args.print_config {
        let Project::MadeUp(convention) = &project else { bail!("there is a configuration file already") };
        print!("{}", convention.text(&convention.hooks(None)?.exports, None));
        return Ok(Exit::Done);
    }
    let terminal = Terminal::start()?;
    let place = tempfile::Builder::new().prefix("selvedge-dev-").tempdir().context("no temporary directory")?;
    let address = match (&project, args.port) {
        (_, Some(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        (Project::MadeUp(_), None) => Some(free_address()),
        (Project::Written(_), None) => None,
    };
    let session = Arc::new(Session::new(project, terminal, address, place.path()));
    session.refresh()?;
    let config = match deployment::load(session.file()) {
        Ok(config) => session.adapt(config),
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let tokio = runtime::tokio(&config.server)?;
    let sink = LogSink::FilesAnd(session.lines());
    let file = session.file().to_path_buf();
    let start = Start {
        file,
        config,
        sink,
        demand: SandboxDemand::WhatThereIs,
        dev: Some(Arc::clone(&session)),
        inspect: args.inspect,
    };
    tokio.block_on(async {
        let _echo = session.start_echo()?;
        serve::run(start).await
    })?;
    Ok(Exit::Done)
}

fn project(args: &DevArgs) -> anyhow::Result<Project> {
    let written = match &args.config {
        Some(file) => Some(file.clone()),
        None => Some(args.path.join(CONFIG)).filter(|file| file.is_file()),
    };
    let Some(file) = written else {
        let convention = Convention::find(&args.path, args.convention.clone())?;
        return Ok(Project::MadeUp(convention));
    };
    if let Some(option) = args.convention.given() {
        bail!("{option} is for projects without a configuration file, and there is {}", file.display());
    }
    let file = std::path::absolute(&file).context("the configuration file has no absolute path")?;
    Ok(Project::Written(file))
}

/// The first port from 8080 that nobody listens on.
fn free_address() -> SocketAddr {
    let addresses = (PORT..PORT + PORTS_TRIED).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.clone().find(|address| TcpListener::bind(address).is_ok()).unwrap_or((Ipv4Addr::LOCALHOST, PORT).into())
}

/// A path as short as it can be said here.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    match short {
        Some(short) if short.as_os_str().is_empty() => ".".to_owned(),
        Some(short) => short.display().to_string(),
        None => path.display().to_string(),
    }
}

const CONFIG: &str = "selvedge.toml";
const PORT: u16 = 8080;
const PORTS_TRIED: u16 = 20;
