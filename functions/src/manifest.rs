//! What a function's runtime is told of it: the configuration, and where its code is.

use crate::config::{FunctionConfig, SnapStart};
use crate::package::Installed;
use environment::limits::{LOG_BYTES_MAX, RESULT_BYTES_MAX};
use environment::manifest::KeyValueStore;
use environment::{Initialization, Inspected, Manifest};
use std::path::PathBuf;
use uuid::Uuid;

/// Of a function whose package is installed; `tmp_root` is its private directory, and these are its stores.
pub(crate) fn manifest(
    config: &FunctionConfig,
    package: &Installed,
    (tmp_root, key_value_stores): (PathBuf, Vec<KeyValueStore>),
    inspected: Option<Inspected>,
) -> Manifest {
    let (name, version) = (&config.name, &config.version);
    let today = time::OffsetDateTime::now_utc().date();
    let (year, month, day) = (today.year(), u8::from(today.month()), today.day());
    Manifest {
        function_name: name.clone(),
        version: version.clone(),
        invoked_function_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}:{version}"),
        runtime: config.runtime,
        handler: config.handler.clone(),
        code_dir: package.code_dir.clone(),
        layers_dir: package.layers_dir.clone(),
        key_value_stores,
        tmp_root,
        variables: config.variables.clone(),
        memory_mb: config.memory_mb,
        initialization: if inspected.is_some() { Initialization::OnDemand } else { initialization(config) },
        inspected,
        timeout_ms: u64::try_from(config.timeout.as_millis()).unwrap_or(u64::MAX),
        tmp_mb: config.tmp_mb,
        log_group_name: format!("/aws/lambda/us-east-1.{name}"),
        log_stream_name: format!("{year:04}/{month:02}/{day:02}/[{version}]{}", Uuid::new_v4().simple()),
        log_bytes_max: LOG_BYTES_MAX,
        result_bytes_max: RESULT_BYTES_MAX,
    }
}

fn initialization(config: &FunctionConfig) -> Initialization {
    match config.snap_start {
        SnapStart::Always => Initialization::SnapStart,
        _ if config.scaling.provisioned > 0 => Initialization::ProvisionedConcurrency,
        SnapStart::WhenPossible | SnapStart::Never => Initialization::OnDemand,
    }
}
