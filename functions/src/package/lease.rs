//! Who uses an unpacked package: a shared lock on its directory, held for as
//! long as a function is prepared from it and dropped by the kernel when the
//! process ends, however it ends. A directory that nobody holds is removed;
//! several processes may share one data directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A package directory that may not be removed while this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    #[expect(dead_code, reason = "holds the lock until it is closed")]
    directory: File,
}

impl Lease {
    /// Holds the directory at `path`; `None` when there is none, or when it is being removed.
    pub(super) fn take(path: &Path) -> io::Result<Option<Lease>> {
        let directory = match File::open(path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match directory.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between opening and locking it may have been removed, and even replaced.
        let held = directory.metadata()?;
        let there = fs::metadata(path);
        let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
        Ok(same.then_some(Lease { directory }))
    }
}

/// Removes what nobody holds in `packages`: packages without a function, and what a process that was
/// killed left half unpacked. Returns how many. Blocks.
pub(crate) fn remove_unused(packages: &Path) -> io::Result<usize> {
    let mut removed = 0;
    let entries = match fs::read_dir(packages) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && remove_unless_held(&path)? {
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_unless_held(path: &Path) -> io::Result<bool> {
    let directory = match File::open(path) {
        Ok(directory) => directory,
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Out of the way in one step: a name that is a digest always names a whole package.
    let doomed = doomed_name(path);
    match fs::rename(path, &doomed) {
        Ok(()) => fs::remove_dir_all(&doomed).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn doomed_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".remove-");
    name.push(uuid::Uuid::new_v4().simple().to_string());
    path.with_file_name(name)
}
