//! A function's layers: packages that are unpacked over each other, in order,
//! into the directory that its environments see as `/opt` (AWS: "Managing Lambda
//! dependencies with layers").

use super::known::Known;
use super::lease::Lease;
use super::listing::{Entry, Listing};
use super::{PackageDigest, PackageError, archive, directory, install};
use crate::config::PackageSource;
use environment::limits::{LAYERS_MAX, PACKAGE_BYTES_MAX};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// All of a function's, read and not unpacked yet.
pub(super) struct Layers<'a> {
    each: Vec<Layer<'a>>,
}

struct Layer<'a> {
    source: &'a PackageSource,
    listing: Listing,
    digest: PackageDigest,
}

impl<'a> Layers<'a> {
    /// Reads them, each within the limits of a package.
    pub(super) fn read(sources: &'a [PackageSource], known: &Known) -> Result<Layers<'a>, PackageError> {
        if sources.len() > LAYERS_MAX {
            return Err(PackageError::TooManyLayers { layers: sources.len() });
        }
        let layer = |source| {
            let (listing, digest) = super::read(source, known).map_err(PackageError::layer(source))?;
            Ok(Layer { source, listing, digest })
        };
        Ok(Layers { each: sources.iter().map(layer).collect::<Result<_, _>>()? })
    }

    /// Checks what they and the function's own package have together.
    pub(super) fn fit(&self, code: &Listing) -> Result<(), PackageError> {
        let bytes: u64 = self.each.iter().map(|layer| layer.listing.bytes()).sum();
        if bytes.saturating_add(code.bytes()) > PACKAGE_BYTES_MAX {
            return Err(PackageError::TooLargeTogether);
        }
        Ok(())
    }

    /// What `/opt` has at `path`: the last layer's, when several have it.
    pub(super) fn entry(&self, path: &str) -> Option<&Entry> {
        self.each.iter().rev().find_map(|layer| layer.listing.entries.get(path))
    }

    /// The paths of everything in them.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.each.iter().flat_map(|layer| layer.listing.entries.keys().map(String::as_str))
    }

    /// The digest of a function that has this code and these layers.
    pub(super) fn digest_with(&self, code: PackageDigest) -> PackageDigest {
        if self.each.is_empty() {
            return code;
        }
        digest(b"function\0", std::iter::once(&code).chain(self.each.iter().map(|layer| &layer.digest)))
    }

    /// Unpacks them below `packages`, unless they are there, and holds what they make together. Blocks.
    pub(super) fn install(&self, packages: &Path, known: &Known) -> Result<Option<(PathBuf, Lease)>, PackageError> {
        if self.each.is_empty() {
            return Ok(None);
        }
        install::held(packages, || {
            let name = digest(b"layers\0", self.each.iter().map(|layer| &layer.digest));
            let installed = packages.join(&name.0);
            if installed.is_dir() {
                return Ok(installed);
            }
            let (whole, _held) = install::fresh_directory(packages)?;
            let mut unpacked = Vec::new();
            for layer in &self.each {
                unpacked.push(layer.unpack(packages, whole.path(), known).map_err(PackageError::layer(layer.source))?);
            }
            // By what was unpacked: a directory may have been edited meanwhile.
            install::publish(whole, packages, &digest(b"layers\0", unpacked.iter()))
        })
        .map(Some)
    }
}

impl Layer<'_> {
    /// Puts its content over what is in `whole`. Returns its digest.
    fn unpack(&self, packages: &Path, whole: &Path, known: &Known) -> Result<PackageDigest, PackageError> {
        let (part, _held) = install::fresh_directory(packages)?;
        let digest = match self.source {
            PackageSource::Directory(path) => {
                let contents = directory::contents(known, path, &self.listing)?;
                let copied = directory::copy(known, (path, &self.listing), &contents, part.path())?;
                directory::digest(&self.listing, |name| Ok(copied[name]))?
            }
            PackageSource::Zip(path) => {
                let mut opened = archive::Opened::open(path)?;
                opened.unpack(&self.listing, part.path())?;
                opened.digest(known)?
            }
        };
        lay(part.path(), whole)?;
        Ok(digest)
    }
}

/// Moves everything in `from` into `to`; what is there already makes way unless both are directories.
fn lay(from: &Path, to: &Path) -> Result<(), PackageError> {
    for entry in fs::read_dir(from).map_err(PackageError::read(from))? {
        let entry = entry.map_err(PackageError::read(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let is_directory = entry.file_type().map_err(PackageError::read(&path))?.is_dir();
        match fs::symlink_metadata(&target) {
            Ok(there) if there.is_dir() && is_directory => {
                lay(&path, &target)?;
                continue;
            }
            Ok(there) if there.is_dir() => fs::remove_dir_all(&target).map_err(PackageError::write(&target))?,
            Ok(_) => fs::remove_file(&target).map_err(PackageError::write(&target))?,
            Err(_) => {}
        }
        fs::rename(&path, &target).map_err(PackageError::write(&target))?;
    }
    Ok(())
}

fn digest<'a>(purpose: &[u8], of: impl Iterator<Item = &'a PackageDigest>) -> PackageDigest {
    let mut hash = Sha256::new();
    hash.update(purpose);
    of.for_each(|digest| hash.update(&digest.0));
    PackageDigest(directory::hex(&hash.finalize()))
}
