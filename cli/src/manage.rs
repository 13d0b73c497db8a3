//! `selvedge deploy`, `rollback`, `functions`, `distributions` and `queue`: the running edge's APIs
//! for people of this machine, who need no key of their own.

use crate::args::{
    ConfigArgs, CreateArgs, DeployArgs, DistributionsArgs, DistributionsCommand, QueueCommand, RollbackArgs,
};
use crate::exit::{self, Exit};
use anyhow::{Context, anyhow, bail};
use control::{Behavior, Client, Deployed, NewDistribution, NewFunction};
use std::path::Path;
use std::time::Instant;

pub(crate) fn deploy(args: &DeployArgs) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let name = match &args.function {
        Some(name) => name.clone(),
        None => name_of(&args.code)?,
    };
    let new = NewFunction { runtime: args.runtime.clone(), handler: args.handler.clone() };
    with_client(&args.config, async |client| {
        let mut deployed = client.deploy(&name, &args.code, &new).await?;
        if let Some(event) = args.event {
            let place = Behavior {
                distribution: args.distribution.as_deref(),
                path: args.path.as_deref(),
                event: event.name(),
            };
            let associated = client.associate(&name, &deployed.version, &place).await?;
            deployed.distributions.retain(|id| *id != associated);
            deployed.distributions.push(associated);
        }
        Ok(vec![said(&name, &deployed, started)])
    })
}

pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<Exit> {
    let started = Instant::now();
    with_client(&args.config, async |client| {
        let deployed = client.rollback(&args.function, args.to).await?;
        Ok(vec![said(&args.function, &deployed, started)])
    })
}

pub(crate) fn functions(args: &ConfigArgs) -> anyhow::Result<Exit> {
    let none = "no functions yet: `selvedge deploy DIR` makes one";
    with_client(&args.config, async |client| client.functions().await.map(|lines| or_none(lines, none)))
}

pub(crate) fn distributions(args: &DistributionsArgs) -> anyhow::Result<Exit> {
    let none = "no distributions yet: `selvedge distributions create --origin URL` makes one";
    match &args.command {
        None => with_client(&args.list.config, async |client| {
            client.distributions().await.map(|lines| or_none(lines, none))
        }),
        Some(DistributionsCommand::Create(args)) => create(args),
    }
}

fn create(args: &CreateArgs) -> anyhow::Result<Exit> {
    let managed = deployment::managed_cache_policies();
    let Some((id, _)) = managed.iter().find(|(_, policy)| policy.name == args.cache) else {
        let known: Vec<&str> = managed.iter().map(|(_, policy)| policy.name.as_str()).collect();
        bail!("--cache {:?} is not one of {}", args.cache, known.join(", "));
    };
    let (origin, domains, cache_policy) = (args.origin.clone(), args.domains.clone(), (*id).to_owned());
    let new = NewDistribution { origin, domains, cache_policy };
    with_client(&args.config, async |client| {
        let (id, domain) = client.create_distribution(&new).await?;
        let domains: Vec<&str> = args.domains.iter().chain([&domain]).map(String::as_str).collect();
        Ok(vec![format!("{id} is live as {}", domains.join(", "))])
    })
}

/// For people an empty list is no answer; a script counts lines of standard output.
fn or_none(lines: Vec<String>, none: &str) -> Vec<String> {
    if lines.is_empty() {
        eprintln!("{none}");
    }
    lines
}

pub(crate) fn queue(command: &QueueCommand) -> anyhow::Result<Exit> {
    match command {
        QueueCommand::List(args) => with_client(&args.config, async |client| client.queues().await),
        QueueCommand::Show(args) => with_client(&args.config, async |client| client.letters(&args.queue).await),
        QueueCommand::Redrive(args) => with_client(&args.config, async |client| client.redrive(&args.queue).await),
        QueueCommand::Clear(args) => with_client(&args.config, async |client| client.clear(&args.queue).await),
    }
}

/// Prints the lines that `work` has to say.
fn with_client(
    config: &Path,
    work: impl AsyncFnOnce(&Client) -> Result<Vec<String>, control::ClientError>,
) -> anyhow::Result<Exit> {
    let config = match deployment::load(config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let Some(settings) = &config.server.control else {
        bail!("the configuration has no [control] table, so the edge has no control plane");
    };
    let client = Client::local(settings, &config.server.data_dir).map_err(|error| anyhow!("{error}"))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a thread")?;
    let lines = runtime.block_on(work(&client)).map_err(|error| anyhow!("{error}"))?;
    for line in lines {
        println!("{line}");
    }
    Ok(Exit::Done)
}

fn said(name: &str, deployed: &Deployed, started: Instant) -> String {
    let took = started.elapsed().as_millis();
    let version = &deployed.version;
    match &deployed.distributions[..] {
        [] => format!("{name}:{version} is published after {took} ms; no distribution uses it, --event EVENT lets one"),
        changed => format!("{name}:{version} is live in {} after {took} ms", changed.join(", ")),
    }
}

/// A function is called like its directory or archive.
fn name_of(code: &Path) -> anyhow::Result<String> {
    let whole = std::fs::canonicalize(code).with_context(|| format!("cannot read {}", code.display()))?;
    let name = whole.file_stem().and_then(|name| name.to_str());
    name.map(str::to_owned).with_context(|| format!("{} gives no name: use --function", code.display()))
}
