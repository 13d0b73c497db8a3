//! How a process relates to its parent: a zygote ends with its PoP, a process
//! that is copied has one thread.

use nix::sys::signal::Signal;
use nix::unistd::{getppid, setsid};
use std::io;
use std::time::{Duration, Instant};

/// A PoP that is killed takes its zygote along. Children do not inherit this: their keeper watches the
/// PoP, and they end when their own socket closes.
///
/// # Errors
/// The PoP ended already.
pub fn end_with_parent() -> io::Result<()> {
    let parent = getppid();
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(io::Error::other("the PoP ended before its zygote started"));
    }
    // Fails only for a group leader, which then has no terminal's signals to fear either.
    let _ = setsid();
    Ok(())
}

/// Why this process must not be copied after its init phase: threads that loading left behind (a file
/// read in the background) may be about to end; one that stays forbids forking.
#[must_use]
pub fn second_thread() -> Option<String> {
    let patience = Instant::now() + THREAD_PATIENCE;
    loop {
        match sandbox::thread_count() {
            Ok(1) => return None,
            Ok(count) if Instant::now() > patience => {
                return Some(format!("{count} threads run after the init phase, only 1 can be copied"));
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Some(format!("threads cannot be counted: {error}")),
        }
    }
}

const THREAD_PATIENCE: Duration = Duration::from_millis(50);
