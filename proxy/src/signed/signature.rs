//! Signatures of policies: RSA (PKCS #1 1.5) and ECDSA on P-256, over SHA-1 or SHA-256.

use deployment::PublicKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use ring::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// AWS: `Hash-Algorithm`; SHA-1 where it is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

/// Whether a signature is this key's.
pub(super) fn verifies(key: &PublicKey, hash: Hash, signed: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Rsa(key) => {
            let parameters: &'static RsaParameters = match hash {
                Hash::Sha1 => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            };
            UnparsedPublicKey::new(parameters, key).verify(signed, signature).is_ok()
        }
        PublicKey::EcdsaP256(point) => {
            let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(point), Signature::from_der(signature))
            else {
                return false;
            };
            match hash {
                Hash::Sha1 => key.verify_prehash(&Sha1::digest(signed), &signature),
                Hash::Sha256 => key.verify_prehash(&Sha256::digest(signed), &signature),
            }
            .is_ok()
        }
    }
}
