//! The variables of an environment: the function's own and the reserved ones.

use environment::{Language, Manifest, Runtime};
use std::collections::BTreeMap;
use std::path::Path;

/// The function's variables and the reserved ones, which win (AWS: "Defined runtime environment variables").
#[must_use]
pub fn variables(manifest: &Manifest, tmp_dir: &Path) -> BTreeMap<String, String> {
    let mut variables = manifest.variables.clone();
    for (name, value) in defaults(manifest.runtime) {
        variables.entry(name.to_string()).or_insert(value);
    }
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

/// What a function may replace.
fn defaults(runtime: Runtime) -> Vec<(&'static str, String)> {
    let mut defaults = vec![
        ("LANG", "en_US.UTF-8".to_string()),
        ("TZ", ":UTC".to_string()),
        ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin".to_string()),
        (
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
                .to_string(),
        ),
    ];
    match runtime.language() {
        Language::JavaScript => {
            let of_version = runtime.id().trim_start_matches("nodejs").trim_end_matches(".x");
            let own = format!("/opt/nodejs/node{of_version}/node_modules:/opt/nodejs/node_modules");
            let rest = "/var/runtime/node_modules:/var/runtime:/var/task";
            defaults.push(("NODE_PATH", format!("{own}:{rest}")));
        }
        Language::Python => defaults.push(("PYTHONPATH", "/var/runtime".to_string())),
        Language::Custom => {}
    }
    defaults
}
