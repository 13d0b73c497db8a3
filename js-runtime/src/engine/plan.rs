//! What JavaScript needs to know to load a function: the manifest with the
//! handler found, the variables complete and the context's fixed part written.

use crate::engine::handler::Target;
use environment::{Manifest, Runtime};
use serde_json::{Value, json};
use std::path::Path;

/// The plan as JSON. `own_tmp` is the /tmp of a process that is an environment already; one that
/// will be copied has none.
pub(crate) fn plan(manifest: &Manifest, target: &Target, own_tmp: Option<&Path>) -> Value {
    let tmp_dir = own_tmp.unwrap_or(&manifest.tmp_root);
    json!({
        "copied": own_tmp.is_none(),
        "inspected": manifest.inspected.is_some(),
        "handler": manifest.handler,
        "codeDir": manifest.code_dir,
        "moduleRoot": target.module_root,
        "moduleName": target.module_name,
        "module": target.module,
        "esm": target.esm,
        "properties": target.properties,
        "callbacks": manifest.runtime == Runtime::Nodejs22,
        "nodeVersion": node_version(manifest.runtime),
        "variables": runtime::variables(manifest, tmp_dir),
        "context": context(manifest),
    })
}

fn node_version(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Nodejs22 => "22.20.0",
        // The only other one that a PoP asks this program for.
        _ => "24.11.0",
    }
}

/// What a handler's context says in each invocation; `invocation.js` has the rest of it and the order.
fn context(manifest: &Manifest) -> Value {
    json!({
        "functionName": manifest.function_name,
        "functionVersion": manifest.version,
        "invokedFunctionArn": manifest.invoked_function_arn,
        "memoryLimitInMB": manifest.memory_mb.to_string(),
        "logGroupName": manifest.log_group_name,
        "logStreamName": manifest.log_stream_name,
    })
}
