//! `steps THREAD FILE` writes the address of each instruction that a thread runs, eight bytes each, and the memory
//! map of its process beside it. It ends when the thread runs on after a SIGTERM.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

/// Of `struct user`, x86-64.
const PROGRAM_COUNTER: usize = 16 * 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [thread, file] = &arguments[..] else { return Err("usage: steps THREAD FILE".into()) };
    std::fs::copy(format!("/proc/{thread}/maps"), format!("{file}.maps"))?;
    let (thread, mut out) = (Pid::from_raw(thread.parse()?), BufWriter::new(File::create(file)?));
    let terminate = SigSet::from(Signal::SIGTERM);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&terminate), None)?;
    let told = SignalFd::with_flags(&terminate, SfdFlags::SFD_NONBLOCK)?;
    ptrace::seize(thread, Options::empty())?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    while told.read_signal()?.is_none() {
        ptrace::step(thread, None)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        out.write_all(&ptrace::read_user(thread, PROGRAM_COUNTER as ptrace::AddressType)?.to_ne_bytes())?;
    }
    ptrace::detach(thread, None)?;
    Ok(out.flush()?)
}
