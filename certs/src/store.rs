//! The certificates being served: chosen by server name, replaced as a whole when
//! the directory changes, kept when the change is bad.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use time::OffsetDateTime;

use crate::CertError;
use crate::set::{CertSet, fingerprint};

/// A directory of certificates, always usable once opened.
pub struct Store {
    dir: PathBuf,
    set: ArcSwap<CertSet>,
}

impl Store {
    /// Reads and checks every pair of `dir`. Warnings are logged and kept in [`Store::warnings`].
    pub fn open(dir: &Path) -> Result<Arc<Store>, CertError> {
        let set = CertSet::read(dir, OffsetDateTime::now_utc())?;
        log_warnings(&set);
        Ok(Arc::new(Store { dir: dir.to_owned(), set: ArcSwap::from_pointee(set) }))
    }

    /// Reads the directory again. After an error the certificates of before are still served.
    /// Handshakes under way finish with the pair they chose.
    pub fn reload(&self) -> Result<(), CertError> {
        let set = CertSet::read(&self.dir, OffsetDateTime::now_utc())?;
        log_warnings(&set);
        self.set.store(Arc::new(set));
        Ok(())
    }

    /// Pairs that expire soon and keys that others may read, one line each.
    pub fn warnings(&self) -> Vec<String> {
        self.set.load().warnings.clone()
    }

    /// Starts a thread that looks every two seconds whether the directory changed and
    /// reloads. It ends when the store is dropped.
    pub fn watch(self: &Arc<Self>) {
        let seen = fingerprint(&self.dir);
        let (store, dir) = (Arc::downgrade(self), self.dir.clone());
        let started =
            std::thread::Builder::new().name("certificates".to_owned()).spawn(move || watch(&store, &dir, seen));
        if let Err(error) = started {
            tracing::error!("certificates will not be reloaded: the watching thread did not start: {error}");
        }
    }

    /// Settings of a TLS listener that serves these certificates: TLS 1.2 and 1.3, and the
    /// given application protocols, preferred first.
    pub fn server_config(self: &Arc<Self>, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(crate::provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) fn choose(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        self.set.load().choose(server_name)
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name()))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn watch(store: &Weak<Store>, dir: &Path, mut seen: Vec<(PathBuf, Option<std::time::SystemTime>, u64)>) {
    loop {
        std::thread::sleep(WATCH_INTERVAL);
        let Some(store) = store.upgrade() else {
            return;
        };
        let now = fingerprint(dir);
        if now == seen {
            continue;
        }
        // Remembered also when the change is bad, so that each change is tried and logged once.
        seen = now;
        match store.reload() {
            Ok(()) => tracing::info!("certificates reloaded from {}", dir.display()),
            Err(error) => tracing::error!("certificates not reloaded, the ones of before stay: {error}"),
        }
    }
}

fn log_warnings(set: &CertSet) {
    for warning in &set.warnings {
        tracing::warn!("{warning}");
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
