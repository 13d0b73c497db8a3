//! A response headers policy as written.

use super::Text;
use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawResponseHeaders {
    #[serde(default)]
    pub(crate) remove: Vec<Text>,
    #[serde(default)]
    pub(crate) add: Vec<RawAddedHeader>,
    #[serde(default)]
    pub(crate) security: RawSecurityHeaders,
    pub(crate) cors: Option<Spanned<RawCors>>,
    pub(crate) server_timing: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAddedHeader {
    pub(crate) name: Text,
    pub(crate) value: Text,
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSecurityHeaders {
    pub(crate) strict_transport_security: Option<RawTransportSecurity>,
    pub(crate) content_type_options: Option<RawOverride>,
    pub(crate) frame_options: Option<RawSecurityHeader>,
    pub(crate) referrer_policy: Option<RawSecurityHeader>,
    pub(crate) content_security_policy: Option<RawSecurityHeader>,
    pub(crate) xss_protection: Option<Spanned<RawXssProtection>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTransportSecurity {
    pub(crate) max_age: Text,
    #[serde(default)]
    pub(crate) include_subdomains: bool,
    #[serde(default)]
    pub(crate) preload: bool,
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOverride {
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSecurityHeader {
    pub(crate) value: Text,
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawXssProtection {
    pub(crate) protection: bool,
    #[serde(default)]
    pub(crate) mode_block: bool,
    pub(crate) report_uri: Option<Text>,
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCors {
    pub(crate) origins: Vec<Text>,
    pub(crate) methods: Vec<Text>,
    #[serde(default)]
    pub(crate) headers: Vec<Text>,
    #[serde(default)]
    pub(crate) expose: Vec<Text>,
    #[serde(default)]
    pub(crate) credentials: bool,
    pub(crate) max_age: Option<Text>,
    #[serde(default, rename = "override")]
    pub(crate) overrides: bool,
}
