//! A certificate authority for development: made once, reused, trusted by hand.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

use crate::CertError;
use crate::set::AUTHORITY_STEM;

/// Where the authority and the pair it signed are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCa {
    /// The certificate to trust.
    pub ca_certificate: PathBuf,
    /// The signed certificate and its key.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// False when an authority was there already and was reused.
    pub created: bool,
}

impl LocalCa {
    /// How to make browsers and programs of this machine trust the authority.
    pub fn trust_instructions(&self) -> String {
        let ca = self.ca_certificate.display();
        format!(
            "trust {ca} to use the certificates it signed:\n\
             \x20 curl      curl --cacert {ca} https://localhost:8443/\n\
             \x20 Debian    sudo cp {ca} /usr/local/share/ca-certificates/selvedge.crt && sudo update-ca-certificates\n\
             \x20 Fedora    sudo trust anchor {ca}\n\
             \x20 macOS     sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ca}\n\
             \x20 Firefox   Settings, Certificates, Authorities, Import\n\
             keep {} secret: who has it can sign any name for machines that trust it\n",
            self.ca_certificate.with_extension("key").display()
        )
    }
}

/// Signs a pair for `names` (hosts or addresses) with the authority in `dir`, which is made
/// when it is missing. The pair is called after the first name and replaces one of before;
/// keys have mode 0600.
pub fn init_local_ca(dir: &Path, names: &[String]) -> Result<LocalCa, CertError> {
    let first = names
        .first()
        .ok_or_else(|| CertError::InvalidName { name: String::new(), reason: "at least one is needed".to_owned() })?;
    std::fs::create_dir_all(dir).map_err(CertError::file(dir))?;
    let ca_certificate = dir.join(AUTHORITY_STEM).with_extension("crt");
    let ca_key = ca_certificate.with_extension("key");
    let created = !ca_certificate.exists() && !ca_key.exists();
    if created {
        create_authority(&ca_certificate, &ca_key)?;
    }
    let issuer = read_authority(&ca_certificate, &ca_key)?;
    let certificate = dir.join(format!("{}.crt", file_stem(first)));
    let key = dir.join(format!("{}.key", file_stem(first)));
    let signing = |error: rcgen::Error| CertError::Signing { path: certificate.clone(), reason: error.to_string() };
    let pair_key = KeyPair::generate().map_err(signing)?;
    let signed = pair_params(names)?.signed_by(&pair_key, &issuer).map_err(signing)?;
    write(&key, &pair_key.serialize_pem(), SECRET)?;
    write(&certificate, &signed.pem(), PUBLIC)?;
    Ok(LocalCa { ca_certificate, certificate, key, created })
}

fn create_authority(certificate: &Path, key: &Path) -> Result<(), CertError> {
    let signing = |error: rcgen::Error| CertError::Signing { path: certificate.into(), reason: error.to_string() };
    let signing_key = KeyPair::generate().map_err(signing)?;
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Selvedge local authority {}", now.date()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + AUTHORITY_LIFE;
    let signed = params.self_signed(&signing_key).map_err(signing)?;
    write(key, &signing_key.serialize_pem(), SECRET)?;
    write(certificate, &signed.pem(), PUBLIC)
}

fn read_authority(certificate: &Path, key: &Path) -> Result<Issuer<'static, KeyPair>, CertError> {
    let pem = std::fs::read_to_string(certificate).map_err(CertError::file(certificate))?;
    let key_pem = std::fs::read_to_string(key).map_err(CertError::file(key))?;
    let signing_key = KeyPair::from_pem(&key_pem)
        .map_err(|error| CertError::InvalidKey { path: key.into(), reason: error.to_string() })?;
    Issuer::from_ca_cert_pem(&pem, signing_key)
        .map_err(|error| CertError::InvalidCertificate { path: certificate.into(), reason: error.to_string() })
}

fn pair_params(names: &[String]) -> Result<CertificateParams, CertError> {
    for name in names {
        let fits = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._*:".contains(letter));
        if !fits {
            let reason = format!("expected a host name or an address of at most {NAME_BYTES_MAX} bytes");
            return Err(CertError::InvalidName { name: name.clone(), reason });
        }
    }
    let mut params = CertificateParams::new(names)
        .map_err(|error| CertError::InvalidName { name: names.join(", "), reason: error.to_string() })?;
    let now = OffsetDateTime::now_utc();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names[0].clone());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + PAIR_LIFE;
    Ok(params)
}

fn file_stem(name: &str) -> String {
    let stem = name.replace('*', "wildcard").replace(':', "_");
    // The authority's own files are never overwritten by a pair.
    if stem == AUTHORITY_STEM { format!("{stem}-pair") } else { stem }
}

/// Whole or not at all: a reader never sees half a file.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&fresh, path));
    written.map_err(CertError::file(path))
}

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const CLOCK_SKEW: Duration = Duration::hours(1);
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// Browsers accept at most 398 days.
const PAIR_LIFE: Duration = Duration::days(397);
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_local_pair_is_served_and_its_keys_are_secret() {
        let dir = tempfile::tempdir().unwrap();
        let made = init_local_ca(dir.path(), &names(&["localhost", "127.0.0.1", "::1"])).unwrap();
        assert!(made.created);
        assert_eq!(made.certificate, dir.path().join("localhost.crt"));
        for key in ["ca.key", "localhost.key"] {
            let mode = std::fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        let store = crate::Store::open(dir.path()).unwrap();
        assert!(store.warnings().is_empty(), "{:?}", store.warnings());
        assert!(made.trust_instructions().contains("ca.crt"));
    }

    #[test]
    fn an_authority_that_exists_is_reused() {
        let dir = tempfile::tempdir().unwrap();
        init_local_ca(dir.path(), &names(&["a.test"])).unwrap();
        let before = std::fs::read(dir.path().join("ca.crt")).unwrap();
        let again = init_local_ca(dir.path(), &names(&["*.b.test"])).unwrap();
        assert!(!again.created);
        assert_eq!(std::fs::read(dir.path().join("ca.crt")).unwrap(), before);
        assert_eq!(again.certificate, dir.path().join("wildcard.b.test.crt"));
    }

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = init_local_ca(dir.path(), &names(&["../evil"])).unwrap_err();
        assert!(matches!(error, CertError::InvalidName { .. }), "{error}");
        assert!(init_local_ca(dir.path(), &[]).is_err());
    }
}
