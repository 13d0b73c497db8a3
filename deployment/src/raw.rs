//! The configuration file as written: names and types, no meaning yet. Unknown
//! keys are errors. Every value that can be wrong carries its place in the file.

pub(crate) mod continuous_deployment;
pub(crate) mod response_headers;

use continuous_deployment::RawContinuousDeployment;
use response_headers::RawResponseHeaders;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// Tables by name, with the place of the name.
pub(crate) type Named<T> = BTreeMap<Spanned<String>, T>;
pub(crate) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    #[serde(default)]
    pub(crate) server: RawServer,
    pub(crate) control: Option<RawControl>,
    /// Interpreters by the id of their runtime.
    #[serde(default)]
    pub(crate) runtimes: Named<Text>,
    #[serde(default)]
    pub(crate) functions: Named<RawFunction>,
    #[serde(default)]
    pub(crate) distributions: Named<RawDistribution>,
    #[serde(default)]
    pub(crate) key_groups: Named<RawKeyGroup>,
    #[serde(default)]
    pub(crate) key_value_stores: Named<RawKeyValueStore>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawServer {
    pub(crate) http: Option<Vec<Text>>,
    pub(crate) https: Option<Spanned<Vec<Text>>>,
    pub(crate) certificates: Option<Text>,
    pub(crate) data_dir: Option<Text>,
    pub(crate) geo_database: Option<Text>,
    pub(crate) metrics: Option<Text>,
    pub(crate) cache_size: Option<Text>,
    pub(crate) cache_object_size_max: Option<Text>,
    pub(crate) cache_disk: Option<Spanned<RawCacheDisk>>,
    pub(crate) header_timeout: Option<Text>,
    pub(crate) body_timeout: Option<Text>,
    pub(crate) idle_timeout: Option<Text>,
    pub(crate) connections_per_address: Option<Spanned<i64>>,
    pub(crate) header_size_max: Option<Text>,
    pub(crate) h2_streams_max: Option<Spanned<i64>>,
    pub(crate) threads: Option<Spanned<i64>>,
    pub(crate) environments_max: Option<Spanned<i64>>,
    pub(crate) cpu: Option<Text>,
    pub(crate) tmp_memory: Option<Text>,
    pub(crate) strict_aws: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawControl {
    pub(crate) listen: Option<Text>,
    pub(crate) key_file: Option<Text>,
    pub(crate) async_retry_waits: Option<Spanned<Vec<Text>>>,
    pub(crate) function_url_domain: Option<Text>,
    pub(crate) url_destinations: Option<Vec<Text>>,
    pub(crate) sqs: Option<Spanned<RawService>>,
    pub(crate) sns: Option<Spanned<RawService>>,
    pub(crate) s3: Option<Spanned<RawBucket>>,
    pub(crate) origin_access: Option<Spanned<RawOriginAccess>>,
}

/// A file by its path, or variables by what their names begin with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawVariables {
    pub(crate) environment: String,
}

pub(crate) type RawCredentials = Spanned<NameOr<RawVariables>>;

/// One of AWS's services, or what stands for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawService {
    pub(crate) endpoint: Option<Text>,
    pub(crate) credentials: Option<RawCredentials>,
}

/// A bucket of packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBucket {
    pub(crate) endpoint: Option<Text>,
    pub(crate) credentials: Option<RawCredentials>,
    pub(crate) region: Option<Text>,
    pub(crate) bucket: Option<Text>,
}

/// What the control plane's origin access controls sign with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOriginAccess {
    pub(crate) credentials: Option<RawCredentials>,
    pub(crate) region: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCacheDisk {
    pub(crate) directory: Option<Text>,
    pub(crate) size: Option<Text>,
    pub(crate) object_size_max: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFunction {
    pub(crate) code: Option<Text>,
    #[serde(default)]
    pub(crate) layers: Vec<Text>,
    pub(crate) handler: Option<Text>,
    pub(crate) runtime: Option<Text>,
    pub(crate) memory_mb: Option<Spanned<i64>>,
    pub(crate) tmp_mb: Option<Spanned<i64>>,
    pub(crate) network: Option<RawNetwork>,
    pub(crate) timeout: Option<Text>,
    pub(crate) quotas: Option<Text>,
    #[serde(default)]
    pub(crate) environment: Named<String>,
    pub(crate) environments_max: Option<Spanned<i64>>,
    pub(crate) environments_burst: Option<Spanned<i64>>,
    pub(crate) environment_idle_timeout: Option<Text>,
    pub(crate) template_idle_timeout: Option<Text>,
    pub(crate) provisioned: Option<Spanned<i64>>,
    pub(crate) snap_start: Option<Text>,
    #[serde(default)]
    pub(crate) idempotent: bool,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<Spanned<NameOr<RawStoreName>>>,
}

/// A store of the control plane.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStoreName {
    pub(crate) name: String,
    pub(crate) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNetwork {
    #[serde(default)]
    pub(crate) allow: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDistribution {
    #[serde(default)]
    pub(crate) domains: Vec<Text>,
    pub(crate) default_root_object: Option<Text>,
    pub(crate) cache_tag_header: Option<Text>,
    pub(crate) geo_restriction: Option<Spanned<RawGeoRestriction>>,
    #[serde(default)]
    pub(crate) staging: bool,
    pub(crate) continuous_deployment: Option<Spanned<RawContinuousDeployment>>,
    #[serde(default)]
    pub(crate) origins: Named<RawOrigin>,
    #[serde(default)]
    pub(crate) origin_groups: Named<RawOriginGroup>,
    #[serde(default)]
    pub(crate) behaviors: Vec<Spanned<RawBehavior>>,
    pub(crate) default_behavior: Option<Spanned<RawBehavior>>,
    #[serde(default)]
    pub(crate) error_pages: Vec<Spanned<RawErrorPage>>,
}

impl RawDistribution {
    /// The names of the functions that its behaviors' hooks give.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = &str> {
        let behaviors = self.behaviors.iter().chain(&self.default_behavior);
        behaviors.flat_map(|behavior| behavior.get_ref().hooks.functions())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGeoRestriction {
    pub(crate) allow: Option<Vec<Text>>,
    pub(crate) block: Option<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeyGroup {
    /// Files by the id of their key.
    #[serde(default)]
    pub(crate) keys: Named<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeyValueStore {
    pub(crate) source: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOrigin {
    pub(crate) directory: Option<Text>,
    pub(crate) socket: Option<Text>,
    pub(crate) url: Option<Text>,
    pub(crate) connect_timeout: Option<Text>,
    pub(crate) read_timeout: Option<Text>,
    pub(crate) keepalive_timeout: Option<Text>,
    pub(crate) connection_attempts: Option<Spanned<i64>>,
    #[serde(default)]
    pub(crate) headers: Named<Text>,
    pub(crate) access_control: Option<Spanned<RawAccessControl>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccessControl {
    pub(crate) signing: Option<Text>,
    pub(crate) service: Option<Text>,
    pub(crate) region: Option<Text>,
    pub(crate) credentials: Option<RawCredentials>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOriginGroup {
    pub(crate) primary: Text,
    pub(crate) secondary: Text,
    pub(crate) statuses: Spanned<Vec<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBehavior {
    pub(crate) path: Option<Text>,
    pub(crate) origin: Option<Text>,
    pub(crate) allowed_methods: Option<Text>,
    pub(crate) cached_methods: Option<Text>,
    pub(crate) viewer_protocol: Option<Text>,
    #[serde(default)]
    pub(crate) trusted_key_groups: Vec<Text>,
    pub(crate) cache: Option<Spanned<NameOr<RawCache>>>,
    pub(crate) forward: Option<Spanned<NameOr<RawForward>>>,
    pub(crate) compress: Option<Spanned<bool>>,
    pub(crate) response_headers: Option<Spanned<NameOr<RawResponseHeaders>>>,
    #[serde(default)]
    pub(crate) hooks: RawHooks,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCache {
    pub(crate) min_ttl: Option<Text>,
    pub(crate) default_ttl: Option<Text>,
    pub(crate) max_ttl: Option<Text>,
    #[serde(default)]
    pub(crate) headers: Vec<Text>,
    pub(crate) cookies: Option<Spanned<RawSelection>>,
    pub(crate) query: Option<Spanned<RawSelection>>,
    pub(crate) gzip: Option<bool>,
    pub(crate) brotli: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawForward {
    pub(crate) headers: Option<Spanned<RawSelection>>,
    #[serde(default)]
    pub(crate) edge_headers: Vec<Text>,
    pub(crate) cookies: Option<Spanned<RawSelection>>,
    pub(crate) query: Option<Spanned<RawSelection>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawHooks {
    pub(crate) viewer_request: Option<Spanned<NameOr<RawHook>>>,
    pub(crate) origin_request: Option<Spanned<NameOr<RawHook>>>,
    pub(crate) origin_response: Option<Spanned<NameOr<RawHook>>>,
    pub(crate) viewer_response: Option<Spanned<NameOr<RawHook>>>,
}

impl RawHooks {
    fn functions(&self) -> impl Iterator<Item = &str> {
        let hooks = [&self.viewer_request, &self.origin_request, &self.origin_response, &self.viewer_response];
        hooks.into_iter().flatten().map(|hook| match hook.get_ref() {
            NameOr::Name(name) => name.as_str(),
            NameOr::Table(hook) => hook.function.as_str(),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHook {
    pub(crate) function: String,
    #[serde(default)]
    pub(crate) include_body: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawErrorPage {
    pub(crate) error_code: Spanned<i64>,
    pub(crate) path: Option<Text>,
    pub(crate) response_code: Option<Spanned<i64>>,
    pub(crate) error_caching_min_ttl: Option<Text>,
}

/// A string that names something, or a table that spells it out.
#[derive(Debug)]
pub(crate) enum NameOr<T> {
    Name(String),
    Table(Box<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NameOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for NameOrTable<T> {
            type Value = NameOr<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a table")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(NameOr::Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|table| NameOr::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(NameOrTable(PhantomData))
    }
}

/// `"none"`, `"all"`, `[names]` or `{ except = [names] }`.
#[derive(Debug)]
pub(crate) enum RawSelection {
    None,
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExcept {
    except: Vec<String>,
}

impl<'de> Deserialize<'de> for RawSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = RawSelection;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\", \"all\", a list of names or { except = [names] }")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
                match word {
                    "none" => Ok(RawSelection::None),
                    "all" => Ok(RawSelection::All),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawSelection::Only)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                RawExcept::deserialize(MapAccessDeserializer::new(map)).map(|raw| RawSelection::Except(raw.except))
            }
        }
        deserializer.deserialize_any(Choice)
    }
}
