//! Puts a package where it runs from: `<packages>/<digest>/`, written beside
//! and renamed, so a directory with that name is always whole.

use super::known::Known;
use super::layers::Layers;
use super::lease::Lease;
use super::listing::Entry;
use super::{PackageDigest, PackageError, archive, directory, handler};
use crate::config::{FunctionConfig, PackageSource};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A package where it runs from.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Of code and layers.
    pub(crate) digest: PackageDigest,
    pub(crate) code_dir: PathBuf,
    /// What environments see as `/opt`, when there are layers.
    pub(crate) layers_dir: Option<PathBuf>,
    #[expect(dead_code, reason = "keeps the directories there")]
    leases: Vec<Lease>,
}

/// Installs the function's package and layers and holds them. Blocks.
pub(crate) fn install(config: &FunctionConfig, packages: &Path, known: &Known) -> Result<Installed, PackageError> {
    fs::create_dir_all(packages).map_err(PackageError::write(packages))?;
    let layers = Layers::read(&config.layers, known)?;
    let mut digest = None;
    let (code_dir, lease) = held(packages, || {
        let (code_dir, code) = match &config.package {
            PackageSource::Directory(path) => install_directory(config, (path, &layers), (packages, known))?,
            PackageSource::Zip(path) => install_archive(config, (path, &layers), (packages, known))?,
        };
        digest = Some(layers.digest_with(code));
        Ok(code_dir)
    })?;
    let digest = digest.expect("what is held was installed");
    let mut leases = vec![lease];
    let layers_dir = layers.install(packages, known)?.map(|(layers_dir, lease)| {
        leases.push(lease);
        layers_dir
    });
    Ok(Installed { digest, code_dir, layers_dir, leases })
}

/// What `install` puts somewhere, held. Nobody held it yet: whoever cleans up may have been faster.
pub(super) fn held(
    packages: &Path,
    mut install: impl FnMut() -> Result<PathBuf, PackageError>,
) -> Result<(PathBuf, Lease), PackageError> {
    for _ in 0..ATTEMPTS {
        let directory = install()?;
        if let Some(lease) = Lease::take(&directory).map_err(PackageError::read(&directory))? {
            return Ok((directory, lease));
        }
    }
    let source = io::Error::other(format!("removed by another process {ATTEMPTS} times"));
    Err(PackageError::Write { path: packages.to_path_buf(), source })
}

/// Unpacks an archive into the empty directory `to`. Blocks.
///
/// # Errors
/// The first rule the package breaks; what was written until then is below `to`.
pub fn unpack(archive: &Path, to: &Path) -> Result<PackageDigest, PackageError> {
    let mut opened = archive::Opened::open(archive)?;
    let listing = opened.list()?;
    opened.unpack(&listing, to)?;
    opened.digest(&Known::default())
}

fn install_directory(
    config: &FunctionConfig,
    (path, layers): (&Path, &Layers<'_>),
    (packages, known): (&Path, &Known),
) -> Result<(PathBuf, PackageDigest), PackageError> {
    let listing = directory::list(path)?;
    layers.fit(&listing)?;
    handler::check(config, &listing, layers)?;
    let contents = directory::contents(known, path, &listing)?;
    let digest = directory::digest(&listing, |name| Ok(contents[name]))?;
    let installed = packages.join(&digest.0);
    if installed.is_dir() {
        return Ok((installed, digest));
    }
    let (fresh, _held) = fresh_directory(packages)?;
    let copied = directory::copy(known, (path, &listing), &contents, fresh.path())?;
    let digest = directory::digest(&listing, |name| Ok(copied[name]))?;
    let installed = publish(fresh, packages, &digest)?;
    for (name, content) in copied {
        if let Some(Entry::File { executable, .. }) = listing.entries.get(&name) {
            known.keep((content, *executable), installed.join(name));
        }
    }
    Ok((installed, digest))
}

fn install_archive(
    config: &FunctionConfig,
    (path, layers): (&Path, &Layers<'_>),
    (packages, known): (&Path, &Known),
) -> Result<(PathBuf, PackageDigest), PackageError> {
    let mut opened = archive::Opened::open(path)?;
    let listing = opened.list()?;
    layers.fit(&listing)?;
    handler::check(config, &listing, layers)?;
    let digest = opened.digest(known)?;
    let installed = packages.join(&digest.0);
    if installed.is_dir() {
        return Ok((installed, digest));
    }
    let (fresh, _held) = fresh_directory(packages)?;
    opened.unpack(&listing, fresh.path())?;
    Ok((publish(fresh, packages, &digest)?, digest))
}

/// A directory to unpack into, held meanwhile.
pub(super) fn fresh_directory(packages: &Path) -> Result<(tempfile::TempDir, Option<Lease>), PackageError> {
    let fresh = tempfile::Builder::new().prefix(".unpack-").tempdir_in(packages);
    let fresh = fresh.map_err(PackageError::write(packages))?;
    let held = Lease::take(fresh.path()).map_err(PackageError::write(packages))?;
    Ok((fresh, held))
}

/// Gives what was unpacked its name.
pub(super) fn publish(
    fresh: tempfile::TempDir,
    packages: &Path,
    digest: &PackageDigest,
) -> Result<PathBuf, PackageError> {
    let installed = packages.join(&digest.0);
    set_directory_mode(fresh.path())?;
    match fs::rename(fresh.path(), &installed) {
        Ok(()) => drop(fresh.keep()),
        // Another prepare was faster; its content is the same.
        Err(_) if installed.is_dir() => {}
        Err(source) => return Err(PackageError::Write { path: installed, source }),
    }
    Ok(installed)
}

fn set_directory_mode(path: &Path) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(PackageError::write(path))
}

/// Someone who cleans up at the very moment is rare, twice in a row rarer.
const ATTEMPTS: usize = 5;
