//! A package that is a directory.

use super::known::{self, Known};
use super::listing::{Entry, Listing, relative_name};
use super::{PackageDigest, PackageError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Of git: the history of the code is no part of it, and would change with every commit.
const REPOSITORY: &str = ".git";

/// Everything in `root` but what git keeps there. Links must stay inside it.
pub(super) fn list(root: &Path) -> Result<Listing, PackageError> {
    let metadata = fs::metadata(root).map_err(PackageError::read(root))?;
    if !metadata.is_dir() {
        return Err(PackageError::NotDirectory(root.to_path_buf()));
    }
    let real_root = fs::canonicalize(root).map_err(PackageError::read(root))?;
    let mut listing = Listing::default();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        let path = root.join(&below);
        for found in fs::read_dir(&path).map_err(PackageError::read(&path))? {
            let found = found.map_err(PackageError::read(&path))?;
            let file_name = found.file_name();
            if file_name == REPOSITORY {
                continue;
            }
            let shown = file_name.to_string_lossy().into_owned();
            let name = file_name.to_str().and_then(relative_name).ok_or(PackageError::Name(shown))?;
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            let entry = entry(&root.join(&name), &name, &real_root)?;
            if entry == Entry::Directory {
                pending.push(name.clone());
            }
            listing.add(name, entry)?;
        }
    }
    Ok(listing)
}

fn entry(path: &Path, name: &str, real_root: &Path) -> Result<Entry, PackageError> {
    let metadata = fs::symlink_metadata(path).map_err(PackageError::read(path))?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Ok(Entry::Directory);
    }
    if kind.is_file() {
        return Ok(Entry::File { executable: metadata.permissions().mode() & 0o111 != 0, bytes: metadata.len() });
    }
    if !kind.is_symlink() {
        return Err(PackageError::Special(name.to_owned()));
    }
    // The text is checked by the listing; where it really leads, here.
    if fs::canonicalize(path).is_ok_and(|real| !real.starts_with(real_root)) {
        return Err(PackageError::Link(name.to_owned()));
    }
    let target = fs::read_link(path).map_err(PackageError::read(path))?;
    let target = target.to_str().ok_or_else(|| PackageError::Link(name.to_owned()))?.to_owned();
    Ok(Entry::Link { target })
}

/// Digests of files by their names in the package.
pub(super) type Contents = BTreeMap<String, [u8; 32]>;

/// SHA-256 over every entry's path, kind and content, in order of the paths; `content` is that of a file.
pub(super) fn digest(
    listing: &Listing,
    content: impl Fn(&str) -> Result<[u8; 32], PackageError>,
) -> Result<PackageDigest, PackageError> {
    let mut hash = Sha256::new();
    hash.update(b"directory\0");
    for (name, entry) in &listing.entries {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        match entry {
            Entry::Directory => hash.update(b"d"),
            Entry::Link { target } => {
                hash.update(b"l");
                hash.update((target.len() as u64).to_le_bytes());
                hash.update(target);
            }
            Entry::File { executable, .. } => {
                hash.update(if *executable { b"x" } else { b"f" });
                hash.update(content(name)?);
            }
        }
    }
    Ok(PackageDigest(hex(&hash.finalize())))
}

/// The digest of each file.
pub(super) fn contents(known: &Known, root: &Path, listing: &Listing) -> Result<Contents, PackageError> {
    let files = listing.entries.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. }));
    files.map(|(name, _)| Ok((name.clone(), known.digest(&root.join(name))?))).collect()
}

/// Copies the listed entries from `root`, whose files have these contents, to the empty directory `to`; what was
/// copied.
pub(super) fn copy(
    known: &Known,
    (root, listing): (&Path, &Listing),
    contents: &Contents,
    to: &Path,
) -> Result<Contents, PackageError> {
    let mut copied = Contents::new();
    for (name, entry) in &listing.entries {
        let (from, to) = (root.join(name), to.join(name));
        match entry {
            Entry::Directory => fs::create_dir(&to).map_err(PackageError::write(&to))?,
            Entry::Link { target } => std::os::unix::fs::symlink(target, &to).map_err(PackageError::write(&to))?,
            Entry::File { executable, .. } => {
                copied.insert(name.clone(), known::copy(known, (&from, &to), (contents[name], *executable))?);
            }
        }
    }
    Ok(copied)
}

/// Readable by everyone, as Lambda wants packages to be; executable when the source was.
pub(super) fn set_mode(path: &Path, executable: bool) -> Result<(), PackageError> {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(PackageError::write(path))
}

pub(super) fn file_digest(path: &Path) -> Result<[u8; 32], PackageError> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).map_err(PackageError::read(path))?;
    io::copy(&mut file, &mut hash).map_err(PackageError::read(path))?;
    Ok(hash.finalize().into())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
