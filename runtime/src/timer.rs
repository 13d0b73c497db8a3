//! A repeating timer as a descriptor. The safe wrapper of it is behind a
//! feature whose change would rebuild half of the dependencies.
#![allow(unsafe_code)]

use sandbox::adopt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Readable once per interval while it runs.
pub(crate) struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// A stopped timer.
    pub(crate) fn new() -> io::Result<Timer> {
        // SAFETY: two integers, no memory of ours.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Timer { descriptor: adopt(descriptor) })
    }

    /// Runs it; an interval of zero stops it. Restarting forgets what was not read.
    pub(crate) fn set(&self, interval: Duration) {
        let every = libc::timespec {
            tv_sec: libc::time_t::try_from(interval.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: interval.subsec_nanos().into(),
        };
        let setting = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the setting is a live local; no old setting is asked for.
        let answer =
            unsafe { libc::timerfd_settime(self.descriptor.as_raw_fd(), 0, &raw const setting, std::ptr::null_mut()) };
        assert_eq!(answer, 0, "a valid interval on a live timer");
    }

    /// Makes it unreadable until the next interval ends.
    pub(crate) fn clear(&self) {
        let mut count = [0; 8];
        // Not readable is fine: it never blocks.
        let _ = nix::unistd::read(&self.descriptor, &mut count);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
