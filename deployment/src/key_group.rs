//! Key groups: the public keys whose signed URLs and cookies open a behavior
//! (AWS: "Specify signers that can create signed URLs and signed cookies").

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Keys by id, which is what `Key-Pair-Id` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyGroup {
    pub keys: BTreeMap<String, PublicKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// PKCS #1 `RSAPublicKey`, DER.
    Rsa(Vec<u8>),
    /// A point on P-256, SEC 1.
    EcdsaP256(Vec<u8>),
}

impl PublicKey {
    /// SHA-256 of the key, lower-case hex.
    pub(crate) fn fingerprint(&self) -> String {
        let (PublicKey::Rsa(bytes) | PublicKey::EcdsaP256(bytes)) = self;
        Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// Says what the text is instead of an RSA key of 2,048 to 4,096 bits or an ECDSA key on P-256.
    pub fn from_pem(pem: &[u8]) -> Result<PublicKey, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|error| format!("has no \"PUBLIC KEY\" in PEM: {error}"))?;
        let info = SubjectPublicKeyInfoRef::try_from(&der[..]).map_err(|error| format!("is no public key: {error}"))?;
        let bits = info.subject_public_key.as_bytes().ok_or("is no public key: its bits are cut off")?.to_vec();
        if info.algorithm.oid.to_string() == RSA_ENCRYPTION {
            let modulus =
                pkcs1::RsaPublicKey::try_from(&bits[..]).map_err(|error| format!("is no RSA key: {error}"))?;
            let size = modulus.modulus.as_bytes().len() * 8;
            if !RSA_BITS.contains(&size) {
                let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
                return Err(format!("is an RSA key of {size} bits, it must have {least} to {most}"));
            }
            return Ok(PublicKey::Rsa(bits));
        }
        let curve = info.algorithm.parameters_oid().map(|oid| oid.to_string());
        if info.algorithm.oid.to_string() == EC_PUBLIC_KEY && curve.as_deref() == Ok(P_256) {
            return Ok(PublicKey::EcdsaP256(bits));
        }
        Err("is neither an RSA key nor an ECDSA key on the curve P-256".to_owned())
    }
}

/// AWS: "Create key pairs for your signers"; longer ones are as good.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;
/// RFC 3279 2.3.
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P_256: &str = "1.2.840.10045.3.1.7";
