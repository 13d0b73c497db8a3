//! Directories as origins: each configured directory is served by a small HTTP/1.1
//! origin inside the process on a Unix socket of its own, so that the edge has one way
//! to fetch. Only misses come here.
//!
//! `origin` asks [`DirectoryOrigins::socket`] where to connect.

mod answer;
mod path;

use crate::local_http;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use answer::Directory;

/// The directories being served. Dropping it stops their origins and removes the sockets.
#[derive(Debug)]
pub struct DirectoryOrigins {
    /// Mode 0700: only this user's processes can connect.
    sockets: PathBuf,
    origins: Mutex<BTreeMap<PathBuf, JoinHandle<()>>>,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("directory origin {}: {source}", path.display())]
pub struct DirectoryError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl DirectoryOrigins {
    /// Serves `directories` on the current tokio runtime; every one of them must exist.
    pub fn start(directories: impl IntoIterator<Item = PathBuf>) -> Result<Arc<DirectoryOrigins>, DirectoryError> {
        let template = std::env::temp_dir().join("selvedge-origins-XXXXXX");
        let sockets = nix::unistd::mkdtemp(&template)
            .map_err(|error| DirectoryError { path: template.clone(), source: error.into() })?;
        let origins = Arc::new(DirectoryOrigins { sockets, origins: Mutex::default() });
        origins.add(directories)?;
        Ok(origins)
    }

    /// Serves more directories; those that are served already go on.
    pub fn add(&self, directories: impl IntoIterator<Item = PathBuf>) -> Result<(), DirectoryError> {
        let mut origins = self.origins.lock();
        for path in directories {
            if origins.contains_key(&path) {
                continue;
            }
            let origin = self.open(&path).map_err(|source| DirectoryError { path: path.clone(), source })?;
            origins.insert(path, origin);
        }
        Ok(())
    }

    /// The socket of a directory given to [`DirectoryOrigins::start`] or [`DirectoryOrigins::add`].
    pub fn socket(&self, directory: &Path) -> PathBuf {
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        let name: String = digest.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        self.sockets.join(name)
    }

    fn open(&self, path: &Path) -> io::Result<JoinHandle<()>> {
        let directory = Arc::new(Directory::open(path)?);
        let listener = UnixListener::bind(self.socket(path))?;
        let answer = move |request| {
            let directory = Arc::clone(&directory);
            async move { directory.answer(&request).await }
        };
        Ok(tokio::spawn(local_http::serve(listener, "a directory origin", IDLE_MAX, answer)))
    }
}

impl Drop for DirectoryOrigins {
    fn drop(&mut self) {
        for origin in self.origins.get_mut().values() {
            origin.abort();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.sockets) {
            tracing::warn!("{} was not removed: {error}", self.sockets.display());
        }
    }
}

/// Of the digest; a socket's whole path is limited to 107 bytes.
const NAME_BYTES: usize = 8;
/// Longer than the edge keeps idle connections, so that the edge closes first.
const IDLE_MAX: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests;
