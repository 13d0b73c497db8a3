//! A warm invocation, from the event's bytes to the result's: one environment,
//! one caller, the handler returns what it got. `$SELVEDGE_JS` is the runtime.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use environment::{Outcome, Runtime};
use functions::{
    CpuShare, Engines, FunctionConfig, Functions, LogSink, NetworkPolicy, Options, PackageSource, SandboxDemand,
    Scaling, SnapStart,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

fn warm(bench: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let code = directory.path().join("code");
    std::fs::create_dir(&code).expect("a directory");
    let handler = "export const handler = async (event) => event.Records[0].cf.request;";
    std::fs::write(code.join("index.mjs"), handler).expect("the handler can be written");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let function = tokio.block_on(async {
        let options = Options {
            engines: Engines { javascript: runtime_binary(), python: PathBuf::new(), custom: PathBuf::new() },
            data_dir: directory.path().join("data"),
            environments_max: 4,
            cpu: CpuShare::Unlimited,
            tmp_bytes_max: None,
            log: LogSink::Files,
            sandbox: SandboxDemand::WhatThereIs,
        };
        let functions = Functions::start(options).await.expect("the runtime starts");
        let config = FunctionConfig {
            name: "echo".into(),
            version: "$LATEST".into(),
            package: PackageSource::Directory(code),
            layers: Vec::new(),
            handler: "index.handler".into(),
            runtime: Runtime::Nodejs22,
            interpreter: None,
            memory_mb: 128,
            timeout: Duration::from_secs(3),
            tmp_mb: 512,
            network: NetworkPolicy::default(),
            variables: BTreeMap::new(),
            scaling: Scaling::default(),
            snap_start: SnapStart::default(),
            idempotent: false,
            key_value_stores: Vec::new(),
        };
        functions.prepare(&config).await.expect("the function loads")
    });
    let event = Bytes::from_static(include_bytes!("event.json"));
    bench.bench_function("invoke a warm environment", |b| {
        b.iter(|| {
            let invocation = tokio.block_on(function.invoke(event.clone()));
            assert!(matches!(invocation.outcome, Outcome::Result(_)), "{:?}", invocation.outcome);
        });
    });
}

fn runtime_binary() -> PathBuf {
    std::env::var_os("SELVEDGE_JS").expect("$SELVEDGE_JS is the path of selvedge-js").into()
}

criterion_group!(benches, warm);
criterion_main!(benches);
