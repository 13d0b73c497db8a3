//! AWS Signature Version 4a: ECDSA on P-256 with a key pair that both sides derive from the access
//! key (AWS: "Signing AWS API requests", the asymmetric version; the derivation is the counter mode
//! of NIST SP 800-108 with HMAC-SHA-256). Clients of key value stores sign with nothing else.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use ring::hmac;

/// Whether whoever has this access key and secret signed the text. `signature` is DER in hex.
pub(super) fn verifies(key: (&str, &str), signed: &str, signature: &str) -> bool {
    let signature = bytes_of(signature).and_then(|der| Signature::from_der(&der).ok());
    let (Some(key), Some(signature)) = (derive(key), signature) else { return false };
    VerifyingKey::from(&key).verify(signed.as_bytes(), &signature).is_ok()
}

/// The private key: the first candidate that is a number of the curve's, which almost every one is.
fn derive((access_key, secret): (&str, &str)) -> Option<SigningKey> {
    let mac = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4A{secret}").as_bytes());
    (1..=CANDIDATES_MAX).find_map(|candidate| {
        let mut input = 1_u32.to_be_bytes().to_vec();
        input.extend_from_slice(ALGORITHM.as_bytes());
        input.push(0);
        input.extend_from_slice(access_key.as_bytes());
        input.push(candidate);
        input.extend_from_slice(&KEY_BITS.to_be_bytes());
        let number = plus_one(hmac::sign(&mac, &input).as_ref())?;
        SigningKey::from_slice(&number).ok()
    })
}

/// Big-endian; `None` when it does not fit.
fn plus_one(number: &[u8]) -> Option<Vec<u8>> {
    let mut next = number.to_vec();
    for byte in next.iter_mut().rev() {
        let (sum, has_carry) = byte.overflowing_add(1);
        *byte = sum;
        if !has_carry {
            return Some(next);
        }
    }
    None
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| (pair[0] << 4) | pair[1]).collect())
}

pub(super) const ALGORITHM: &str = "AWS4-ECDSA-P256-SHA256";
const KEY_BITS: u32 = 256;
const CANDIDATES_MAX: u8 = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::hex;
    use p256::ecdsa::signature::Signer as _;

    const KEY: (&str, &str) = ("AKISORANDOMAASORANDOM", "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom");

    #[test]
    fn the_key_is_the_one_that_aws_s_own_signers_derive() {
        let derived = "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd";
        assert_eq!(hex(&derive(KEY).unwrap().to_bytes()), derived);
    }

    #[test]
    fn only_the_key_s_own_signature_of_the_very_text_verifies() {
        let signature: Signature = derive(KEY).unwrap().sign(b"text");
        let signature = hex(signature.to_der().as_bytes());
        assert!(verifies(KEY, "text", &signature));
        assert!(!verifies(KEY, "other", &signature));
        assert!(!verifies((KEY.0, "another secret"), "text", &signature));
        assert!(!verifies(("AKIDOTHER", KEY.1), "text", &signature));
        for broken in ["", "0", "zz", &signature[2..], &signature.replace('a', "b")] {
            assert!(!verifies(KEY, "text", broken), "{broken}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_no_candidate() {
        assert_eq!(plus_one(&[0, 255]), Some(vec![1, 0]));
        assert_eq!(plus_one(&[255, 255]), None);
    }
}
