//! `selvedge check`: every problem of a configuration, or what it describes;
//! with `--sandbox`, which layers this machine gives.

use crate::args::CheckArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use anyhow::{Context, anyhow};
use deployment::{Config, Traffic};
use environment::{Language, Layer, LayerState, Runtime};
use functions::Engines;
use std::path::PathBuf;

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    if args.sandbox {
        return check_sandbox(args);
    }
    match deployment::load(&args.config) {
        Ok(config) => {
            print_summary(&config);
            Ok(Exit::Done)
        }
        Err(problems) => Ok(exit::config_problems(&problems)),
    }
}

/// Tries every layer as the zygote of each runtime does that the machine or the configuration has. Fails when one is
/// missing that `serve --require-sandbox` asks for.
fn check_sandbox(args: &CheckArgs) -> anyhow::Result<Exit> {
    let engines = runtime::engines()?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a thread")?;
    let mut found = Vec::new();
    let mut whole = true;
    for Kind { name, runtime, interpreter } in kinds(args, &engines) {
        match tokio.block_on(functions::sandbox_layers(&engines, runtime, interpreter.as_deref())) {
            Ok(layers) => found.push((name, layers)),
            Err(error) if runtime.language() == Language::JavaScript => return Err(anyhow!("{error}")),
            Err(error) => {
                println!("{name}: the sandbox cannot be tried: {error}");
                whole = false;
            }
        }
    }
    println!("for {}", found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
    for row in rows(&found) {
        println!("{row}");
    }
    println!("{:<14} {}", "cpu", functions::cpu_keeping());
    let states = found.iter().flat_map(|(_, layers)| layers);
    whole &= states.into_iter().all(|state| state.missing.is_none() || !state.layer.is_required());
    println!("{}", if whole { "the sandbox is whole" } else { "the sandbox is not whole" });
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// Functions that have a zygote in common, or one of the same program.
struct Kind {
    name: String,
    runtime: Runtime,
    interpreter: Option<PathBuf>,
}

/// JavaScript, each interpreter that is on the search path or in the configuration, and custom runtimes, as far as
/// the files for them are there.
fn kinds(args: &CheckArgs, engines: &Engines) -> Vec<Kind> {
    let mut kinds = vec![Kind { name: "JavaScript".to_owned(), runtime: Runtime::Nodejs22, interpreter: None }];
    let mut interpreters = if engines.python.is_file() { deployment::installed_interpreters() } else { Vec::new() };
    // A file that is missing or wrong names none.
    if let Ok(config) = deployment::load(&args.config) {
        let functions = config.deployment.functions.values();
        interpreters.extend(functions.filter_map(|function| Some((function.runtime, function.interpreter.clone()?))));
        let stated = config.server.control.map(|control| control.interpreters).unwrap_or_default();
        interpreters.extend(stated);
    }
    for (runtime, path) in interpreters {
        let name = format!("{} ({})", runtime.id(), path.display());
        if kinds.iter().all(|kind| kind.name != name) {
            kinds.push(Kind { name, runtime, interpreter: Some(path) });
        }
    }
    if engines.custom.is_file() {
        let name = "custom runtimes".to_owned();
        kinds.push(Kind { name, runtime: Runtime::ProvidedAl2023, interpreter: None });
    }
    kinds
}

/// A line for each layer, and one for each of its states where runtimes differ.
fn rows(found: &[(String, Vec<LayerState>)]) -> Vec<String> {
    let mut rows = Vec::new();
    for layer in Layer::ALL {
        let mut states: Vec<(&LayerState, Vec<&str>)> = Vec::new();
        for (name, layers) in found {
            let Some(state) = layers.iter().find(|state| state.layer == layer) else { continue };
            match states.iter_mut().find(|(other, _)| *other == state) {
                Some((_, names)) => names.push(name),
                None => states.push((state, vec![name])),
            }
        }
        let differs = states.len() > 1;
        rows.extend(
            states.into_iter().map(
                |(state, names)| {
                    if differs { format!("{} ({})", row(state), names.join(", ")) } else { row(state) }
                },
            ),
        );
    }
    rows
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_runtimes_differ_each_state_has_its_row() {
        let state = |layer, missing: Option<&str>| LayerState { layer, missing: missing.map(str::to_owned) };
        let of = |tmp: Option<&str>| vec![state(Layer::Files, None), state(Layer::Tmp, tmp)];
        let found =
            [("one".to_owned(), of(None)), ("two".to_owned(), of(Some("no room"))), ("three".to_owned(), of(None))];
        let rows = rows(&found);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows[0].starts_with("files          applied ") && !rows[0].contains("one"), "{rows:?}");
        assert!(rows[1].starts_with("tmp            applied ") && rows[1].ends_with(" (one, three)"), "{rows:?}");
        assert!(rows[2].starts_with("tmp            MISSING ") && rows[2].ends_with(": no room (two)"), "{rows:?}");
    }
}
