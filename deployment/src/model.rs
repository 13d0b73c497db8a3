//! The checked deployment: distributions, behaviors, origins and functions with
//! nothing left to validate. Built only by this crate; read by `proxy`.

use functions::FunctionConfig;
use http::{HeaderName, HeaderValue, Method};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access_control::AccessControl;
use crate::continuous_deployment::ContinuousDeployment;
use crate::key_group::KeyGroup;
use crate::key_values::KeyValueStore;
use crate::pattern::PathPattern;
use crate::response_headers::ResponseHeadersPolicy;

/// Everything a PoP runs, as one immutable value.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// SHA-256 of the configuration and of every function's package, lower-case hex.
    pub digest: String,
    pub functions: BTreeMap<String, FunctionConfig>,
    pub distributions: Vec<Arc<Distribution>>,
    /// Those of the configuration file, by the ids that functions name them by.
    pub key_value_stores: BTreeMap<String, Arc<KeyValueStore>>,
}

/// One distribution (AWS: "CreateDistribution").
#[derive(Clone, Debug)]
pub struct Distribution {
    /// The table's name in the configuration.
    pub name: String,
    /// Stable id, `E` and 13 upper-case letters or digits, derived from the name.
    pub id: String,
    /// Stable domain, for example `d2f4k….selvedge.local`; always accepted besides `domains`.
    pub domain_name: String,
    /// Lower-case host names, without port; `*` takes what no other distribution names,
    /// `*.example.com` one label or more.
    pub domains: Vec<String>,
    /// Without the leading slash.
    pub default_root_object: Option<String>,
    pub origins: BTreeMap<String, Arc<Origin>>,
    /// In order; the last one is the default behavior with pattern `*`.
    pub behaviors: Vec<Arc<Behavior>>,
    pub error_pages: Vec<ErrorPage>,
    /// The header in which origins name the tags of a response, to take it out of the cache by.
    pub cache_tag_header: Option<HeaderName>,
    pub geo_restriction: Option<GeoRestriction>,
    /// Whether no host leads here, but only another distribution's continuous deployment.
    pub is_staging: bool,
    /// Who answers some of its requests in its place.
    pub continuous_deployment: Option<Arc<ContinuousDeployment>>,
}

/// Who may come in, by ISO 3166-1 codes of countries (AWS: "Restrict the geographic
/// distribution of your content"). Whoever is nowhere to be found may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeoRestriction {
    Allow(Vec<String>),
    Block(Vec<String>),
}

impl GeoRestriction {
    #[must_use]
    pub fn admits(&self, country: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|code| code == country);
        match self {
            GeoRestriction::Allow(list) => named(list),
            GeoRestriction::Block(list) => !named(list),
        }
    }
}

/// CloudFront's custom error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    pub error_code: u16,
    /// `(path, code to answer with)`; `None` changes only the caching of the error.
    pub page: Option<(String, u16)>,
    pub error_caching_min_ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub name: String,
    pub kind: OriginKind,
    /// Added to every request to this origin.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// 1 to 3 (AWS: "Connection attempts").
    pub connection_attempts: u8,
    pub connect_timeout: Duration,
    /// First byte, and every gap after it.
    pub read_timeout: Duration,
    pub keepalive_timeout: Duration,
    /// How requests to it are signed, if they are.
    pub access_control: Option<AccessControl>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginKind {
    Http {
        tls: bool,
        host: String,
        port: u16,
        /// Prefix of every request path: empty, or starts with `/` and does not end with it.
        path: String,
    },
    /// Absolute path of a directory that exists.
    Directory(PathBuf),
    /// Absolute path of a Unix socket that answers HTTP/1.1.
    Socket(PathBuf),
}

/// The second half of CloudFront's origin group (AWS: "Optimize high availability
/// with CloudFront origin failover").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    pub secondary: Arc<Origin>,
    /// Of the primary's answers. An origin that cannot be reached counts as 503,
    /// one that is too slow as 504.
    pub statuses: Vec<u16>,
}

#[derive(Clone, Debug)]
pub struct Behavior {
    pub pattern: PathPattern,
    pub origin: Arc<Origin>,
    /// What takes the origin's place when it fails.
    pub failover: Option<Arc<Failover>>,
    pub allowed_methods: AllowedMethods,
    pub cached_methods: CachedMethods,
    pub viewer_protocol: ViewerProtocol,
    /// Where there are any, only what their keys signed may come in.
    pub trusted_key_groups: Vec<Arc<KeyGroup>>,
    pub cache: CachePolicy,
    pub forward: ForwardPolicy,
    /// `CloudFront-*` headers that the edge makes, because a policy names them.
    pub edge_headers: Vec<HeaderName>,
    /// Whether the edge compresses what the origin did not.
    pub compress: bool,
    pub response_headers: Option<ResponseHeadersPolicy>,
    pub hooks: Hooks,
}

/// The three sets CloudFront allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedMethods {
    Read,
    ReadAndOptions,
    All,
}

/// The two sets CloudFront caches. Responses to `OPTIONS` are kept apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedMethods {
    Read,
    ReadAndOptions,
}

impl CachedMethods {
    #[must_use]
    pub fn has(self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => true,
            Method::OPTIONS => self == CachedMethods::ReadAndOptions,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerProtocol {
    AllowAll,
    HttpsOnly,
    RedirectToHttps,
}

/// CloudFront's cache policy: TTL bounds and what is in the key. What is in the
/// key is always forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// The managed policy's or the configuration's name, for logs.
    pub name: String,
    pub min_ttl: Duration,
    pub default_ttl: Duration,
    pub max_ttl: Duration,
    /// Lower-case names whose whole value is in the key.
    pub headers: Vec<HeaderName>,
    pub cookies: Selection,
    pub query: Selection,
    pub gzip: bool,
    pub brotli: bool,
}

/// CloudFront's origin request policy: what is forwarded but not in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPolicy {
    pub headers: HeaderSelection,
    /// `CloudFront-*` headers besides these.
    pub edge_headers: Vec<HeaderName>,
    pub cookies: Selection,
    pub query: Selection,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderSelection {
    None,
    Only(Vec<HeaderName>),
    AllViewer,
    AllExcept(Vec<HeaderName>),
}

/// Which cookies or query parameters, by exact, case-sensitive name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    None,
    Only(Vec<String>),
    AllExcept(Vec<String>),
    All,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub viewer_request: Option<Hook>,
    pub origin_request: Option<Hook>,
    pub origin_response: Option<Hook>,
    pub viewer_response: Option<Hook>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// A key of [`Deployment::functions`].
    pub function: String,
    /// Only ever true on request events.
    pub include_body: bool,
}
