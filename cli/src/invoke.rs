//! `selvedge invoke`: one function, one event, without a proxy. Runs beside a
//! serving edge: it has its own processes and its own temporary data directory.

use crate::args::InvokeArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use crate::stores;
use anyhow::{Context, anyhow};
use deployment::{Deployment, Server};
use environment::{ErrorPayload, Language, Outcome};
use functions::{FunctionConfig, Invocation, LogSink, SandboxDemand};
use std::io::{Read, Write};
use std::path::Path;

pub(crate) fn invoke(args: &InvokeArgs) -> anyhow::Result<Exit> {
    let config = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let Some(function) = config.deployment.functions.get(&args.function) else {
        let known: Vec<&str> = config.deployment.functions.keys().map(String::as_str).collect();
        eprintln!("selvedge: no function {:?} in {}: {}", args.function, args.config.display(), known.join(", "));
        return Ok(Exit::Usage);
    };
    let event = read_event(&args.event)?;
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&event) {
        eprintln!("selvedge: event {} is not JSON: {error}", args.event.display());
        return Ok(Exit::Usage);
    }
    let invocation =
        runtime::tokio(&config.server)?.block_on(run((&config.server, &config.deployment), function, event))?;
    print_result(&invocation, function.runtime.language())
}

fn read_event(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut event = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut event).context("cannot read the event from standard input")?;
    } else {
        event = std::fs::read(path).with_context(|| format!("cannot read event {}", path.display()))?;
    }
    Ok(event)
}

async fn run(
    (server, deployment): (&Server, &Deployment),
    config: &FunctionConfig,
    event: Vec<u8>,
) -> anyhow::Result<Invocation> {
    let data_dir = tempfile::Builder::new().prefix("selvedge-invoke-").tempdir().context("no temporary directory")?;
    let (sink, demand) = (LogSink::FilesAndTerminal, SandboxDemand::WhatThereIs);
    let functions = runtime::start_functions(server, data_dir.path(), (sink, demand), None).await?;
    stores::publish(&functions, deployment, |_, _| true)?;
    let invocation = match functions.prepare(config).await {
        Ok(function) => Ok(function.invoke_whole(event.into()).await),
        Err(error) => Err(anyhow!("{error}")),
    };
    functions.stop().await;
    invocation
}

/// The result, or the error in Lambda's shape, as one line of JSON.
fn print_result(invocation: &Invocation, language: Language) -> anyhow::Result<Exit> {
    let mut stdout = std::io::stdout().lock();
    let exit = match &invocation.outcome {
        Outcome::Result(result) => {
            stdout.write_all(result).context("cannot write the result")?;
            Exit::Done
        }
        failed => {
            let shown = error_payload(failed).shown(language, &invocation.id.to_string());
            serde_json::to_writer(&mut stdout, &shown).context("cannot write the result")?;
            Exit::FunctionError
        }
    };
    writeln!(stdout).context("cannot write the result")?;
    Ok(exit)
}

fn error_payload(outcome: &Outcome) -> ErrorPayload {
    let message = match outcome {
        Outcome::Threw(error) | Outcome::InitFailed(error) => return error.clone(),
        Outcome::Result(_) => "the function returned a result".into(),
        Outcome::TimedOut { timeout_ms } => format!("timed out after {timeout_ms} ms"),
        Outcome::ExceededMemory { memory_mb, used_mb } => {
            format!("used {used_mb} MB, more than its memory of {memory_mb} MB")
        }
        Outcome::Crashed { reason } => reason.clone(),
        Outcome::Throttled(throttle) => throttle.to_string(),
        Outcome::ResultTooLarge { bytes, limit } => format!("result has {bytes} bytes, at most {limit} are allowed"),
        Outcome::Canceled => "canceled".into(),
    };
    ErrorPayload { error_type: outcome.label().into(), error_message: message, trace: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_lambda_s_shape() {
        let payload = error_payload(&Outcome::TimedOut { timeout_ms: 3000 });
        assert_eq!(payload.error_type, "timed-out");
        assert!(payload.error_message.contains("3000 ms"));
        let thrown = ErrorPayload { error_type: "TypeError".into(), ..ErrorPayload::default() };
        assert_eq!(error_payload(&Outcome::Threw(thrown.clone())), thrown);
        let python = thrown.shown(Language::Python, "an id").to_string();
        assert_eq!(python, r#"{"errorMessage":"","errorType":"TypeError","requestId":"an id","stackTrace":[]}"#);
    }
}
