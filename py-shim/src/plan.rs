//! What the Python side needs to know of a function, as JSON.

use environment::Manifest;
use environment::manifest::{COMPILES, LAYERS_DIR};
use serde_json::json;
use std::path::Path;

/// The handler, the variables, and the fixed part of the context.
pub(crate) fn plan(manifest: &Manifest, tmp_dir: &Path) -> String {
    json!({
        "handler": manifest.handler,
        "compiles": manifest.handler == COMPILES,
        "code_dir": manifest.code_dir,
        "layers": layers(manifest),
        "key_value_stores": manifest.key_value_stores,
        "tmp_dir": tmp_dir,
        "variables": runtime::variables(manifest, tmp_dir),
        "context": {
            "function_name": manifest.function_name,
            "function_version": manifest.version,
            "invoked_function_arn": manifest.invoked_function_arn,
            "memory_limit_in_mb": manifest.memory_mb.to_string(),
            "log_group_name": manifest.log_group_name,
            "log_stream_name": manifest.log_stream_name,
        },
    })
    .to_string()
}

/// Where modules of layers are looked for, in order (AWS: "Layer paths for each Lambda runtime").
fn layers(manifest: &Manifest) -> Vec<String> {
    if manifest.layers_dir.is_none() {
        return Vec::new();
    }
    let version = manifest.runtime.id();
    vec![format!("{LAYERS_DIR}/python/lib/{version}/site-packages"), format!("{LAYERS_DIR}/python")]
}
