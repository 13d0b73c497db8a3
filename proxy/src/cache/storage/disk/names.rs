//! Where an object's files are: 256 folders by the first byte of the key, in them
//! `<key>.record` and, for a large body, `<key>.<number>.body`.

use pingora::cache::key::HashBinary;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the disk tier.
pub(super) struct Layout {
    root: PathBuf,
}

/// What a file in one of the folders is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileName {
    Record(HashBinary),
    Body(HashBinary, u64),
    /// Its process ended before it was renamed.
    Unfinished,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Layout {
        Layout { root: root.to_path_buf() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Held locked by the process that owns the directory.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("cache.lock")
    }

    /// The places purged before the directory was read.
    pub(super) fn purged(&self) -> PathBuf {
        self.root.join("purged")
    }

    pub(super) fn record(&self, key: &HashBinary) -> PathBuf {
        self.folder(key[0]).join(format!("{:032x}.record", number(key)))
    }

    pub(super) fn body(&self, key: &HashBinary, body: u64) -> PathBuf {
        self.folder(key[0]).join(format!("{:032x}.{body:016x}.body", number(key)))
    }

    /// Where a record is written before it takes its place.
    pub(super) fn unfinished(&self, key: &HashBinary, write: u64) -> PathBuf {
        self.folder(key[0]).join(format!("{:032x}.{write:016x}.unfinished", number(key)))
    }

    pub(super) fn folder(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    pub(super) fn create_folders(&self) -> io::Result<()> {
        (0..=u8::MAX).try_for_each(|first| fs::create_dir_all(self.folder(first)))
    }
}

/// Reads a file's name; `None` for a file that is not the cache's.
pub(super) fn parse(name: &str) -> Option<FileName> {
    let mut parts = name.split('.');
    let key = u128::from_str_radix(parts.next().filter(|key| key.len() == 32)?, 16).ok()?.to_be_bytes();
    let second = parts.next()?;
    if second == "record" && parts.next().is_none() {
        return Some(FileName::Record(key));
    }
    let write = u64::from_str_radix(Some(second).filter(|write| write.len() == 16)?, 16).ok()?;
    match (parts.next()?, parts.next()) {
        ("body", None) => Some(FileName::Body(key, write)),
        ("unfinished", None) => Some(FileName::Unfinished),
        _ => None,
    }
}

fn number(key: &HashBinary) -> u128 {
    u128::from_be_bytes(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_others_are_left_alone() {
        let layout = Layout::new(Path::new("/cache"));
        let key = [0xab; 16];
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(parse(&name(layout.record(&key))), Some(FileName::Record(key)));
        assert_eq!(parse(&name(layout.body(&key, 7))), Some(FileName::Body(key, 7)));
        assert_eq!(parse(&name(layout.unfinished(&key, 7))), Some(FileName::Unfinished));
        assert_eq!(layout.record(&key).parent(), Some(Path::new("/cache/ab")));
        for other in ["notes.txt", "ab.record", "cache.lock", "abababababababababababababababab.7.body"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
