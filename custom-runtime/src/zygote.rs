//! The zygote: nothing of a function, one thread. Every environment is forked
//! from it and starts its program anew: programs cannot be copied.

use crate::environment_process::{self, Order};
use anyhow::{Context, bail};
use environment::ControlReply;
use sandbox::{Birth, Children, Code, Control, Sandbox, Source};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// Runs the zygote, and in its children their own lives, until the PoP is gone.
pub(crate) fn run(control_fd: RawFd) -> anyhow::Result<()> {
    runtime::end_with_parent()?;
    runtime::settle();
    let control = Control::new(sandbox::adopt(control_fd)).context("--control-fd")?;
    let sandbox = Sandbox::probe(Code::Programs(programs())).context("sandbox")?;
    let layers = sandbox.layers();
    let children = Children::new(control, Source::Zygote(sandbox))?;
    let pid = i32::try_from(std::process::id()).expect("process ids are positive ints");
    let engine = format!("custom runtimes {}", env!("CARGO_PKG_VERSION"));
    children.control().send(&ControlReply::ZygoteReady { pid, engine, sandbox: layers }, None)?;
    match children.serve()? {
        None => sandbox::exit_now(0),
        Some(Birth::Unshared { id, manifest, socket, cell, zygote }) => {
            environment_process::run(Order { id, manifest, socket, cell, zygote })
        }
        Some(Birth::Template { id, .. } | Birth::Copy { id, .. }) => {
            bail!("environment {id}: programs cannot be copied")
        }
    }
}

/// Where the machine has its shell, its tools, and the libraries that programs of a package need.
fn programs() -> Vec<PathBuf> {
    PROGRAMS.iter().map(Path::new).filter(|path| path.is_dir()).map(Path::to_owned).collect()
}

const PROGRAMS: [&str; 8] =
    ["/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/share"];
