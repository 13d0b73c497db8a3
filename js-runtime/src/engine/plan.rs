//! What JavaScript needs to know to load a function: the manifest with the
//! handler found, the variables complete and the context's fixed part written.

use crate::engine::handler::Target;
use environment::{Manifest, Runtime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The plan as JSON. `own_tmp` is the /tmp of a process that is an environment already; one that
/// will be copied has none.
pub(crate) fn plan(manifest: &Manifest, target: &Target, own_tmp: Option<&Path>) -> Value {
    let tmp_dir = own_tmp.unwrap_or(&manifest.tmp_root);
    json!({
        "copied": own_tmp.is_none(),
        "handler": manifest.handler,
        "codeDir": manifest.code_dir,
        "moduleRoot": target.module_root,
        "moduleName": target.module_name,
        "module": target.module,
        "esm": target.esm,
        "properties": target.properties,
        "callbacks": manifest.runtime == Runtime::Nodejs22,
        "nodeVersion": node_version(manifest.runtime),
        "variables": variables(manifest, tmp_dir),
        "context": context(manifest),
    })
}

fn node_version(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Nodejs22 => "22.20.0",
        Runtime::Nodejs24 => "24.11.0",
    }
}

/// The function's variables and the reserved ones, which win (AWS: "Defined runtime environment variables").
fn variables(manifest: &Manifest, tmp_dir: &Path) -> BTreeMap<String, String> {
    let mut variables = manifest.variables.clone();
    let major = node_version(manifest.runtime).split('.').next().unwrap_or_default();
    variables.entry("LANG".to_string()).or_insert_with(|| "en_US.UTF-8".to_string());
    variables.entry("TZ".to_string()).or_insert_with(|| ":UTC".to_string());
    variables
        .entry("PATH".to_string())
        .or_insert_with(|| "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin".to_string());
    let reserved = [
        ("_HANDLER", manifest.handler.clone()),
        ("AWS_REGION", "us-east-1".to_string()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_string()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_nodejs{major}.x")),
        ("AWS_LAMBDA_FUNCTION_NAME", manifest.function_name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", manifest.version.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", manifest.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", manifest.initialization.id().to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", manifest.log_group_name.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", manifest.log_stream_name.clone()),
        ("LAMBDA_TASK_ROOT", manifest.code_dir.display().to_string()),
        ("TMPDIR", tmp_dir.display().to_string()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_string()),
    ];
    variables.extend(reserved.map(|(name, value)| (name.to_string(), value)));
    variables
}

/// Keys with `null` become `undefined` in JavaScript; the order is what handlers see.
fn context(manifest: &Manifest) -> Value {
    json!({
        "functionName": manifest.function_name,
        "functionVersion": manifest.version,
        "invokedFunctionArn": manifest.invoked_function_arn,
        "memoryLimitInMB": manifest.memory_mb.to_string(),
        "logGroupName": manifest.log_group_name,
        "logStreamName": manifest.log_stream_name,
        "clientContext": Value::Null,
        "identity": Value::Null,
        "tenantId": Value::Null,
    })
}
