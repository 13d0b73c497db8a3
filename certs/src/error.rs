//! Everything that can be wrong with a directory of certificates.

use std::io;
use std::path::PathBuf;

/// Why certificates could not be loaded or made. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: no certificate: expected NAME.crt or NAME.pem with NAME.key beside it", path.display())]
    Empty { path: PathBuf },
    #[error("{}: more than {limit} certificates", path.display())]
    TooMany { path: PathBuf, limit: usize },
    #[error("{}: the key {} is missing", certificate.display(), key.display())]
    KeyMissing { certificate: PathBuf, key: PathBuf },
    #[error("{}: not a PEM certificate: {reason}", path.display())]
    InvalidCertificate { path: PathBuf, reason: String },
    #[error("{}: not a PEM private key: {reason}", path.display())]
    InvalidKey { path: PathBuf, reason: String },
    #[error("{}: does not belong to the certificate {}", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("{}: expired on {date}", path.display())]
    Expired { path: PathBuf, date: String },
    #[error("`{name}` cannot be a certificate's name: {reason}")]
    InvalidName { name: String, reason: String },
    #[error("{}: the local authority could not sign: {reason}", path.display())]
    Signing { path: PathBuf, reason: String },
}

impl CertError {
    /// A file or directory that could not be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CertError {
        let path = path.into();
        move |source| CertError::File { path, source }
    }
}
