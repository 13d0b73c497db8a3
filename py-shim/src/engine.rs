//! What the interpreter must do around a fork, and a signal to its main thread:
//! the calls into C that have no safe wrapper.
#![allow(unsafe_code)]

use pyo3::Python;
use pyo3::ffi::{PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork};
use sandbox::AroundFork;

/// The interpreter's own preparations for a fork. Both run on the thread that is attached to it: forks
/// happen only within calls from Python.
pub(crate) const AROUND_FORK: AroundFork = AroundFork { before, after_in_parent };

fn before() {
    // SAFETY: this thread is attached to the interpreter, see above.
    unsafe { PyOS_BeforeFork() }
}

fn after_in_parent() {
    // SAFETY: as above, and `before` has run.
    unsafe { PyOS_AfterFork_Parent() }
}

/// The interpreter's clean-up in a new child: locks, threads, and whatever modules do there, new seeds for
/// `random` among it.
pub(crate) fn after_fork_in_child(_attached: Python<'_>) {
    // SAFETY: the token says that this thread is attached; `before` has run in the parent.
    unsafe { PyOS_AfterFork_Child() }
}

/// Sends a signal to one thread of this process. One that is gone needs none.
pub(crate) fn signal_thread(thread: i32, signal: i32) {
    // SAFETY: integers only.
    let _ = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, signal) };
}
