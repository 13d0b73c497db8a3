//! One certificate chain with its key: read from PEM and checked.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::CertError;

/// A pair that can be served.
pub(crate) struct Pair {
    pub(crate) key: Arc<CertifiedKey>,
    /// Lower-case host names, `*.example.com` included; addresses in text form.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: OffsetDateTime,
    /// What the operator should know though the pair works.
    pub(crate) warnings: Vec<String>,
}

impl Pair {
    /// Reads and checks both files: PEM, matching key, not expired at `now`.
    pub(crate) fn read(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Pair, CertError> {
        if !key.exists() {
            return Err(CertError::KeyMissing { certificate: certificate.into(), key: key.into() });
        }
        let chain = read_chain(certificate)?;
        let private = read_key(key)?;
        let parsed = parse(certificate, &chain[0])?;
        if parsed.not_after <= now {
            return Err(CertError::Expired { path: certificate.into(), date: parsed.not_after.date().to_string() });
        }
        let warnings = warnings(certificate, key, &parsed, now);
        let certified = CertifiedKey::from_der(chain, private, &crate::provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                CertError::Mismatch { certificate: certificate.into(), key: key.into() }
            }
            other => CertError::InvalidKey { path: key.into(), reason: other.to_string() },
        })?;
        Ok(Pair { key: Arc::new(certified), names: parsed.names, not_after: parsed.not_after, warnings })
    }
}

struct Parsed {
    names: Vec<String>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let invalid = |reason: String| CertError::InvalidCertificate { path: path.into(), reason };
    let text = std::fs::read(path).map_err(CertError::file(path))?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
    if chain.is_empty() {
        return Err(invalid("it holds no certificate".to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    let text = std::fs::read(path).map_err(CertError::file(path))?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| CertError::InvalidKey { path: path.into(), reason: error.to_string() })
}

fn parse(path: &Path, leaf: &CertificateDer<'_>) -> Result<Parsed, CertError> {
    let invalid = |reason: String| CertError::InvalidCertificate { path: path.into(), reason };
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| invalid(error.to_string()))?;
    let moment = |seconds: i64| {
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| invalid(format!("date {seconds} is out of range")))
    };
    let validity = certificate.validity();
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(name));
    }
    Ok(Parsed {
        names,
        not_before: moment(validity.not_before.timestamp())?,
        not_after: moment(validity.not_after.timestamp())?,
    })
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn warnings(certificate: &Path, key: &Path, parsed: &Parsed, now: OffsetDateTime) -> Vec<String> {
    let mut warnings = Vec::new();
    if parsed.not_after - now < EXPIRY_WARNING {
        warnings.push(format!("{}: expires on {}", certificate.display(), parsed.not_after.date()));
    }
    if parsed.not_before > now {
        warnings.push(format!("{}: not valid before {}", certificate.display(), parsed.not_before.date()));
    }
    if parsed.names.is_empty() {
        warnings.push(format!("{}: names no host (subjectAltName)", certificate.display()));
    }
    let readable_by_others = std::fs::metadata(key).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if readable_by_others {
        warnings.push(format!("{}: other users of this machine may read this key", key.display()));
    }
    warnings
}

const EXPIRY_WARNING: Duration = Duration::days(14);
