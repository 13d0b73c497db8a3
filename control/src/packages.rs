//! The uploaded packages: files named by the SHA-256 of their content, sealed on the disk,
//! and opened into memory-backed files when a function is prepared from them. A package
//! whose content is not what its name says is refused, never run.

use crate::error::{ApiError, Code};
use crate::keyring::Keyring;
use crate::signing;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The directory of sealed packages, and the one of those that this process opened.
#[derive(Debug)]
pub(crate) struct Packages {
    sealed: PathBuf,
    opened: TempDir,
    keyring: Arc<Keyring>,
}

impl Packages {
    /// Packages in `sealed`, which is made when it is missing.
    pub(crate) fn open(sealed: &Path, keyring: Arc<Keyring>) -> io::Result<Packages> {
        fs::create_dir_all(sealed)?;
        let memory = Path::new(MEMORY);
        let place = if memory.is_dir() { memory } else { sealed };
        remove_left(place);
        let opened = tempfile::Builder::new().prefix(&format!("{OPENED}{}.", std::process::id())).tempdir_in(place)?;
        let packages = Packages { sealed: sealed.to_path_buf(), opened, keyring };
        packages.reseal()?;
        Ok(packages)
    }

    /// Where [`Packages::unseal`] puts packages: `<digest>.zip`.
    pub(crate) fn opened(&self) -> &Path {
        self.opened.path()
    }

    /// Keeps a package; its digest, lower-case hex. It is on the disk when this returns.
    pub(crate) fn keep(&self, content: &[u8]) -> Result<String, ApiError> {
        let digest = hex(&Sha256::digest(content));
        let path = self.sealed.join(&digest);
        if !path.exists() {
            let sealed = self.keyring.seal(&digest, content);
            self.write(&path, &sealed).map_err(|error| ApiError::of_ours(&error))?;
        }
        Ok(digest)
    }

    /// The content of a package, compared with its digest.
    pub(crate) fn content(&self, digest: &str) -> Result<Vec<u8>, ApiError> {
        let path = self.sealed.join(digest);
        let damaged = |reason: &dyn std::fmt::Display| {
            tracing::error!(package = digest, "a package cannot be used: {reason}");
            ApiError::new(Code::INVALID_ZIP, format!("the package {digest} is damaged or missing; upload it again"))
        };
        let sealed = fs::read(&path).map_err(|error| damaged(&error))?;
        let content = self.keyring.open(digest, &sealed).map_err(|error| damaged(&error))?;
        if hex(&Sha256::digest(&content)) != digest {
            return Err(damaged(&"its content has another digest"));
        }
        Ok(content)
    }

    /// Makes sure that `<digest>.zip` is in [`Packages::opened`], whole, and signed by who it is said
    /// to be signed by.
    pub(crate) fn unseal(&self, digest: &str, signed_by: Option<&str>) -> Result<(), ApiError> {
        let path = self.opened().join(format!("{digest}.zip"));
        if !path.exists() {
            self.unseal_to(digest, &path)?;
        }
        let Some(signed_by) = signed_by else { return Ok(()) };
        let archive = fs::read(&path).map_err(|error| ApiError::of_ours(&error))?;
        match signing::verify(&archive) {
            Ok(Some(signed)) if signed.publisher == signed_by => Ok(()),
            found => {
                tracing::error!(package = digest, signed_by, ?found, "a package has lost its signature");
                let message = format!("the package {digest} is not signed by {signed_by} any more; upload it again");
                Err(ApiError::new(Code::INVALID_CODE_SIGNATURE, message))
            }
        }
    }

    fn unseal_to(&self, digest: &str, path: &Path) -> Result<(), ApiError> {
        let content = self.content(digest)?;
        let written = self.opened().join(format!("{digest}.part-{}", uuid::Uuid::new_v4().simple()));
        fs::write(&written, content)
            .and_then(|()| fs::rename(&written, path))
            .map_err(|error| ApiError::of_ours(&error))
    }

    /// Removes what is not used.
    pub(crate) fn retain(&self, used: &BTreeSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.sealed)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !used.contains(&name) {
                fs::remove_file(entry.path())?;
                // Those that never ran were not opened.
                let _ = fs::remove_file(self.opened().join(format!("{name}.zip")));
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, sealed: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.sealed)?;
        file.write_all(sealed)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(&self.sealed)?.sync_all()
    }

    /// Seals anew what an older key sealed. A damaged one stays, to be refused when it is used.
    fn reseal(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.sealed)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type()?.is_file() {
                continue;
            }
            let sealed = fs::read(entry.path())?;
            if self.keyring.is_outdated(&sealed)
                && let Ok(content) = self.keyring.open(&name, &sealed)
            {
                self.write(&entry.path(), &self.keyring.seal(&name, &content))?;
            }
        }
        Ok(())
    }
}

/// Removes what processes that were killed had opened.
fn remove_left(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(OPENED)).and_then(|rest| rest.split('.').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another user's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// And the process's id.
const OPENED: &str = "selvedge-code-";
/// A file system that is never written to a disk, where there is one.
const MEMORY: &str = "/dev/shm";

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(dir: &Path) -> Packages {
        let keyring = Arc::new(Keyring::load(&dir.join("key")).unwrap());
        Packages::open(&dir.join("packages"), keyring).unwrap()
    }

    #[test]
    fn a_package_is_sealed_on_the_disk_and_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let packages = packages(dir.path());
        let digest = packages.keep(b"some code in clear").unwrap();
        let sealed = fs::read(dir.path().join("packages").join(&digest)).unwrap();
        assert!(!sealed.windows(9).any(|window| window == b"some code"));
        packages.unseal(&digest, None).unwrap();
        assert_eq!(fs::read(packages.opened().join(format!("{digest}.zip"))).unwrap(), b"some code in clear");
    }

    #[test]
    fn a_damaged_or_exchanged_package_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let packages = packages(dir.path());
        let (one, two) = (packages.keep(b"one").unwrap(), packages.keep(b"two").unwrap());
        let place = dir.path().join("packages");
        fs::copy(place.join(&one), place.join(&two)).unwrap();
        assert_eq!(packages.unseal(&two, None).unwrap_err().code, Code::INVALID_ZIP);
        let mut sealed = fs::read(place.join(&one)).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        fs::write(place.join(&one), sealed).unwrap();
        assert_eq!(packages.unseal(&one, None).unwrap_err().code, Code::INVALID_ZIP);
        assert!(fs::read_dir(packages.opened()).unwrap().next().is_none());
    }

    #[test]
    fn only_what_is_used_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let packages = packages(dir.path());
        let (one, two) = (packages.keep(b"one").unwrap(), packages.keep(b"two").unwrap());
        packages.retain(&BTreeSet::from([one.clone()])).unwrap();
        assert!(packages.content(&one).is_ok() && packages.content(&two).is_err());
    }
}
