//! The `selvedge` program: arguments, then one file per command. Prints for
//! people; everything that lasts is logged through `tracing`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program people talk to")]

mod args;
mod backup;
mod certs_init;
mod check;
mod debuggers;
mod dev;
mod exit;
mod init;
mod invoke;
mod logs;
mod manage;
mod metrics;
mod purge;
mod reload;
mod runtime;
mod serve;
mod sign;
mod stores;
mod watch;

use args::{Args, CertsCommand, Command, ControlCommand};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

/// A request allocates a hundred small pieces and frees them on another thread as often as not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let finished = match Args::parse().command {
        Command::Serve(args) => serve::serve(&args),
        Command::Dev(args) => dev::dev(&args),
        Command::Check(args) => check::check(&args),
        Command::Invoke(args) => invoke::invoke(&args),
        Command::Purge(args) => purge::purge(&args),
        Command::Metrics(args) => metrics::metrics(&args),
        Command::Deploy(args) => manage::deploy(&args),
        Command::Sign(args) => sign::sign(&args),
        Command::Rollback(args) => manage::rollback(&args),
        Command::Functions(args) => manage::functions(&args),
        Command::Distributions(args) => manage::distributions(&args),
        Command::Logs(args) => logs::logs(&args),
        Command::Queue { command } => manage::queue(&command),
        Command::Control { command: ControlCommand::Backup(args) } => backup::backup(&args),
        Command::Control { command: ControlCommand::Restore(args) } => backup::restore(&args),
        Command::Init(args) => init::init(&args),
        Command::Certs { command: CertsCommand::Init(args) } => certs_init::init(&args),
    };
    match finished {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("selvedge: {error:#}");
            Exit::Failed.into()
        }
    }
}
