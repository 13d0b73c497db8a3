//! The extensions an engine is made of, in their order, and which of their
//! operations are switched off because they act on the whole process.

use crate::engine::modules::{FunctionPackages, InNodeModules, Sys};
use crate::engine::ops::selvedge_ops;
use deno_core::{Extension, OpDecl};
use std::sync::Arc;

/// What the extensions need at run time and must not have while the start-up file is made.
#[derive(Default)]
pub(crate) struct Services {
    pub(crate) node: Option<deno_node::NodeExtInitServices<InNodeModules, FunctionPackages, Sys>>,
    pub(crate) stdio: Option<deno_io::Stdio>,
}

deno_core::extension!(
    runtime,
    deps = [deno_webidl, deno_tls, deno_web, deno_fetch, deno_crypto, deno_node, deno_net, deno_io, deno_fs],
    esm_entry_point = "ext:runtime/main.js",
    esm = [ dir "js",
        "tmp.js",
        "98_global_scope_shared.js",
        "namespace.js",
        "randomness.js",
        "log.js",
        "refusals.js",
        "errors_payload.js",
        "invocation.js",
        "typescript.js",
        "loading.js",
        "key_values.js",
        "node:cloudfront" = "cloudfront.js",
        "main.js",
    ],
    lazy_loaded_js = [ dir "js", "01_errors.js" ],
);

/// All extensions; the same list, in the same order, for writing and for loading a start-up file.
pub(crate) fn extensions(services: Services) -> Vec<Extension> {
    let fs: deno_fs::FileSystemRc = Arc::new(deno_fs::RealFs);
    vec![
        deno_telemetry::deno_telemetry::init(),
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(
            deno_web::BlobStore::default_arc(),
            None,
            false,
            deno_web::InMemoryBroadcastChannel::default(),
        ),
        deno_fetch::deno_fetch::init(deno_fetch::Options::default()),
        deno_crypto::deno_crypto::init(None),
        deno_net::deno_net::init(None, None),
        deno_tls::deno_tls::init(),
        deno_io::deno_io::init(services.stdio),
        deno_fs::deno_fs::init(fs.clone()),
        deno_os::deno_os::init(Some(deno_os::ExitCode::default())),
        deno_process::deno_process::init(None),
        deno_node_crypto::deno_node_crypto::init(),
        deno_node::deno_node::init::<InNodeModules, FunctionPackages, Sys>(services.node, fs),
        selvedge_ops::init(),
        runtime::init(),
    ]
}

/// Switches off the operations that act on the whole process and check no permission.
pub(crate) fn switch_off(op: OpDecl) -> OpDecl {
    match op.name {
        "op_process_abort"
        | "op_node_process_kill"
        | "op_node_process_set_title"
        | "op_v8_set_flags_from_string"
        | "op_v8_set_heap_snapshot_near_heap_limit"
        | "op_v8_take_heap_snapshot"
        | "op_signal_bind"
        | "op_fs_chdir"
        | "op_inspector_open"
        | "op_inspector_close"
        | "op_inspector_connect"
        | "op_node_repl_inspector_connect"
        | "op_inspector_wait"
        | "op_exit"
        | "op_spawn_child"
        | "op_node_spawn_child"
        | "op_spawn_sync"
        | "op_run" => op.disable(),
        _ => op,
    }
}
