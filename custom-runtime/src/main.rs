//! `selvedge-custom`: the process tree of custom runtimes. `zygote --control-fd N`
//! is started by a PoP and forks environments on request. In each of them one
//! process starts the function's `bootstrap` and serves the Runtime API to it.

mod answer;
mod api;
mod ask;
mod desk;
mod door;
mod environment_process;
mod extension_api;
mod extensions;
mod frames;
mod listeners;
mod output;
mod programs;
mod received;
mod run;
mod supervisor;
mod telemetry;
mod telemetry_api;
mod watched;
mod zygote;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = match words.as_slice() {
        ["zygote", "--control-fd", number] => match number.parse() {
            Ok(descriptor) => zygote::run(descriptor),
            Err(_) => Err(anyhow::anyhow!("--control-fd: {number:?} is not a descriptor number")),
        },
        _ => Err(anyhow::anyhow!("usage: selvedge-custom zygote --control-fd N")),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even the standard error stream is closed.
            let _ = writeln!(std::io::stderr(), "selvedge-custom: {error:#}");
            ExitCode::FAILURE
        }
    }
}
