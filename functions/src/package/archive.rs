//! A package that is a zip archive.

use super::directory::{hex, set_mode};
use super::known::Known;
use super::listing::{Entry, Listing, relative_name};
use super::{PackageDigest, PackageError};
use environment::limits::{PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX, PACKAGE_ZIP_BYTES_MAX};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// An archive within the size limit, its directory read.
pub(super) struct Opened {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Opened {
    pub(super) fn open(path: &Path) -> Result<Opened, PackageError> {
        let file = File::open(path).map_err(PackageError::read(path))?;
        let bytes = file.metadata().map_err(PackageError::read(path))?.len();
        if bytes > PACKAGE_ZIP_BYTES_MAX {
            return Err(PackageError::ArchiveTooLarge { bytes });
        }
        let archive = ZipArchive::new(BufReader::new(file)).map_err(refused(path))?;
        Ok(Opened { path: path.to_path_buf(), archive })
    }

    /// SHA-256 of the archive's bytes, as Lambda's `CodeSha256`, but in hex.
    pub(super) fn digest(&self, known: &Known) -> Result<PackageDigest, PackageError> {
        Ok(PackageDigest(hex(&known.digest(&self.path)?)))
    }

    /// Its entries, by what the archive claims.
    pub(super) fn list(&mut self) -> Result<Listing, PackageError> {
        if self.archive.len() > PACKAGE_FILES_MAX {
            return Err(PackageError::TooManyFiles);
        }
        if self.archive.has_duplicate_names() {
            return Err(self.broken("an entry is there twice"));
        }
        if self.archive.has_overlapping_files().map_err(refused(&self.path))? {
            return Err(self.broken("entries overlap"));
        }
        let mut listing = Listing::default();
        for index in 0..self.archive.len() {
            let (name, entry) = self.entry(index)?;
            listing.add(name, entry)?;
        }
        listing.check_parents()?;
        Ok(listing)
    }

    fn entry(&mut self, index: usize) -> Result<(String, Entry), PackageError> {
        let mut file = self.archive.by_index(index).map_err(refused(&self.path))?;
        let raw = String::from_utf8_lossy(file.name_raw()).into_owned();
        let name = file.name().ok().and_then(|name| relative_name(&name)).ok_or(PackageError::Name(raw))?;
        let mode = file.unix_mode().unwrap_or(0o644);
        let entry = if file.is_dir() {
            Entry::Directory
        } else if file.is_symlink() {
            let mut target = String::new();
            let read = (&mut file).take(LINK_BYTES_MAX).read_to_string(&mut target);
            read.map_err(|_| PackageError::Link(name.clone()))?;
            Entry::Link { target }
        } else if matches!(mode & TYPE_MASK, 0 | TYPE_FILE) {
            Entry::File { executable: mode & 0o111 != 0, bytes: file.size() }
        } else {
            return Err(PackageError::Special(name));
        };
        Ok((name, entry))
    }

    /// Unpacks what [`Opened::list`] returned to the empty directory `to`. Sizes that were lies are errors.
    pub(super) fn unpack(&mut self, listing: &Listing, to: &Path) -> Result<(), PackageError> {
        let mut left = PACKAGE_BYTES_MAX;
        for index in 0..self.archive.len() {
            let (name, entry) = self.entry(index)?;
            let target = to.join(&name);
            match entry {
                Entry::Directory => fs::create_dir_all(&target).map_err(PackageError::write(&target))?,
                Entry::File { executable, .. } => {
                    let above = target.parent().unwrap_or(to);
                    fs::create_dir_all(above).map_err(PackageError::write(above))?;
                    left -= self.unpack_file(index, &target, left)?;
                    set_mode(&target, executable)?;
                }
                Entry::Link { .. } => {}
            }
        }
        // Links last: no file is ever written through one.
        for (name, entry) in &listing.entries {
            if let Entry::Link { target } = entry {
                link(to, name, target)?;
            }
        }
        Ok(())
    }

    fn unpack_file(&mut self, index: usize, target: &Path, left: u64) -> Result<u64, PackageError> {
        let entry = self.archive.by_index(index).map_err(refused(&self.path))?;
        let mut file = File::create_new(target).map_err(PackageError::write(target))?;
        let copied = io::copy(&mut entry.take(left + 1), &mut file)
            .map_err(|error| PackageError::Archive { path: self.path.clone(), reason: error.to_string() })?;
        if copied > left {
            return Err(PackageError::TooLarge);
        }
        Ok(copied)
    }

    fn broken(&self, reason: &str) -> PackageError {
        PackageError::Archive { path: self.path.clone(), reason: reason.to_owned() }
    }
}

fn link(root: &Path, name: &str, target: &str) -> Result<(), PackageError> {
    let path = root.join(name);
    let above = path.parent().unwrap_or(root);
    fs::create_dir_all(above).map_err(PackageError::write(above))?;
    std::os::unix::fs::symlink(target, &path).map_err(PackageError::write(&path))?;
    let real_root = fs::canonicalize(root).map_err(PackageError::read(root))?;
    if fs::canonicalize(&path).is_ok_and(|real| !real.starts_with(real_root)) {
        return Err(PackageError::Link(name.to_owned()));
    }
    Ok(())
}

fn refused(path: &Path) -> impl Fn(zip::result::ZipError) -> PackageError {
    let path = path.to_path_buf();
    move |error| PackageError::Archive { path: path.clone(), reason: error.to_string() }
}

const LINK_BYTES_MAX: u64 = 1024;
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
