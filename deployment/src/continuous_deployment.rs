//! Continuous deployment: which requests for one distribution another one answers, so that a
//! change is tried before it is everybody's (AWS: "Use CloudFront continuous deployment to
//! safely test CDN configuration changes"). Who decides about a request is `proxy`.

use crate::model::Distribution;
use http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// What a primary distribution has while it is in effect.
#[derive(Clone, Debug)]
pub struct ContinuousDeployment {
    /// Nothing else leads to it.
    pub staging: Arc<Distribution>,
    pub traffic: Traffic,
}

/// The requests that the staging distribution answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Traffic {
    /// Those with this header and exactly this value.
    Header { name: HeaderName, value: HeaderValue },
    /// Any, as often as this: 0 to [`WEIGHT_MAX`].
    Weight { weight: f64, session: Option<Session> },
}

/// How long one viewer's requests stay with one distribution (AWS: "Session stickiness for
/// weight-based configurations").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// From one request to the next.
    pub idle: Duration,
    /// From the first request on.
    pub maximum: Duration,
    pub key: SessionKey,
}

/// What tells a session of this deployment from what a viewer made up.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// # Errors
    /// Says how many bytes there are, where they are less than the 32 that a secret must have.
    pub fn of(secret: &[u8]) -> Result<SessionKey, String> {
        if secret.len() < SESSION_KEY_BYTES_MIN {
            return Err(format!("has {} bytes, it must have {SESSION_KEY_BYTES_MIN} at least", secret.len()));
        }
        Ok(SessionKey(Sha256::digest(secret).into()))
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the key, lower-case hex.
    pub(crate) fn fingerprint(&self) -> String {
        Sha256::digest(self.0).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

/// AWS: "Quotas and other considerations for continuous deployment", of 1.
pub const WEIGHT_MAX: f64 = 0.15;
/// The same page: bounds of both durations of a session, seconds.
pub const SESSION_SECONDS: std::ops::RangeInclusive<u64> = 300..=3_600;
/// AWS: "ContinuousDeploymentSingleHeaderConfig": what the header's name begins with.
pub const HEADER_PREFIX: &str = "aws-cf-cd-";
/// As many as HMAC-SHA256 makes use of.
const SESSION_KEY_BYTES_MIN: usize = 32;
