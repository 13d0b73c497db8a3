//! Signed packages: who made an archive, said at its end. The signature is the archive's
//! comment and covers every byte before it, so that a signed archive is one like any
//! other to whoever does not ask. Which signers a function takes is `lambda`'s.

use crate::lambda::{ACCOUNT, REGION};
use crate::packages::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A key to sign with, and the name of its profile.
#[derive(Debug)]
pub struct Signer {
    key: Key,
    profile: String,
}

#[derive(Debug)]
enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the key is neither an Ed25519 nor a P-256 key in PKCS #8 PEM, as `openssl genpkey` makes them")]
    Key,
    #[error("profile {0:?} must be 2 to 64 letters, digits and _")]
    Profile(String),
    #[error("it is no zip archive")]
    Archive,
    #[error("the key cannot sign")]
    Failed,
}

/// What a signature that is good says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The ARN of the signer's profile and key.
    pub(crate) publisher: String,
    pub(crate) is_expired: bool,
}

/// The comment, after its mark.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Seal {
    profile: String,
    algorithm: Algorithm,
    public_key: String,
    /// Unix time, seconds; 0: never.
    expires: u64,
    signature: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Algorithm {
    #[serde(rename = "Ed25519")]
    Ed25519,
    #[serde(rename = "ECDSA-P256-SHA256")]
    P256,
}

impl Signer {
    /// Reads a key.
    ///
    /// # Errors
    /// It is of another kind, or the profile's name is none.
    pub fn new(pem: &[u8], profile: &str) -> Result<Signer, SigningError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !(2..=64).contains(&profile.len()) || !profile.bytes().all(allowed) {
            return Err(SigningError::Profile(profile.to_owned()));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SigningError::Key)?;
        let der = der.secret_pkcs8_der();
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Key::Ed25519);
        let p256 =
            || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()).map(Key::P256);
        let key = ed25519.or_else(|_| p256()).map_err(|_| SigningError::Key)?;
        Ok(Signer { key, profile: profile.to_owned() })
    }

    /// A new Ed25519 key, as PEM.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn new_key() -> Result<String, SigningError> {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SigningError::Failed)?;
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref())))
    }

    /// The ARN that a code signing configuration allows this signer by.
    #[must_use]
    pub fn publisher(&self) -> String {
        publisher(&self.profile, self.algorithm(), self.public_key())
    }

    /// The archive with a signature that is good for so long, or for ever, in place of any comment
    /// that it has.
    ///
    /// # Errors
    /// It is no archive.
    pub fn sign(&self, archive: &[u8], lifetime: Option<Duration>) -> Result<Vec<u8>, SigningError> {
        let (mut content, _) = split(archive).ok_or(SigningError::Archive)?;
        let expires = lifetime.map_or(0, |lifetime| now() + lifetime.as_secs());
        let message = message(&self.profile, expires, &content);
        let signature = match &self.key {
            Key::Ed25519(key) => key.sign(&message).as_ref().to_vec(),
            Key::P256(key) => {
                key.sign(&SystemRandom::new(), &message).map_err(|_| SigningError::Failed)?.as_ref().to_vec()
            }
        };
        let seal = Seal {
            profile: self.profile.clone(),
            algorithm: self.algorithm(),
            public_key: STANDARD.encode(self.public_key()),
            expires,
            signature: STANDARD.encode(signature),
        };
        let comment = format!("{MARK}{}", serde_json::to_string(&seal).map_err(|_| SigningError::Failed)?);
        let length = u16::try_from(comment.len()).map_err(|_| SigningError::Failed)?;
        content.truncate(content.len() - COMMENT_LENGTH_BYTES);
        content.extend(length.to_le_bytes());
        content.extend(comment.into_bytes());
        Ok(content)
    }

    fn algorithm(&self) -> Algorithm {
        match &self.key {
            Key::Ed25519(_) => Algorithm::Ed25519,
            Key::P256(_) => Algorithm::P256,
        }
    }

    fn public_key(&self) -> &[u8] {
        match &self.key {
            Key::Ed25519(key) => key.public_key().as_ref(),
            Key::P256(key) => key.public_key().as_ref(),
        }
    }
}

/// Who signed an archive: `None` when nobody did, an error when the signature is not good.
pub(crate) fn verify(archive: &[u8]) -> Result<Option<Signed>, String> {
    let Some((content, comment)) = split(archive) else { return Ok(None) };
    let Some(seal) = comment.strip_prefix(MARK.as_bytes()) else { return Ok(None) };
    // Nothing in it may look like a part of an archive.
    if !seal.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err("its signature has characters that it cannot have".into());
    }
    let seal: Seal = serde_json::from_slice(seal).map_err(|error| format!("its signature cannot be read: {error}"))?;
    let decoded = |text: &str| STANDARD.decode(text).map_err(|error| format!("its signature is not base64: {error}"));
    let (key, signature) = (decoded(&seal.public_key)?, decoded(&seal.signature)?);
    let algorithm: &dyn VerificationAlgorithm = match seal.algorithm {
        Algorithm::Ed25519 => &ED25519,
        Algorithm::P256 => &ECDSA_P256_SHA256_ASN1,
    };
    let message = message(&seal.profile, seal.expires, &content);
    let good = UnparsedPublicKey::new(algorithm, &key).verify(&message, &signature);
    good.map_err(|_| "its signature is not that of its content".to_owned())?;
    let is_expired = seal.expires != 0 && seal.expires <= now();
    Ok(Some(Signed { publisher: publisher(&seal.profile, seal.algorithm, &key), is_expired }))
}

/// An archive as it is without a comment, and the comment (APPNOTE.TXT 4.3.16).
fn split(archive: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let latest = archive.len().checked_sub(END_BYTES)?;
    let earliest = latest.saturating_sub(usize::from(u16::MAX));
    let at = (earliest..=latest).rev().find(|at| {
        let length = archive.get(at + END_BYTES - COMMENT_LENGTH_BYTES..at + END_BYTES);
        let length = length.and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
        archive[*at..].starts_with(END_MARK)
            && length.is_some_and(|length| at + END_BYTES + usize::from(length) == archive.len())
    })?;
    let mut content = archive[..at + END_BYTES].to_vec();
    content[at + END_BYTES - COMMENT_LENGTH_BYTES..].fill(0);
    Some((content, &archive[at + END_BYTES..]))
}

fn message(profile: &str, expires: u64, content: &[u8]) -> Vec<u8> {
    let digest = hex(&Sha256::digest(content));
    format!("selvedge package signature 1\n{profile}\n{expires}\n{digest}\n").into_bytes()
}

/// The version of a profile is its key, so that nothing has to be registered.
fn publisher(profile: &str, algorithm: Algorithm, public_key: &[u8]) -> String {
    let kind: &[u8] = match algorithm {
        Algorithm::Ed25519 => b"Ed25519\0",
        Algorithm::P256 => b"ECDSA-P256-SHA256\0",
    };
    let version = hex(&Sha256::new().chain_update(kind).chain_update(public_key).finalize());
    format!("arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/{profile}/{version}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const MARK: &str = "selvedge-signature-1 ";
/// The end of the central directory, without its comment.
const END_MARK: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_LENGTH_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write as _};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn ed25519() -> Vec<u8> {
        Signer::new_key().unwrap().into_bytes()
    }

    fn p256() -> Vec<u8> {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into_bytes()
    }

    fn archive(content: &str) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("index.mjs", SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn what_either_kind_of_key_signs_is_theirs_and_still_an_archive() {
        for pem in [ed25519(), p256()] {
            let signer = Signer::new(&pem, "release").unwrap();
            let signed = signer.sign(&archive("a"), None).unwrap();
            let found = verify(&signed).unwrap().unwrap();
            assert_eq!(found, Signed { publisher: signer.publisher(), is_expired: false });
            assert!(found.publisher.starts_with("arn:aws:signer:us-east-1:000000000000:/signing-profiles/release/"));
            zip::ZipArchive::new(Cursor::new(&signed)).unwrap().by_name("index.mjs").unwrap();
            // Signed anew, nothing of the old signature is left.
            let again = Signer::new(&ed25519(), "other").unwrap();
            assert_eq!(verify(&again.sign(&signed, None).unwrap()).unwrap().unwrap().publisher, again.publisher());
        }
    }

    #[test]
    fn what_was_changed_after_signing_is_not_good() {
        let signer = Signer::new(&ed25519(), "release").unwrap();
        let signed = signer.sign(&archive("a"), None).unwrap();
        for at in [0, 40, signed.len() - 30] {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert!(verify(&changed).is_err(), "{at}");
        }
        // Another archive with the same comment, and a comment that hides an archive.
        let (_, comment) = split(&signed).unwrap();
        let mut other = archive("b");
        let length = u16::try_from(comment.len()).unwrap();
        other.truncate(other.len() - 2);
        other.extend(length.to_le_bytes());
        other.extend(comment);
        assert!(verify(&other).is_err());
        let text = String::from_utf8(comment.to_vec()).unwrap();
        let hiding = text.replace("release", "re\u{1}lease").into_bytes();
        let mut hidden = archive("a");
        hidden.truncate(hidden.len() - 2);
        hidden.extend(u16::try_from(hiding.len()).unwrap().to_le_bytes());
        hidden.extend(hiding);
        assert!(verify(&hidden).unwrap_err().contains("characters"));
    }

    #[test]
    fn a_signature_ends_and_an_archive_may_have_none() {
        let signer = Signer::new(&p256(), "release").unwrap();
        let signed = signer.sign(&archive("a"), Some(Duration::from_secs(60))).unwrap();
        assert!(!verify(&signed).unwrap().unwrap().is_expired);
        assert_eq!(verify(&archive("a")).unwrap(), None);
        assert_eq!(verify(b"no archive at all").unwrap(), None);
        assert!(matches!(signer.sign(b"no archive at all", None), Err(SigningError::Archive)));
        assert!(matches!(Signer::new(b"no key", "release"), Err(SigningError::Key)));
        assert!(matches!(Signer::new(&p256(), "a-b"), Err(SigningError::Profile(_))));
    }
}
