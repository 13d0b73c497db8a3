//! How requests to an origin are signed (AWS: "Restrict access to an Amazon S3 origin").

use sigv4::{Signer, Source};
use std::path::Path;
use std::sync::Arc;

/// An origin access control that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessControl {
    pub signing: Signing,
    pub service: SignedService,
    /// Where the signer's credentials were read.
    pub(crate) source: Source,
    pub signer: Arc<Signer>,
}

impl AccessControl {
    /// The file that its credentials were read from, if it was one.
    #[must_use]
    pub fn credentials_file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Environment(_) => None,
        }
    }
}

/// Which requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// All; an `Authorization` that a viewer sent is overwritten.
    Always,
    /// Those that have no `Authorization` of their own.
    NoOverride,
}

/// What the origin is, which decides how bodies and paths are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedService {
    S3,
    Lambda,
}

impl SignedService {
    /// As credentials' scopes name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SignedService::S3 => "s3",
            SignedService::Lambda => "lambda",
        }
    }
}
