//! Functions without an edge around them, in a directory of their own.

use crate::custom::{RUNS, put_bootstrap};
use crate::edge::engines;
use crate::python::interpreters;
use environment::Runtime;
use functions::{
    CpuShare, Function, FunctionConfig, Functions, LogSink, NetworkPolicy, Options, PackageSource, SandboxDemand,
    Scaling, SnapStart,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// One function, `f`, at most.
pub struct Stage {
    pub directory: TempDir,
    pub functions: Arc<Functions>,
}

impl Stage {
    /// With the whole processor for each environment.
    pub async fn new() -> Stage {
        Stage::with(CpuShare::Unlimited).await
    }

    /// # Panics
    /// When the zygote does not start.
    pub async fn with(cpu: CpuShare) -> Stage {
        let directory = tempfile::tempdir().expect("temporary files can be made");
        let functions = Functions::start(Options {
            engines: engines(),
            data_dir: directory.path().join("state"),
            environments_max: 200,
            cpu,
            tmp_bytes_max: None,
            sandbox: SandboxDemand::WhatThereIs,
            log: LogSink::Files,
        });
        Stage { functions: functions.await.expect("the zygote starts"), directory }
    }

    fn code(&self) -> PathBuf {
        self.directory.path().join("code")
    }

    /// A function whose runtime is this `bootstrap`.
    #[must_use]
    pub fn program(&self, bootstrap: &str) -> FunctionConfig {
        put_bootstrap(&self.code(), bootstrap.as_bytes());
        self.config()
    }

    fn config(&self) -> FunctionConfig {
        FunctionConfig {
            name: "f".to_owned(),
            version: "1".to_owned(),
            package: PackageSource::Directory(self.code()),
            layers: Vec::new(),
            handler: "any.thing".to_owned(),
            runtime: Runtime::ProvidedAl2023,
            interpreter: None,
            memory_mb: 128,
            timeout: Duration::from_secs(10),
            tmp_mb: 512,
            network: NetworkPolicy::default(),
            variables: [("MINE".to_owned(), "own".to_owned())].into(),
            scaling: Scaling::default(),
            snap_start: SnapStart::Never,
            idempotent: false,
            key_value_stores: Vec::new(),
        }
    }

    /// A function with this text as its module, in the first interpreter of this machine.
    ///
    /// # Panics
    /// When the module cannot be written.
    #[must_use]
    pub fn python(&self, text: &str) -> FunctionConfig {
        let (runtime, interpreter) = interpreters().swap_remove(0);
        std::fs::create_dir_all(self.code()).expect("writable");
        std::fs::write(self.code().join("lambda_function.py"), text).expect("writable");
        FunctionConfig {
            handler: "lambda_function.lambda_handler".to_owned(),
            runtime,
            interpreter: Some(interpreter),
            snap_start: SnapStart::default(),
            ..self.config()
        }
    }

    /// # Panics
    /// When the function cannot be prepared.
    pub async fn prepare(&self, config: &FunctionConfig) -> Arc<Function> {
        self.functions.prepare(config).await.expect("the function can be prepared")
    }

    /// A program that does what an event says.
    pub async fn runs(&self) -> Arc<Function> {
        self.prepare(&self.program(RUNS)).await
    }

    /// The function's log as far as it is written.
    #[must_use]
    pub fn log_so_far(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("state/logs/f.log")).unwrap_or_default()
    }

    /// The function's log once everything is written.
    pub async fn log(self) -> String {
        self.functions.stop().await;
        self.log_so_far()
    }
}
