//! The variables of an environment: the function's own and the reserved ones.

use environment::Manifest;
use std::collections::BTreeMap;
use std::path::Path;

/// The function's variables and the reserved ones, which win (AWS: "Defined runtime environment variables").
#[must_use]
pub fn variables(manifest: &Manifest, tmp_dir: &Path) -> BTreeMap<String, String> {
    let mut variables = manifest.variables.clone();
    variables.entry("LANG".to_string()).or_insert_with(|| "en_US.UTF-8".to_string());
    variables.entry("TZ".to_string()).or_insert_with(|| ":UTC".to_string());
    variables
        .entry("PATH".to_string())
        .or_insert_with(|| "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin".to_string());
    let reserved = [
        ("_HANDLER", manifest.handler.clone()),
        ("AWS_REGION", "us-east-1".to_string()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_string()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", manifest.runtime.id())),
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
