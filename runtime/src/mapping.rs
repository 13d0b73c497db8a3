//! A file in memory, read-only and shared with every process that reads it: the one call into the
//! kernel that has no safe wrapper.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// The bytes of a file. Whoever makes such files never changes one: it puts another in its place.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Maps all of it, which must not be nothing.
    pub(crate) fn of(file: &File) -> io::Result<Mapping> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let nowhere = std::ptr::null_mut();
        // SAFETY: the kernel chooses the place, so that nothing else is there; the length is the file's.
        let start = unsafe { libc::mmap(nowhere, length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("the file was mapped at zero"))?;
        Ok(Mapping { start, length })
    }
}

// SAFETY: what is mapped is only ever read.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `of` mapped so many bytes there, and they stay until this is dropped. The file is never
        // written to or cut off once it has its name.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `of`, and nobody borrows it any more.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
