//! `selvedge check`: every problem of a configuration, or what it describes;
//! with `--sandbox`, which layers this machine gives.

use crate::args::CheckArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use anyhow::{Context, anyhow};
use deployment::{Config, Traffic};
use environment::LayerState;

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    if args.sandbox {
        return check_sandbox();
    }
    match deployment::load(&args.config) {
        Ok(config) => {
            print_summary(&config);
            Ok(Exit::Done)
        }
        Err(problems) => Ok(exit::config_problems(&problems)),
    }
}

/// Fails when a layer is missing that `serve --require-sandbox` asks for.
fn check_sandbox() -> anyhow::Result<Exit> {
    let binary = runtime::find()?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a thread")?;
    let layers = tokio.block_on(functions::sandbox_layers(&binary)).map_err(|error| anyhow!("{error}"))?;
    for state in &layers {
        println!("{}", row(state));
    }
    println!("{:<14} {}", "cpu", functions::cpu_keeping());
    let whole = layers.iter().all(|state| state.missing.is_none() || !state.layer.is_required());
    println!("{}", if whole { "the sandbox is whole" } else { "the sandbox is not whole" });
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

fn row(state: &LayerState) -> String {
    let (name, purpose) = (state.layer.name(), state.layer.purpose());
    match &state.missing {
        None => format!("{name:<14} applied  {purpose}"),
        Some(reason) if state.layer.is_required() => format!("{name:<14} MISSING  {purpose}: {reason}"),
        Some(reason) => format!("{name:<14} not here {purpose}: {reason}; not required"),
    }
}

/// Which requests a staging distribution gets.
fn share(traffic: &Traffic) -> String {
    match traffic {
        Traffic::Header { name, .. } => format!("requests with {name}"),
        Traffic::Weight { weight, session: None } => format!("{weight} of requests"),
        Traffic::Weight { weight, session: Some(_) } => format!("{weight} of sessions"),
    }
}

fn print_summary(config: &Config) {
    let deployment = &config.deployment;
    println!("no problems; deployment {}", deployment.digest);
    for function in deployment.functions.values() {
        let limits = format!("{} MB, {} s", function.memory_mb, function.timeout.as_secs_f64());
        println!("  function {}: {}, {}, {limits}", function.name, function.handler, function.runtime.id());
    }
    for distribution in &deployment.distributions {
        let staging = if distribution.is_staging { ", staging" } else { "" };
        println!("  distribution {} ({}){staging}", distribution.name, distribution.id);
        let domains = distribution.domains.iter().chain([&distribution.domain_name]);
        println!("    domains: {}", domains.map(String::as_str).collect::<Vec<_>>().join(", "));
        if let Some(policy) = &distribution.continuous_deployment {
            println!("    {} to {}", share(&policy.traffic), policy.staging.name);
        }
        for behavior in &distribution.behaviors {
            println!("    {} -> {}, cache {}", behavior.pattern, behavior.origin.name, behavior.cache.name);
        }
    }
}
