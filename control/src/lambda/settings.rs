//! From the members of CreateFunction and UpdateFunctionConfiguration to [`Settings`]. A
//! member that would be ignored is refused by name; whether the rest can run is the
//! deployment's own check, the same that the configuration file goes through.

use super::destination::Destination;
use super::names::invalid;
use super::provisioned::Runnable;
use super::record::{ARCHITECTURE, CodeOf, Settings};
use crate::error::ApiError;
use crate::services::Services;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The members that both operations have.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wanted {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<WantedEnvironment>,
    ephemeral_storage: Option<Size>,
    tracing_config: Option<Mode>,
    logging_config: Option<Logging>,
    architectures: Option<Vec<String>>,
    package_type: Option<String>,
    snap_start: Option<ApplyOn>,
    dead_letter_config: Option<DeadLetterConfig>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    /// ARNs of layer versions; which those are is `layer`'s to know.
    pub(super) layers: Option<Vec<String>>,
    vpc_config: Option<BTreeMap<String, Value>>,
    file_system_configs: Option<Vec<Value>>,
    /// What is not here at all.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WantedEnvironment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mode {
    mode: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Logging {
    log_format: Option<String>,
    log_group: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApplyOn {
    apply_on: Option<String>,
}

impl Wanted {
    /// The settings of a new function.
    pub(crate) fn create(self, name: &str, code: CodeOf, services: &Services) -> Result<Settings, ApiError> {
        let missing = |member: &str| invalid(format!("{member} is required for a function whose PackageType is Zip"));
        let settings = Settings {
            runtime: self.runtime.clone().ok_or_else(|| missing("Runtime"))?,
            role: self.role.clone().ok_or_else(|| missing("Role"))?,
            handler: self.handler.clone().ok_or_else(|| missing("Handler"))?,
            description: String::new(),
            timeout: 3,
            memory_mb: 128,
            tmp_mb: 512,
            variables: BTreeMap::new(),
            tracing: "PassThrough".into(),
            log_group: format!("/aws/lambda/{name}"),
            dead_letters: None,
            code,
            layers: Vec::new(),
        };
        self.update(settings, services)
    }

    /// Settings with what is given here in place of what was.
    pub(crate) fn update(self, was: Settings, services: &Services) -> Result<Settings, ApiError> {
        self.refuse_ignored(&was)?;
        let dead_letters = match self.dead_letter_config {
            Some(config) => dead_letters(config, services)?,
            None => was.dead_letters,
        };
        let settings = Settings {
            runtime: self.runtime.unwrap_or(was.runtime),
            role: self.role.unwrap_or(was.role),
            handler: self.handler.unwrap_or(was.handler),
            description: self.description.unwrap_or(was.description),
            timeout: self.timeout.unwrap_or(was.timeout),
            memory_mb: self.memory_size.unwrap_or(was.memory_mb),
            tmp_mb: self.ephemeral_storage.map_or(was.tmp_mb, |storage| storage.size),
            variables: self.environment.map_or(was.variables, |environment| environment.variables),
            tracing: self.tracing_config.map_or(was.tracing, |config| config.mode),
            log_group: was.log_group,
            dead_letters,
            code: was.code,
            layers: was.layers,
        };
        let is_role = settings.role.starts_with("arn:") && settings.role.contains(":role/");
        if !is_role {
            return Err(invalid(format!("Role {:?} is not the ARN of a role", settings.role)));
        }
        if settings.description.chars().count() > DESCRIPTION_MAX {
            return Err(invalid(format!("Description has more than {DESCRIPTION_MAX} characters")));
        }
        if settings.tracing != "PassThrough" {
            return Err(unsupported("TracingConfig.Mode", &settings.tracing, "PassThrough"));
        }
        Ok(settings)
    }

    fn refuse_ignored(&self, was: &Settings) -> Result<(), ApiError> {
        if let Some(name) = self.others.keys().next() {
            return Err(invalid(format!("{name} is not supported by this edge")));
        }
        let file_systems = self.file_system_configs.as_ref().is_some_and(|list| !list.is_empty());
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value == &Value::Bool(false);
        let vpc = self.vpc_config.as_ref().is_some_and(|config| !config.values().all(is_empty));
        for (is_given, member) in [
            (file_systems, "FileSystemConfigs"),
            (vpc, "VpcConfig"),
            (self.kms_key_arn.as_ref().is_some_and(|arn| !arn.is_empty()), "KMSKeyArn"),
        ] {
            if is_given {
                return Err(invalid(format!("{member} is not supported by this edge")));
            }
        }
        let only = |member: &str, value: Option<&str>, only: &str| match value {
            Some(value) if value != only => Err(unsupported(member, value, only)),
            _ => Ok(()),
        };
        let architecture = self.architectures.as_ref().map(|list| list.join(","));
        only("Architectures", architecture.as_deref(), ARCHITECTURE)?;
        only("PackageType", self.package_type.as_deref(), "Zip")?;
        only("SnapStart.ApplyOn", self.snap_start.as_ref().and_then(|snap| snap.apply_on.as_deref()), "None")?;
        let Some(logging) = &self.logging_config else { return Ok(()) };
        only("LoggingConfig.LogFormat", logging.log_format.as_deref(), "Text")?;
        only("LoggingConfig.LogGroup", logging.log_group.as_deref(), &was.log_group)?;
        only("LoggingConfig.ApplicationLogLevel", logging.application_log_level.as_deref(), "INFO")?;
        only("LoggingConfig.SystemLogLevel", logging.system_log_level.as_deref(), "INFO")
    }
}

/// An empty ARN takes it away.
fn dead_letters(config: DeadLetterConfig, services: &Services) -> Result<Option<String>, ApiError> {
    let Some(arn) = config.target_arn.filter(|arn| !arn.is_empty()) else { return Ok(None) };
    if !Destination::parse(&arn, services)?.takes_letters() {
        return Err(invalid(format!("DeadLetterConfig.TargetArn {arn} must be a queue or a topic")));
    }
    Ok(Some(arn))
}

fn unsupported(member: &str, value: &str, only: &str) -> ApiError {
    invalid(format!("{member} is {value:?}, this edge supports {only:?} only"))
}

/// One function in the language of the configuration file, with its packages in `<digest>.zip`.
pub(crate) fn table(runnable: &Runnable, place: Place) -> toml::Table {
    let Runnable { settings, provisioned, stores } = runnable;
    let mut function = toml::Table::new();
    let mut put = |key: &str, value: toml::Value| drop(function.insert(key.to_owned(), value));
    put("code", format!("{}.zip", settings.code.digest).into());
    let layers = settings.layers.iter().map(|layer| format!("{}.zip", layer.code.digest).into());
    put("layers", toml::Value::Array(layers.collect()));
    put("handler", settings.handler.clone().into());
    put("runtime", settings.runtime.clone().into());
    put("timeout", format!("{}s", settings.timeout).into());
    put("memory_mb", i64::from(settings.memory_mb).into());
    put("tmp_mb", i64::from(settings.tmp_mb).into());
    let variables = settings.variables.iter().map(|(name, value)| (name.clone(), toml::Value::from(value.clone())));
    put("environment", variables.collect::<toml::Table>().into());
    let stores = stores.iter().map(|store| {
        toml::Table::from_iter([("name".into(), store.name.clone().into()), ("id".into(), store.id.clone().into())])
    });
    put("key_value_stores", stores.collect::<Vec<_>>().into());
    if *provisioned > 0 {
        put("provisioned", i64::from(*provisioned).into());
    }
    if place == Place::Anywhere {
        put("quotas", "lambda".into());
    }
    function
}

/// Which bounds on its timeout a function must keep: the edge's, or Lambda's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Edge,
    Anywhere,
}

const DESCRIPTION_MAX: usize = 256;
