//! What is kept of a function, and how it is shown (AWS: "FunctionConfiguration").

use super::names::{LATEST, REGION, arn};
use super::policy::Policy;
use crate::error::ApiError;
use crate::packages::Packages;
use crate::store::{Kind, Records};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

/// What a published version freezes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Settings {
    pub(crate) runtime: String,
    pub(crate) role: String,
    pub(crate) handler: String,
    pub(crate) description: String,
    /// Seconds.
    pub(crate) timeout: u32,
    pub(crate) memory_mb: u32,
    pub(crate) tmp_mb: u32,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) tracing: String,
    pub(crate) log_group: String,
    /// The queue or topic for events that are given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letters: Option<String>,
    pub(crate) code: CodeOf,
    /// In the order in which they are laid over each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<LayerOf>,
}

/// A layer version as it was when the function was given it; it may be deleted since.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct LayerOf {
    /// Of the layer version.
    pub(crate) arn: String,
    pub(crate) code: CodeOf,
}

/// A package.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct CodeOf {
    /// SHA-256, lower-case hex.
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    /// The ARN of who signed it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed_by: Option<String>,
}

/// A function: its `$LATEST`, and what belongs to no version.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Function {
    pub(crate) settings: Settings,
    pub(crate) stamp: Stamp,
    pub(crate) tags: BTreeMap<String, String>,
    /// Resource policies by qualifier, empty for the function itself.
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, Policy>,
    /// How many may run at once, where that was said.
    #[serde(default)]
    pub(crate) reserved: Option<u32>,
    /// The id of its code signing configuration.
    #[serde(default)]
    pub(crate) code_signing: Option<String>,
}

/// A published version.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Version {
    pub(crate) settings: Settings,
    /// What `$LATEST` was when it was published; its description may be another.
    pub(crate) from: Settings,
    pub(crate) stamp: Stamp,
}

/// Of the last change.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stamp {
    pub(crate) revision: String,
    pub(crate) modified: String,
}

impl Settings {
    /// What runs: the code, and the layers.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &CodeOf> {
        std::iter::once(&self.code).chain(self.layers.iter().map(|layer| &layer.code))
    }

    /// Makes sure that every package is opened and whole. Blocks.
    pub(crate) fn unseal(&self, packages: &Packages) -> Result<(), ApiError> {
        self.packages().try_for_each(|code| packages.unseal(&code.digest, code.signed_by.as_deref()))
    }
}

impl LayerOf {
    /// AWS: "Layer".
    fn shown(&self) -> Value {
        let mut value = json!({ "Arn": self.arn, "CodeSize": self.code.bytes });
        if let Some(signed_by) = &self.code.signed_by {
            value["SigningProfileVersionArn"] = json!(signed_by);
        }
        value
    }
}

impl Stamp {
    pub(crate) fn now() -> Stamp {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
        let modified = OffsetDateTime::now_utc().format(form).expect("every time of day can be written");
        Stamp { revision: Uuid::new_v4().to_string(), modified }
    }
}

impl Function {
    pub(crate) fn find(records: &Records<'_>, name: &str) -> Result<Function, ApiError> {
        records.find(Kind::Function, "", name)?.ok_or_else(|| not_found(name, None))
    }

    pub(crate) fn put(&self, records: &Records<'_>, name: &str) -> Result<(), ApiError> {
        records.put(Kind::Function, "", name, self)
    }

    /// Refuses a change that was made for another state.
    pub(crate) fn expect_revision(&self, revision: Option<&str>) -> Result<(), ApiError> {
        expect_revision(&self.stamp.revision, revision)
    }
}

/// The settings and stamp of `$LATEST` or of a published version.
pub(crate) fn version(records: &Records<'_>, name: &str, version: &str) -> Result<(Settings, Stamp), ApiError> {
    if version == LATEST {
        let function = Function::find(records, name)?;
        return Ok((function.settings, function.stamp));
    }
    let found: Option<Version> = records.find(Kind::Version, name, &padded(version))?;
    found.map(|found| (found.settings, found.stamp)).ok_or_else(|| not_found(name, Some(version)))
}

/// How a version is shown. `qualified` says whether its ARN names the version.
pub(crate) fn configuration(name: &str, version: &str, qualified: bool, of: (&Settings, &Stamp)) -> Value {
    let (settings, stamp) = of;
    let mut value = json!({
        "FunctionName": name,
        "FunctionArn": arn(name, qualified.then_some(version)),
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "CodeSize": settings.code.bytes,
        "Description": settings.description,
        "Timeout": settings.timeout,
        "MemorySize": settings.memory_mb,
        "LastModified": stamp.modified,
        "CodeSha256": code_sha256(&settings.code.digest),
        "Version": version,
        "TracingConfig": { "Mode": settings.tracing },
        "RevisionId": stamp.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [ARCHITECTURE],
        "EphemeralStorage": { "Size": settings.tmp_mb },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "RuntimeVersionConfig": { "RuntimeVersionArn": format!("arn:aws:lambda:{REGION}::runtime:{}", settings.runtime) },
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": settings.log_group },
    });
    if !settings.variables.is_empty() {
        value["Environment"] = json!({ "Variables": settings.variables });
    }
    if let Some(arn) = &settings.code.signed_by {
        value["SigningProfileVersionArn"] = json!(arn);
    }
    if !settings.layers.is_empty() {
        value["Layers"] = settings.layers.iter().map(LayerOf::shown).collect();
    }
    if let Some(arn) = &settings.dead_letters {
        value["DeadLetterConfig"] = json!({ "TargetArn": arn });
    }
    value
}

/// Of a digest in hex: base64, as Lambda shows it.
pub(crate) fn code_sha256(digest: &str) -> String {
    let digits: Vec<u32> = digest.chars().filter_map(|c| c.to_digit(16)).collect();
    let bytes = digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok());
    STANDARD.encode(bytes.collect::<Vec<u8>>())
}

/// The version's number as its record's id: in order of the numbers.
pub(crate) fn padded(version: &str) -> String {
    format!("{version:0>12}")
}

/// The number of a record's id.
pub(crate) fn unpadded(id: &str) -> &str {
    id.trim_start_matches('0')
}

pub(crate) fn expect_revision(now: &str, expected: Option<&str>) -> Result<(), ApiError> {
    match expected {
        Some(expected) if expected != now => {
            let message = "The Revision Id provided does not match the latest Revision Id. Call the \
                           GetFunction/GetAlias API to retrieve the latest Revision Id";
            Err(ApiError::new(crate::error::Code::PRECONDITION, message))
        }
        _ => Ok(()),
    }
}

pub(crate) fn not_found(name: &str, qualifier: Option<&str>) -> ApiError {
    let message = format!("Function not found: {}", arn(name, qualifier));
    ApiError::new(crate::error::Code::NOT_FOUND, message)
}

/// Of this machine, in Lambda's words.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_numbers_have_lambdas_form() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(code_sha256(empty), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(unpadded(&padded("10")), "10");
        assert!(padded("9") < padded("10"));
        assert!(Stamp::now().modified.ends_with("+0000"));
    }
}
