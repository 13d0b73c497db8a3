//! What a package contains, by relative path, and the limits on it.

use super::PackageError;
use environment::limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX};
use std::collections::{BTreeMap, HashSet};

/// The entries of a package, sorted by path: `/` between names, none at either end.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: BTreeMap<String, Entry>,
    bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File {
        executable: bool,
        bytes: u64,
    },
    /// To a relative target inside the package.
    Link {
        target: String,
    },
}

impl Listing {
    /// Adds an entry whose path is already a [`relative_name`].
    pub(super) fn add(&mut self, path: String, entry: Entry) -> Result<(), PackageError> {
        if let Entry::File { bytes, .. } = &entry {
            self.bytes = self.bytes.saturating_add(*bytes);
        }
        if self.bytes > PACKAGE_BYTES_MAX {
            return Err(PackageError::TooLarge);
        }
        if let Entry::Link { target } = &entry
            && !stays_inside(&path, target)
        {
            return Err(PackageError::Link(path));
        }
        let directories = matches!(entry, Entry::Directory);
        match self.entries.insert(path.clone(), entry) {
            Some(Entry::Directory) if directories => {}
            Some(_) => return Err(PackageError::Duplicate(path)),
            None => {}
        }
        if self.entries.len() > PACKAGE_FILES_MAX {
            return Err(PackageError::TooManyFiles);
        }
        Ok(())
    }

    /// Every directory on the way to an entry must be a directory, not a file or a link, and counts
    /// as much where only names imply it.
    pub(super) fn check_parents(&self) -> Result<(), PackageError> {
        let mut implied = HashSet::new();
        for path in self.entries.keys() {
            for (at, _) in path.match_indices('/') {
                match self.entries.get(&path[..at]) {
                    Some(Entry::Directory) => {}
                    Some(_) => return Err(PackageError::Name(path.clone())),
                    None => {
                        implied.insert(&path[..at]);
                    }
                }
            }
            if self.entries.len() + implied.len() > PACKAGE_FILES_MAX {
                return Err(PackageError::TooManyFiles);
            }
        }
        Ok(())
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        matches!(self.entries.get(path), Some(Entry::File { .. } | Entry::Link { .. }))
    }

    /// Whether the path or anything below it is in the package.
    pub(super) fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.entries.contains_key(path)
            || self.entries.range(below.clone()..).next().is_some_and(|(name, _)| name.starts_with(&below))
    }
}

/// `name` as a path of a [`Listing`], or `None` when it is absolute, goes up, is empty or holds
/// bytes that mean something else elsewhere.
pub(super) fn relative_name(name: &str) -> Option<String> {
    if name.starts_with('/') || name.contains(['\\', '\0']) || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let usable = parts.iter().all(|part| *part != ".." && part.len() <= PART_BYTES_MAX);
    (usable && !parts.is_empty()).then(|| parts.join("/"))
}

/// Whether a link at `path` to `target` stays in the package, read from the text alone.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.starts_with('/') || target.is_empty() || target.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

const NAME_BYTES_MAX: usize = 1024;
const PART_BYTES_MAX: usize = 255;
