//! The edge: everything between a viewer's connection and an origin's answer.

mod access_log;
mod body;
mod cache;
mod compress;
mod connection;
pub mod control;
mod ctx;
pub mod directory;
pub mod echo;
mod edge;
pub mod error;
mod error_pages;
mod fingerprint;
pub mod geo;
mod guard;
mod hooks;
pub mod listen;
mod live;
mod local_http;
pub mod metrics;
mod origin;
mod respond;
mod response_headers;
mod signed;
mod staging;
mod viewer_headers;
mod wire;
mod x_cache;

pub use cache::DiskError;
pub use edge::{Directories, Edge};
pub use listen::serve;
pub use live::{Live, State};
