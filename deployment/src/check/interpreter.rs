//! Checks of `[runtimes]`: which interpreter runs the functions of a Python
//! runtime. Each is asked once what it is; one that is not stated is looked for
//! on the search path, when a function needs it.

use environment::{Language, Runtime};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Context;
use crate::raw::{Named, Text};

/// What is known of interpreters: `None` for one whose problem was noted.
#[derive(Clone, Default)]
pub(super) struct Interpreters {
    known: HashMap<Runtime, Option<PathBuf>>,
}

/// Those that the file states.
pub(super) fn stated(ctx: &mut Context, raw: &Named<Text>) -> Interpreters {
    let mut interpreters = Interpreters::default();
    for (name, path) in raw {
        let runtime = Runtime::from_id(name.get_ref()).filter(|runtime| runtime.language() == Language::Python);
        let Some(runtime) = runtime else {
            let python = Runtime::ALL.into_iter().filter(|runtime| runtime.language() == Language::Python);
            let known = python.map(Runtime::id).collect::<Vec<_>>().join(", ");
            let message = format!("runtimes: {:?} is not one of those with an interpreter: {known}", name.get_ref());
            ctx.findings.add(name.span(), message);
            continue;
        };
        let found = identify(&ctx.path(path.get_ref()), runtime);
        let found =
            found.map_err(|message| ctx.findings.add(path.span(), format!("runtimes: {}: {message}", runtime.id())));
        interpreters.known.insert(runtime, found.ok());
    }
    interpreters
}

impl Interpreters {
    /// Those that were stated before and found good.
    pub(super) fn known(stated: &HashMap<Runtime, PathBuf>) -> Interpreters {
        let known = stated.iter().map(|(runtime, path)| (*runtime, Some(path.clone())));
        Interpreters { known: known.collect() }
    }

    /// What [`Interpreters::known`] takes.
    pub(super) fn good(&self) -> HashMap<Runtime, PathBuf> {
        self.known.iter().filter_map(|(runtime, path)| Some((*runtime, path.clone()?))).collect()
    }

    /// The interpreter of `runtime`, when it needs one; `place` is where a function names it.
    pub(super) fn of(&mut self, ctx: &mut Context, runtime: Runtime, place: Option<&Text>) -> Option<PathBuf> {
        if runtime.language() != Language::Python {
            return None;
        }
        if let Some(known) = self.known.get(&runtime) {
            return known.clone();
        }
        let found = search(runtime);
        if let (Err(tried), Some(place)) = (&found, place) {
            let id = runtime.id();
            let tried = if tried.is_empty() { String::new() } else { format!(" ({})", tried.join("; ")) };
            let message = format!(
                "runtime {id}: no interpreter {id} on the search path{tried}; install it, or name it: [runtimes] \"{id}\" = \"/path/to/{id}\""
            );
            ctx.findings.add(place.span(), message);
        }
        self.known.entry(runtime).or_insert(found.ok()).clone()
    }
}

/// The Python runtimes for which an interpreter is on the search path, and where.
#[must_use]
pub fn installed_interpreters() -> Vec<(Runtime, PathBuf)> {
    let python = Runtime::ALL.into_iter().filter(|runtime| runtime.language() == Language::Python);
    python.filter_map(|runtime| Some((runtime, search(runtime).ok()?))).collect()
}

/// The first one on the search path that is what it is called; else why those there are not.
fn search(runtime: Runtime) -> Result<PathBuf, Vec<String>> {
    let mut tried = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for candidate in std::env::split_paths(&path).map(|directory| directory.join(runtime.id())) {
        if !candidate.is_file() {
            continue;
        }
        match identify(&candidate, runtime) {
            Ok(interpreter) => return Ok(interpreter),
            Err(message) => tried.push(message),
        }
    }
    Err(tried)
}

/// The real path of an interpreter that can run `runtime`, or why it cannot.
fn identify(path: &Path, runtime: Runtime) -> Result<PathBuf, String> {
    let shown = path.display();
    let said = ask(path).map_err(|reason| format!("{shown} {reason}"))?;
    let words: Vec<&str> = said.lines().collect();
    let [implementation, version, threading, executable] = words.as_slice() else {
        return Err(format!("{shown} is not a Python interpreter: it says {said:.100?}"));
    };
    if *implementation != "cpython" {
        return Err(format!("{shown} is {implementation}, only CPython can run functions"));
    }
    if format!("python{version}") != runtime.id() {
        return Err(format!("{shown} is Python {version}"));
    }
    if *threading == "free-threaded" {
        return Err(format!("{shown} is a free-threaded build, which cannot run functions"));
    }
    Ok(PathBuf::from(executable))
}

/// What the program at `path` prints about itself.
fn ask(path: &Path) -> Result<String, String> {
    let mut command = Command::new(path);
    command.args(["-I", "-S", "-c", QUESTION]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < ANSWER_MAX => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                // It is ours, and says nothing.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not answer within {} s", ANSWER_MAX.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    if !status.success() {
        return Err(format!("ended with {status} when it was asked for its version"));
    }
    let mut said = String::new();
    let stdout = child.stdout.take().ok_or("has no output")?;
    stdout.take(ANSWER_BYTES_MAX).read_to_string(&mut said).map_err(|error| error.to_string())?;
    Ok(said)
}

const QUESTION: &str = "import sys, sysconfig
print(sys.implementation.name)
print('%d.%d' % sys.version_info[:2])
print('free-threaded' if sysconfig.get_config_var('Py_GIL_DISABLED') else 'one-lock')
print(sys.executable)";

const ANSWER_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 8 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(2);
