//! Runs every folder of `tests/conformance` through the real zygote, for each
//! of its runtimes: result or error, duration, and the edge's verdict.

use environment::{ErrorPayload, Outcome, Runtime};
use functions::{
    CpuShare, FunctionConfig, Functions, Invocation, LogSink, NetworkPolicy, Options, PackageSource, PrepareError,
    SandboxDemand, Scaling, SnapStart,
};
use selvedge_tests::conformance::{Case, cases};
use selvedge_tests::custom::{copy, put_awslambdaric};
use selvedge_tests::edge::engines;
use selvedge_tests::python::interpreters;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_gives_what_lambda_gives() {
    let data = tempfile::tempdir().expect("temporary files can be made");
    let functions = Functions::start(Options {
        engines: engines(),
        data_dir: data.path().to_owned(),
        environments_max: 8,
        cpu: CpuShare::ByMemory,
        tmp_bytes_max: None,
        sandbox: SandboxDemand::WhatThereIs,
        log: LogSink::Files,
    })
    .await
    .expect("the zygote starts");
    let interpreters = interpreters();
    let (mut ran, mut differences) = (0, Vec::new());
    for case in cases() {
        for (runtime, interpreter) in runtimes(&case, &interpreters) {
            ran += 1;
            let said = play(&functions, &case, (runtime, interpreter, &case.dir)).await;
            differences.extend(said.map(|said| format!("{} on {}: {said}", case.name, runtime.id())));
        }
        if runs_by_client(&case) {
            ran += 1;
            let package = data.path().join("by-client").join(&case.name);
            std::fs::create_dir_all(&package).expect("the directory is writable");
            copy(&case.dir, &package);
            put_awslambdaric(&package);
            let said = play(&functions, &case, (Runtime::ProvidedAl2023, None, &package)).await;
            differences.extend(said.map(|said| format!("{} by awslambdaric: {said}", case.name)));
        }
    }
    functions.stop().await;
    assert!(ran > 0, "no cases found");
    assert!(differences.is_empty(), "{} of {ran} runs differ:\n{}", differences.len(), differences.join("\n"));
}

/// Whether AWS's own client can run the case's handler in a custom runtime. What the check of a package refuses is
/// that of Python's runtimes only.
fn runs_by_client(case: &Case) -> bool {
    let refused = case.error.as_ref().is_some_and(|error| error["phase"] == "package");
    case.about.runtimes.iter().any(|name| name == "python") && !refused && case.about.not_by_client.is_none()
}

/// The first way in which the case is not what it says.
async fn play(
    functions: &Arc<Functions>,
    case: &Case,
    (runtime, interpreter, package): (Runtime, Option<PathBuf>, &Path),
) -> Option<String> {
    match invoke(functions, case, (runtime, interpreter, package)).await {
        Ok(invocation) => differs(case, &invocation),
        Err(refused) => refusal_differs(case, &refused),
    }
}

/// The case's runtimes; `python` stands for all that this machine has.
fn runtimes(case: &Case, interpreters: &[(Runtime, PathBuf)]) -> Vec<(Runtime, Option<PathBuf>)> {
    let of = |name: &String| match name.as_str() {
        "python" => interpreters.iter().map(|(runtime, path)| (*runtime, Some(path.clone()))).collect(),
        name => vec![(Runtime::from_id(name).expect("cases name runtimes there are"), None)],
    };
    case.about.runtimes.iter().flat_map(of).collect()
}

async fn invoke(
    functions: &Arc<Functions>,
    case: &Case,
    (runtime, interpreter, package): (Runtime, Option<PathBuf>, &Path),
) -> Result<Invocation, PrepareError> {
    let config = FunctionConfig {
        name: case.name.clone(),
        version: "1".to_owned(),
        package: PackageSource::Directory(package.to_owned()),
        layers: Vec::new(),
        handler: case.about.handler.clone(),
        runtime,
        interpreter,
        memory_mb: 128,
        timeout: Duration::from_secs(5),
        tmp_mb: 512,
        network: NetworkPolicy::default(),
        variables: BTreeMap::new(),
        scaling: Scaling { environments_max: 1, ..Scaling::default() },
        snap_start: SnapStart::default(),
        idempotent: false,
        key_value_stores: Vec::new(),
    };
    let function = functions.prepare(&config).await?;
    Ok(function.invoke(case.event.to_string().into()).await)
}

/// The first way in which an invocation is not what the case says.
fn differs(case: &Case, invocation: &Invocation) -> Option<String> {
    let took = invocation.duration.as_millis();
    if case.about.elapsed_ms_min.is_some_and(|min| took < u128::from(min))
        || case.about.elapsed_ms_max.is_some_and(|max| took > u128::from(max))
    {
        return Some(format!("took {took} ms"));
    }
    match &invocation.outcome {
        Outcome::Result(bytes) => {
            let result: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
            if case.error.is_some() {
                return Some(format!("expected an error, got {result:.200}"));
            }
            if case.result.as_ref().is_some_and(|expected| *expected != result) {
                return Some(format!("result {result}, expected {}", case.result.as_ref()?));
            }
            let expected = case.verdict.as_ref()?;
            let verdict = case.judge(bytes);
            (verdict != *expected).then(|| format!("verdict {verdict}, expected {expected}"))
        }
        Outcome::Threw(error) => error_differs(case, "invoke", error),
        Outcome::InitFailed(error) => error_differs(case, "init", error),
        other => Some(format!("{other:?}")),
    }
}

/// A package that was refused before anything of it ran.
fn refusal_differs(case: &Case, refused: &PrepareError) -> Option<String> {
    let PrepareError::Package { source, .. } = refused else { return Some(format!("not prepared: {refused}")) };
    let error = ErrorPayload { error_message: source.to_string(), ..ErrorPayload::default() };
    error_differs(case, "package", &error)
}

fn error_differs(case: &Case, phase: &str, error: &ErrorPayload) -> Option<String> {
    let given = json!({
        "phase": phase,
        "errorType": error.error_type,
        "errorMessage": error.error_message,
        "trace": error.trace,
    });
    let Some(expected) = case.error.as_ref().and_then(Value::as_object) else {
        return Some(format!("unexpected {given}"));
    };
    let same = expected.iter().all(|(name, value)| given[name] == *value);
    (!same).then(|| format!("{given}, expected {}", json!(expected)))
}
