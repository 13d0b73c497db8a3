//! The function's own programs: where they are, how they are started, and how
//! they ended.

use crate::output::Outputs;
use environment::frame::Exiting;
use environment::manifest::{BOOTSTRAP, LAYERS_DIR, RUNTIME_API};
use environment::{ErrorPayload, Manifest};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Starts programs: the function's write to common streams, and its extensions to others.
pub(crate) struct Programs {
    directory: PathBuf,
    variables: BTreeMap<String, String>,
    function: Streams,
    extensions: Streams,
}

/// Where programs write.
struct Streams {
    stdout: PipeWriter,
    stderr: PipeWriter,
}

impl Streams {
    /// And where that is read.
    fn new() -> io::Result<(Streams, [PipeReader; 2])> {
        let ((read_stdout, stdout), (read_stderr, stderr)) = (io::pipe()?, io::pipe()?);
        Ok((Streams { stdout, stderr }, [read_stdout, read_stderr]))
    }
}

impl Programs {
    /// Of a function, and where what they write is read.
    pub(crate) fn new(manifest: &Manifest, tmp_dir: &Path) -> io::Result<(Programs, Outputs)> {
        let (function, own) = Streams::new()?;
        let (extensions, others) = Streams::new()?;
        let (directory, variables) = (manifest.code_dir.clone(), variables(manifest, tmp_dir));
        Ok((Programs { directory, variables, function, extensions }, Outputs::new(own, others)?))
    }

    /// Starts the runtime: of the package, or of a layer.
    ///
    /// # Errors
    /// In Lambda's words, when it cannot be.
    pub(crate) fn start_bootstrap(&self) -> Result<Pid, ErrorPayload> {
        let own = self.directory.join(BOOTSTRAP);
        let path = if own.exists() { own } else { Path::new(LAYERS_DIR).join(BOOTSTRAP) };
        self.start(&path, &self.function).map_err(|error| failed("Runtime.InvalidEntrypoint", &path, &error))
    }

    /// Starts what is in the layers' directory of extensions. Returns their names.
    ///
    /// # Errors
    /// The one that cannot be started.
    pub(crate) fn start_extensions(&self) -> Result<Vec<(String, Pid)>, ErrorPayload> {
        let mut started = Vec::new();
        for path in extensions() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let started_now = self.start(&path, &self.extensions);
            let pid = started_now.map_err(|error| failed("Extension.LaunchError", &path, &error))?;
            started.push((name, pid));
        }
        Ok(started)
    }

    fn start(&self, path: &Path, streams: &Streams) -> io::Result<Pid> {
        let child = Command::new(path)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(streams.stdout.try_clone()?)
            .stderr(streams.stderr.try_clone()?)
            .spawn()?;
        Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
    }
}

/// A process that has ended, and how; whatever else has ended is reaped in the next calls.
pub(crate) fn ended() -> Option<(Pid, Exiting)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some((pid, Exiting::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => return Some((pid, Exiting::Signal(signal as i32))),
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// The executable files of `/opt/extensions`, by name.
fn extensions() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(LAYERS_DIR).join("extensions")).into_iter().flatten().flatten();
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_program).collect();
    paths.sort();
    paths
}

fn failed(error_type: &str, path: &Path, error: &io::Error) -> ErrorPayload {
    ErrorPayload {
        error_type: error_type.to_owned(),
        error_message: format!("fork/exec {}: {error}", path.display()),
        trace: Vec::new(),
    }
}

/// AWS: "Defined runtime environment variables".
fn variables(manifest: &Manifest, tmp_dir: &Path) -> BTreeMap<String, String> {
    let mut variables = runtime::variables(manifest, tmp_dir);
    variables.remove("AWS_EXECUTION_ENV");
    variables.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), RUNTIME_API.to_string());
    variables
}
