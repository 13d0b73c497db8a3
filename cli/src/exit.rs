//! How the program ends. The numbers are part of its interface and listed in
//! `selvedge --help`.

use std::process::ExitCode;

/// The end of a command; 2, wrong usage, is `clap`'s and ours for bad input files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    ConfigProblems = 3,
    FunctionError = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Prints what is wrong with a configuration, one problem a line.
pub(crate) fn config_problems(problems: &deployment::Problems) -> Exit {
    eprintln!("{problems}");
    let count = problems.0.len();
    eprintln!("{count} problem{}", if count == 1 { "" } else { "s" });
    Exit::ConfigProblems
}
