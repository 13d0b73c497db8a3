//! Puts a package where it runs from: `<packages>/<digest>/`, written beside
//! and renamed, so a directory with that name is always whole.

use super::{PackageDigest, PackageError, archive, directory, handler};
use crate::config::{FunctionConfig, PackageSource};
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the function's code, and the code's digest. Blocks.
pub(crate) fn install(config: &FunctionConfig, packages: &Path) -> Result<(PathBuf, PackageDigest), PackageError> {
    fs::create_dir_all(packages).map_err(PackageError::write(packages))?;
    match &config.package {
        PackageSource::Directory(path) => install_directory(config, path, packages),
        PackageSource::Zip(path) => install_archive(config, path, packages),
    }
}

fn install_directory(
    config: &FunctionConfig,
    path: &Path,
    packages: &Path,
) -> Result<(PathBuf, PackageDigest), PackageError> {
    let listing = directory::list(path)?;
    handler::check(&config.handler, &listing)?;
    let digest = directory::digest(path, &listing)?;
    let installed = packages.join(&digest.0);
    if installed.is_dir() {
        return Ok((installed, digest));
    }
    let fresh = fresh_directory(packages)?;
    directory::copy(path, &listing, fresh.path())?;
    // Someone may have edited a file in between: what was copied is what runs.
    let copied = directory::digest(fresh.path(), &directory::list(fresh.path())?)?;
    publish(fresh, packages, copied)
}

fn install_archive(
    config: &FunctionConfig,
    path: &Path,
    packages: &Path,
) -> Result<(PathBuf, PackageDigest), PackageError> {
    let mut opened = archive::Opened::open(path)?;
    let listing = opened.list()?;
    handler::check(&config.handler, &listing)?;
    let digest = opened.digest()?;
    let installed = packages.join(&digest.0);
    if installed.is_dir() {
        return Ok((installed, digest));
    }
    let fresh = fresh_directory(packages)?;
    opened.unpack(&listing, fresh.path())?;
    publish(fresh, packages, digest)
}

fn fresh_directory(packages: &Path) -> Result<tempfile::TempDir, PackageError> {
    tempfile::Builder::new().prefix(".unpack-").tempdir_in(packages).map_err(PackageError::write(packages))
}

fn publish(
    fresh: tempfile::TempDir,
    packages: &Path,
    digest: PackageDigest,
) -> Result<(PathBuf, PackageDigest), PackageError> {
    let installed = packages.join(&digest.0);
    set_directory_mode(fresh.path())?;
    match fs::rename(fresh.path(), &installed) {
        Ok(()) => drop(fresh.keep()),
        // Another prepare was faster; its content is the same.
        Err(_) if installed.is_dir() => {}
        Err(source) => return Err(PackageError::Write { path: installed, source }),
    }
    Ok((installed, digest))
}

fn set_directory_mode(path: &Path) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(PackageError::write(path))
}
