//! Replaces libc's `madvise` for this binary. V8 marks its heap `MADV_DONTFORK`
//! (its archive is built for browsers, which fork without using V8 in the
//! child); an environment is a fork that must keep the heap. That one advice is
//! dropped, every other one reaches the system call unchanged.
#![allow(unsafe_code)]

use libc::{c_int, c_void, size_t};

/// # Safety
/// The same contract as `madvise(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn madvise(address: *mut c_void, length: size_t, advice: c_int) -> c_int {
    if advice == libc::MADV_DONTFORK {
        return 0;
    }
    // SAFETY: the arguments are the caller's, who keeps the contract of madvise(2). The wrapper
    // sets errno as libc's own would.
    let answer = unsafe { libc::syscall(libc::SYS_madvise, address, length, advice) };
    if answer == 0 { 0 } else { -1 }
}
