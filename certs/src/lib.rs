//! Certificates for the HTTPS listeners: a directory of PEM pairs that is read,
//! checked and reloaded while running, and a local authority for development.
//!
//! Used by `proxy` (listeners) and `cli` (`check`, and creating a local authority).

mod authority;
mod error;
mod pair;
mod set;
mod store;

pub use authority::{LocalCa, init_local_ca};
pub use error::CertError;
pub use store::Store;

/// The one TLS provider used, named explicitly because more than one may be compiled in.
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}
