//! The key that a signature is made with (AWS: "Create a signed AWS API request", "Calculate
//! the signature"): derived from a secret for one day, region and service.

use ring::hmac;
use std::fmt;

/// What a key is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// As in `20260102`.
    pub date: String,
    pub region: String,
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// The key of one scope.
pub struct SigningKey {
    key: hmac::Key,
    scope: Scope,
}

impl SigningKey {
    #[must_use]
    pub fn derive(secret: &str, scope: Scope) -> SigningKey {
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in [&*scope.date, &*scope.region, &*scope.service, TERMINATOR] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        SigningKey { key, scope }
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The signature of a request with this canonical hash that is made at this time, as in
    /// `20260102T030405Z`, in lower-case hex.
    #[must_use]
    pub fn sign(&self, time: &str, canonical_hash: &str) -> String {
        let text = format!("{ALGORITHM}\n{time}\n{}\n{canonical_hash}", self.scope);
        let tag = hmac::sign(&self.key, text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Without the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("scope", &self.scope).finish_non_exhaustive()
    }
}

pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub const TERMINATOR: &str = "aws4_request";
