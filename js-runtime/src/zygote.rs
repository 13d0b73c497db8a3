//! The zygote: V8 up, built-ins loaded, no user code, one thread. Every
//! template, and every environment that cannot share one, is forked from it.

use crate::{program, serve, template};
use anyhow::{Context, ensure};
use environment::ControlReply;
use js_runtime::{engine::Engine, snapshot};
use sandbox::{Birth, Children, Code, Control, Sandbox, Source};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::rc::Rc;

/// Runs the zygote, and in its children their own lives, until the PoP is gone.
pub(crate) fn run(control_fd: RawFd) -> anyhow::Result<()> {
    runtime::end_with_parent()?;
    program::settle();
    runtime::settle();
    let control = Control::new(sandbox::adopt(control_fd)).context("--control-fd")?;
    let sandbox = Sandbox::probe(Code::Text).context("sandbox")?;
    let layers = sandbox.layers();
    let snapshot = snapshot::load(&snapshot_path()?)?;
    let engine = Engine::new(snapshot, Rc::new(|_| {}))?;
    let threads = sandbox::thread_count()?;
    ensure!(threads == 1, "the zygote has {threads} threads after starting V8, and can fork only with 1");
    let children = Children::new(control, Source::Zygote(sandbox))?;
    let pid = i32::try_from(std::process::id()).expect("process ids are positive ints");
    let engine_version = format!("V8 {}", deno_core::v8::V8::get_version());
    children.control().send(&ControlReply::ZygoteReady { pid, engine: engine_version, sandbox: layers }, None)?;
    // Without /proc nothing is known of what is shared: then only the supervisor limits memory.
    let shared_bytes = runtime::anonymous_bytes().unwrap_or(u64::MAX / 2);
    match children.serve()? {
        None => sandbox::exit_now(0),
        Some(Birth::Template { id, manifest, socket, cell, zygote }) => template::run(
            template::Zygote { engine, shared_bytes },
            template::Order { id, manifest, socket, cell, zygote },
        ),
        Some(Birth::Unshared { id, manifest, socket, cell, zygote }) => serve::load_and_run(
            template::Zygote { engine, shared_bytes },
            template::Order { id, manifest, socket, cell, zygote },
        ),
        Some(Birth::Copy { id, .. }) => anyhow::bail!("environment {id}: a zygote makes no copies"),
    }
}

fn snapshot_path() -> anyhow::Result<PathBuf> {
    let binary = std::env::current_exe().context("own path")?;
    let path = binary.with_file_name("selvedge-js.snapshot");
    ensure!(
        path.is_file(),
        "no snapshot at {path}: run `{binary} snapshot {path}` once after every build",
        path = path.display(),
        binary = binary.display(),
    );
    Ok(path)
}
