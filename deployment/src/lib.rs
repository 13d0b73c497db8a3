//! From `selvedge.toml` to a checked [`Deployment`]: raw settings, one pass of
//! checks that collects every problem with its line, and values with nothing
//! left to validate. `cli` calls [`load`]; `proxy` reads the model.

mod access_control;
mod added;
mod check;
mod continuous_deployment;
mod digest;
mod edge_headers;
mod key_group;
mod key_values;
mod managed;
mod model;
mod normalise;
mod pattern;
mod problem;
mod raw;
mod response_headers;
mod select;
mod server;
mod units;

use std::path::{Path, PathBuf};

pub use access_control::{AccessControl, SignedService, Signing};
pub use added::{Added, check_functions};
pub use check::installed_interpreters;
pub use continuous_deployment::{
    ContinuousDeployment, HEADER_PREFIX as CONTINUOUS_DEPLOYMENT_HEADER_PREFIX, SESSION_SECONDS, Session, SessionKey,
    Traffic, WEIGHT_MAX,
};
pub use digest::distribution_domain;
pub use edge_headers::{MadeFrom, made_from};
pub use key_group::{KeyGroup, PublicKey};
pub use key_values::{ImportError, KeyValueStore, check_pair, import};
pub use managed::{
    cache as managed_cache, cache_policies as managed_cache_policies, forward_policies as managed_forward_policies,
};
pub use model::{
    AllowedMethods, Behavior, CachePolicy, CachedMethods, Deployment, Distribution, ErrorPage, Failover, ForwardPolicy,
    GeoRestriction, HeaderSelection, Hook, Hooks, Origin, OriginKind, Selection, ViewerProtocol,
};
pub use normalise::normalise;
pub use pattern::{PathPattern, wildcard_matches};
pub use problem::{Problem, Problems};
pub use response_headers::{
    AddedHeader, AllowedOrigin, Cors, ResponseHeadersPolicy, managed_policies as managed_response_headers_policies,
};
pub use server::{Bucket, CacheDisk, ControlPlane, OriginAccess, Server, Service};

/// A whole configuration file: how the process listens, and what it runs.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub deployment: Deployment,
}

/// Reads and checks a configuration file. Relative paths in it are relative to
/// the file's own directory.
///
/// # Errors
/// Every problem found, in the order of the lines. A file that is not TOML, or
/// that has an unknown key or a value of the wrong type, gives that one problem:
/// nothing after it can be read with certainty.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with(path, &Added::default())
}

/// The same, with what the control plane adds.
///
/// # Errors
/// Every problem of the file; when it has none, those of what is added, and the names
/// that both have.
pub fn load_with(path: &Path, added: &Added) -> Result<Config, Problems> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Err(Problems::of_file(path, format!("cannot be read: {error}"))),
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    match std::path::absolute(&directory) {
        Ok(directory) => check::config((path, &directory, &text), added),
        Err(error) => Err(Problems::of_file(path, format!("its directory has no absolute path: {error}"))),
    }
}

#[cfg(test)]
mod tests;
