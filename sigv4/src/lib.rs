//! AWS Signature Version 4 (AWS: "Create a signed AWS API request"): what of a request is
//! signed, with which key, and whose. `control` verifies what it receives and signs what it
//! asks, `proxy` signs what goes to origins, `deployment` names the credentials. The
//! primitives are borrowed.

mod canonical;
mod credentials;
mod key;
mod signer;

pub use canonical::{Canonical, EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, payload_hash, spelled_path, spelled_query};
pub use credentials::{Credentials, CredentialsError, Source};
pub use key::{ALGORITHM, Scope, SigningKey, TERMINATOR};
pub use signer::{Signer, ToSign};
