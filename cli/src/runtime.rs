//! Where the files that functions run in are, and how functions are started with them.

use anyhow::{Context, anyhow, bail};
use deployment::Server;
use functions::{Engines, Functions, Inspection, LogSink, Options, SandboxDemand};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PROGRAM: &str = "selvedge-js";
const VARIABLE: &str = "SELVEDGE_JS";
const LIBRARY: &str = "libselvedge_python.so";
const LIBRARY_VARIABLE: &str = "SELVEDGE_PYTHON";
const CUSTOM: &str = "selvedge-custom";
const CUSTOM_VARIABLE: &str = "SELVEDGE_CUSTOM";

/// Starts what functions run in, as `server` says but in `data_dir`, which is made when it is missing. With
/// `inspection`, debuggers may attach to them.
pub(crate) async fn start_functions(
    server: &Server,
    data_dir: &Path,
    (log, sandbox): (LogSink, SandboxDemand),
    inspection: Option<Inspection>,
) -> anyhow::Result<Arc<Functions>> {
    let engines = engines()?;
    let data_dir = data_dir.to_path_buf();
    let Server { environments_max, cpu, tmp_bytes_max, .. } = *server;
    let options = Options { engines, data_dir, environments_max, cpu, tmp_bytes_max, log, sandbox };
    let started = match inspection {
        Some(inspection) => Functions::start_inspected(options, inspection).await,
        None => Functions::start(options).await,
    };
    started.map_err(|error| anyhow!("functions cannot run: {error}"))
}

/// The files that come with this program. Without the one for JavaScript nothing runs.
pub(crate) fn engines() -> anyhow::Result<Engines> {
    let (python, custom) = (beside(LIBRARY, LIBRARY_VARIABLE)?, beside(CUSTOM, CUSTOM_VARIABLE)?);
    Ok(Engines { javascript: find()?, python, custom })
}

/// The runtime of the commands, with as many threads as the server wants.
pub(crate) fn tokio(server: &Server) -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(server.threads)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// `$SELVEDGE_JS`, or the program beside this one.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path is unknown")?;
    let stated = std::env::var_os(VARIABLE).map(PathBuf::from);
    choose(stated, &own)
}

/// The file that `variable` names, or the one beside this program, which is missed only when a function needs it.
fn beside(name: &str, variable: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path is unknown")?;
    let stated = std::env::var_os(variable).map(PathBuf::from);
    let path = stated.unwrap_or_else(|| own.with_file_name(name));
    std::path::absolute(&path).with_context(|| format!("{} has no absolute path", path.display()))
}

fn choose(stated: Option<PathBuf>, own: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = stated {
        if !path.is_file() {
            bail!("${VARIABLE} is {}, which is not a file", path.display());
        }
        return std::path::absolute(&path).with_context(|| format!("{} has no absolute path", path.display()));
    }
    let beside = own.with_file_name(PROGRAM);
    if !beside.is_file() {
        bail!("{PROGRAM} is not at {}; install it there or set ${VARIABLE} to its path", beside.display());
    }
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_program_beside() {
        let root = tempfile::tempdir().unwrap();
        let (own, stated) = (root.path().join("selvedge"), root.path().join("other"));
        let error = choose(None, &own).unwrap_err().to_string();
        assert!(error.contains("SELVEDGE_JS") && error.contains("selvedge-js is not at"), "{error}");
        std::fs::write(root.path().join(PROGRAM), "").unwrap();
        assert_eq!(choose(None, &own).unwrap(), root.path().join(PROGRAM));
        assert!(choose(Some(stated.clone()), &own).is_err());
        std::fs::write(&stated, "").unwrap();
        assert_eq!(choose(Some(stated.clone()), &own).unwrap(), stated);
    }
}
