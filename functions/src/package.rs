//! A function's package: a directory or a zip archive, checked against the
//! limits and copied to a content-addressed directory before it runs. Nothing
//! here trusts the archive: names, links, sizes and counts are checked before
//! and while it is unpacked.

mod archive;
mod directory;
mod handler;
mod install;
mod known;
mod layers;
mod lease;
mod listing;

use crate::config::{FunctionConfig, PackageSource};
use environment::limits::{LAYERS_MAX, PACKAGE_BYTES_MAX, PACKAGE_FILES_MAX, PACKAGE_ZIP_BYTES_MAX};
use environment::manifest::BOOTSTRAP;
use layers::Layers;
use listing::Listing;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use handler::is_bytecode_name;
pub use install::unpack;
pub(crate) use install::{Installed, install};
pub use known::Known;
pub(crate) use lease::remove_unused;

/// SHA-256 of a package's content, lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackageDigest(pub String);

impl fmt::Display for PackageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    #[error("{} cannot be unzipped: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    #[error("archive has {bytes} bytes, over the limit of {PACKAGE_ZIP_BYTES_MAX}")]
    ArchiveTooLarge { bytes: u64 },
    #[error("package has more than {PACKAGE_BYTES_MAX} bytes unpacked")]
    TooLarge,
    #[error("package has more than {PACKAGE_FILES_MAX} files and directories")]
    TooManyFiles,
    #[error("package entry {0:?}: the name leads out of the package or is not usable")]
    Name(String),
    #[error("package entry {0:?} is there twice")]
    Duplicate(String),
    #[error("package entry {0:?}: the link leads out of the package")]
    Link(String),
    #[error("package entry {0:?} is not a file, directory or link")]
    Special(String),
    #[error("{BOOTSTRAP} {0}: a custom runtime's package has an executable file of this name at its top")]
    Bootstrap(&'static str),
    #[error("layer {}: {source}", path.display())]
    Layer { path: PathBuf, source: Box<PackageError> },
    #[error("function has {layers} layers, at most {LAYERS_MAX} are allowed")]
    TooManyLayers { layers: usize },
    #[error("layer entry {0:?}: extensions are processes, which only functions of runtime provided.al2023 have")]
    Extension(String),
    #[error("package and layers have more than {PACKAGE_BYTES_MAX} bytes unpacked together")]
    TooLargeTogether,
    #[error("handler {handler:?} {reason}")]
    Handler { handler: String, reason: String },
}

impl PackageError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> PackageError {
        let path = path.to_path_buf();
        move |source| PackageError::Read { path, source }
    }

    fn layer(source: &PackageSource) -> impl FnOnce(PackageError) -> PackageError {
        let path = source.path().to_path_buf();
        move |source| PackageError::Layer { path, source: Box::new(source) }
    }

    fn write(path: &Path) -> impl FnOnce(io::Error) -> PackageError {
        let path = path.to_path_buf();
        move |source| PackageError::Write { path, source }
    }
}

/// Checks that the package and the layers are there, within the limits, safe to unpack, and have the handler's
/// module. Returns the digest of their content. Reads files; blocks.
///
/// # Errors
/// The first rule the package breaks.
pub fn check_package(config: &FunctionConfig) -> Result<PackageDigest, PackageError> {
    check_package_of(config, &Known::default())
}

/// The same, without reading files again that did not change.
///
/// # Errors
/// As `check_package`.
pub fn check_package_of(config: &FunctionConfig, known: &Known) -> Result<PackageDigest, PackageError> {
    let (listing, digest) = read(&config.package, known)?;
    let layers = Layers::read(&config.layers, known)?;
    layers.fit(&listing)?;
    handler::check(config, &listing, &layers)?;
    Ok(layers.digest_with(digest))
}

/// Checks that an archive can be a layer: within the limits, and safe to unpack. Reads it; blocks.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_layer(archive: &Path) -> Result<(), PackageError> {
    archive::Opened::open(archive)?.list().map(drop)
}

/// What a package contains, and its digest.
fn read(source: &PackageSource, known: &Known) -> Result<(Listing, PackageDigest), PackageError> {
    match source {
        PackageSource::Directory(path) => {
            let listing = directory::list(path)?;
            let digest = directory::digest(&listing, |name| known.digest(&path.join(name)))?;
            Ok((listing, digest))
        }
        PackageSource::Zip(path) => {
            let mut opened = archive::Opened::open(path)?;
            Ok((opened.list()?, opened.digest(known)?))
        }
    }
}

#[cfg(test)]
mod tests;
