//! `selvedge-js`: the process tree of the JavaScript runtime. `snapshot FILE`
//! writes the start-up snapshot of the built-ins; `zygote --control-fd N` is
//! started by a PoP and forks templates and environments on request; `exports
//! FILE` prints what a module exports.

mod debuggers;
mod madvise;
mod program;
mod serve;
mod template;
mod watched;
mod zygote;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<Option<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    let ran = match words.as_slice() {
        [Some("snapshot"), _] => write_snapshot(Path::new(&arguments[1])),
        [Some("zygote"), Some("--control-fd"), Some(number)] => match number.parse() {
            Ok(descriptor) => zygote::run(descriptor),
            Err(_) => Err(anyhow::anyhow!("--control-fd: {number:?} is not a descriptor number")),
        },
        [Some("exports"), _] => write_exports(Path::new(&arguments[1])),
        _ => Err(anyhow::anyhow!(
            "usage: selvedge-js snapshot FILE | selvedge-js zygote --control-fd N | selvedge-js exports FILE"
        )),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even the standard error stream is closed.
            let _ = writeln!(std::io::stderr(), "selvedge-js: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A name a line.
fn write_exports(file: &Path) -> anyhow::Result<()> {
    let names = js_runtime::exports::of(file)?;
    Ok(std::io::stdout().write_all(names.iter().map(|name| format!("{name}\n")).collect::<String>().as_bytes())?)
}

/// Writes beside `file` and renames, so that a zygote never reads half a snapshot.
fn write_snapshot(file: &Path) -> anyhow::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    let partial = Path::new(&partial);
    js_runtime::snapshot::write(partial)?;
    std::fs::rename(partial, file)?;
    Ok(())
}
