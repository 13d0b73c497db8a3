//! `[distributions.NAME.continuous_deployment]` as written.

use super::Text;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawContinuousDeployment {
    pub(crate) staging: Text,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    pub(crate) header: Option<RawHeader>,
    pub(crate) weight: Option<Spanned<f64>>,
    pub(crate) session: Option<Spanned<RawSession>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHeader {
    pub(crate) name: Text,
    pub(crate) value: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSession {
    pub(crate) idle_ttl: Text,
    pub(crate) maximum_ttl: Text,
    /// A file's path; the control plane writes the secret itself.
    pub(crate) key: Text,
}

fn yes() -> bool {
    true
}
