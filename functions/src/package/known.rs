//! What is known of files from before, so that a package of thousands of files is neither read nor copied again
//! because one of them changed: the digest of each file by what the system says of it, and where an installed
//! package has a copy with that content. Installed packages never change.

use super::PackageError;
use super::directory::file_digest;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of the files of one process's packages.
#[derive(Debug, Default)]
pub struct Known {
    digests: Mutex<HashMap<Stamp, [u8; 32]>>,
    copies: Mutex<HashMap<Content, PathBuf>>,
}

/// A file that was not touched has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What makes two files of packages the same: digest, and whether it is executable.
pub(super) type Content = ([u8; 32], bool);

impl Known {
    /// SHA-256 of a file. Reads it unless it is known.
    pub(super) fn digest(&self, path: &Path) -> Result<[u8; 32], PackageError> {
        let stamp = || fs::metadata(path).map(|metadata| Stamp::of(&metadata)).map_err(PackageError::read(path));
        let before = stamp()?;
        if let Some(digest) = self.digests.lock().get(&before) {
            return Ok(*digest);
        }
        let digest = file_digest(path)?;
        if before == stamp()? && before.is_settled(SystemTime::now()) {
            remember(&mut self.digests.lock(), before, digest);
        }
        Ok(digest)
    }

    /// Makes `to` another name of a file that an installed package has, where one has this content.
    pub(super) fn link(&self, content: &Content, to: &Path) -> bool {
        let copy = self.copies.lock().get(content).cloned();
        // It may be gone with its package, or on another disk.
        copy.is_some_and(|copy| fs::hard_link(copy, to).is_ok())
    }

    /// The installed file at `path` has this content for as long as it is there.
    pub(super) fn keep(&self, content: Content, path: PathBuf) {
        remember(&mut self.copies.lock(), content, path);
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether another write would give another stamp: the system's clock for files is a coarse one.
    fn is_settled(self, now: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0.max(self.modified.0)).unwrap_or(0);
        now.duration_since(UNIX_EPOCH + Duration::from_secs(seconds)).is_ok_and(|age| age > SETTLED)
    }
}

fn remember<K: Eq + std::hash::Hash, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= FILES_MAX {
        known.clear();
    }
    known.insert(key, value);
}

/// Copies a file that has this content, or links to a copy; the digest of what is there then.
pub(super) fn copy(
    known: &Known,
    (from, to): (&Path, &Path),
    (digest, executable): Content,
) -> Result<[u8; 32], PackageError> {
    if known.link(&(digest, executable), to) {
        return Ok(digest);
    }
    fs::copy(from, to).map_err(|source: io::Error| PackageError::Read { path: from.to_path_buf(), source })?;
    super::directory::set_mode(to, executable)?;
    // Someone may have edited the file in between: what was copied is what runs.
    file_digest(to)
}

/// Files that are known, at most: about 200 bytes each.
const FILES_MAX: usize = 200_000;
const SETTLED: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }

    #[test]
    fn a_file_that_was_just_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (known, file) = (Known::default(), dir.path().join("a"));
        fs::write(&file, "one").unwrap();
        let one = known.digest(&file).unwrap();
        assert!(known.digests.lock().is_empty());
        fs::write(&file, "two").unwrap();
        assert_ne!(known.digest(&file).unwrap(), one);
    }

    #[test]
    fn a_stamp_settles_with_time_and_by_either_of_its_clocks() {
        let stamp =
            |modified, changed| Stamp { device: 1, inode: 1, bytes: 1, modified: (modified, 0), changed: (changed, 0) };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(stamp(90, 90).is_settled(now));
        for young in [stamp(99, 90), stamp(90, 99), stamp(200, 90)] {
            assert!(!young.is_settled(now), "{young:?}");
        }
    }

    #[test]
    fn what_is_known_is_found_by_its_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let (known, file) = (Known::default(), dir.path().join("a"));
        aged(&file, "one");
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        known.digests.lock().insert(stamp, [7; 32]);
        assert_eq!(known.digest(&file).unwrap(), [7; 32]);
        aged(&file, "two");
        assert_ne!(known.digest(&file).unwrap(), [7; 32]);
    }

    #[test]
    fn a_copy_that_is_there_is_linked_and_one_that_is_gone_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("source"), "text").unwrap();
        let known = Known::default();
        let content = (known.digest(&path("source")).unwrap(), false);
        assert_eq!(copy(&known, (&path("source"), &path("first")), content).unwrap(), content.0);
        known.keep(content, path("first"));
        copy(&known, (&path("source"), &path("second")), content).unwrap();
        let inode = |name: &str| fs::metadata(path(name)).unwrap().ino();
        assert_eq!(inode("first"), inode("second"));
        copy(&known, (&path("source"), &path("program")), (content.0, true)).unwrap();
        assert_ne!(inode("first"), inode("program"));
        fs::remove_file(path("first")).unwrap();
        copy(&known, (&path("source"), &path("third")), content).unwrap();
        assert_eq!(fs::read_to_string(path("third")).unwrap(), "text");
    }
}
