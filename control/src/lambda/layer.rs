//! Layers: packages that functions share, in numbered versions that never change (AWS:
//! "PublishLayerVersion"). A function that was given a version keeps its package, whatever
//! becomes of the version.

mod name;
pub(super) mod permission;

use super::code::Upload;
use super::code_signing;
use super::names::invalid;
use super::page::page;
use super::policy::Policy;
use super::record::{CodeOf, LayerOf, Stamp, code_sha256, padded, unpadded};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use environment::limits::LAYERS_MAX;
use http::StatusCode;
use name::Numbered;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is kept of one version, below the name of its layer.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct LayerVersion {
    code: CodeOf,
    description: String,
    created: String,
    license: Option<String>,
    /// What it says it is for. Shown and searched, not enforced.
    runtimes: Vec<String>,
    architectures: Vec<String>,
    #[serde(default)]
    policy: Policy,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Publish {
    content: Option<Upload>,
    #[serde(default)]
    description: String,
    license_info: Option<String>,
    #[serde(default)]
    compatible_runtimes: Vec<String>,
    #[serde(default)]
    compatible_architectures: Vec<String>,
}

/// Which versions a list has.
struct Filter<'a> {
    runtime: Option<&'a str>,
    architecture: Option<&'a str>,
}

/// PublishLayerVersion.
pub(super) fn publish(plane: &Plane, layer: &str, request: &Request) -> Result<Answer, ApiError> {
    let layer = name::parse(layer)?;
    let mut publish: Publish = request.json()?;
    publish.check()?;
    let content = publish.content.take().ok_or_else(|| invalid("Content is missing"))?;
    let _guard = plane.uploading();
    let version = LayerVersion {
        code: content.keep(plane)?.layer(plane)?,
        description: publish.description,
        created: Stamp::now().modified,
        license: publish.license_info,
        runtimes: publish.compatible_runtimes,
        architectures: publish.compatible_architectures,
        policy: Policy::default(),
    };
    let numbered = plane.store.write(|records| {
        let number = records.next_number(&format!("version of layer {layer}"))?;
        let numbered = Numbered { layer, number };
        version.put(records, &numbered)?;
        Ok(numbered)
    })?;
    Answer::json(StatusCode::CREATED, &version.whole(plane, request, &numbered))
}

/// GetLayerVersion.
pub(super) fn find(plane: &Plane, named: (&str, &str), request: &Request) -> Result<Answer, ApiError> {
    shown(plane, &Numbered::of(named.0, named.1)?, request)
}

/// GetLayerVersionByArn.
pub(super) fn find_by_arn(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    shown(plane, &Numbered::parse(request.query("Arn").unwrap_or_default())?, request)
}

/// ListLayers: each with its newest version that fits.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let filter = Filter::of(request)?;
    let items = plane.store.read(|records| {
        let mut items = Vec::new();
        for layer in records.parents(Kind::LayerVersion)? {
            let versions = records.list::<LayerVersion>(Kind::LayerVersion, &layer)?;
            let Some((id, newest)) = versions.iter().rev().find(|(_, version)| filter.takes(version)) else { continue };
            let value = json!({
                "LayerName": layer,
                "LayerArn": name::arn(&layer),
                "LatestMatchingVersion": newest.listed(&Numbered::of(&layer, unpadded(id))?),
            });
            items.push((layer, value));
        }
        Ok(items)
    })?;
    Answer::json(StatusCode::OK, &page(request, "Layers", items)?)
}

/// ListLayerVersions, newest first. A layer that is not there has none.
pub(super) fn list_versions(plane: &Plane, layer: &str, request: &Request) -> Result<Answer, ApiError> {
    let (layer, filter) = (name::parse(layer)?, Filter::of(request)?);
    let versions = plane.store.read(|records| records.list::<LayerVersion>(Kind::LayerVersion, &layer))?;
    let mut items = Vec::new();
    for (id, version) in versions.iter().rev().filter(|(_, version)| filter.takes(version)) {
        let numbered = Numbered::of(&layer, unpadded(id))?;
        // In order of the keys, as pages are.
        items.push((format!("{:020}", u64::MAX - numbered.number), version.listed(&numbered)));
    }
    Answer::json(StatusCode::OK, &page(request, "LayerVersions", items)?)
}

/// DeleteLayerVersion, also of one that is not there. Functions that have it keep it.
pub(super) fn delete(plane: &Plane, layer: &str, number: &str) -> Result<Answer, ApiError> {
    let Numbered { layer, number } = Numbered::of(layer, number)?;
    plane.store.write(|records| records.remove(Kind::LayerVersion, &layer, &padded(&number.to_string())))?;
    plane.sweep_packages();
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// The layers that a function with this code signing configuration is to have, by the ARNs of
/// their versions, in the same order.
pub(super) fn attached(
    plane: &Plane,
    records: &Records<'_>,
    code_signing: Option<&str>,
    arns: &[String],
) -> Result<Vec<LayerOf>, ApiError> {
    if arns.len() > LAYERS_MAX {
        return Err(invalid(format!("Cannot reference more than {LAYERS_MAX} layers.")));
    }
    let mut layers: Vec<(String, LayerOf)> = Vec::new();
    for arn in arns {
        let missing = || invalid(format!("Layer version {arn} does not exist."));
        let numbered = match Numbered::parse(arn) {
            Err(error) if error.code == Code::NOT_FOUND => {
                return Err(invalid(format!("Layer version {}", error.message)));
            }
            parsed => parsed?,
        };
        if let Some((_, other)) = layers.iter().find(|(layer, _)| *layer == numbered.layer) {
            return Err(refuse_twice(&other.arn, &numbered.arn()));
        }
        let mut code = LayerVersion::existing(records, &numbered)?.ok_or_else(missing)?.code;
        if code_signing.is_some() {
            let archive = plane.packages.content(&code.digest)?;
            code.signed_by = code_signing::accept(records, (arn, code_signing), &archive)?;
        }
        layers.push((numbered.layer.clone(), LayerOf { arn: numbered.arn(), code }));
    }
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}

fn refuse_twice(one: &str, other: &str) -> ApiError {
    if one == other {
        return invalid(format!("{one} is there twice."));
    }
    invalid(format!(
        "Two different versions of the same layer are not allowed to be referenced in the same function. \
         {one} and {other} are versions of the same layer."
    ))
}

/// The package of every version that there is.
pub(crate) fn packages(records: &Records<'_>) -> Result<Vec<CodeOf>, ApiError> {
    let mut packages = Vec::new();
    for layer in records.parents(Kind::LayerVersion)? {
        let versions = records.list::<LayerVersion>(Kind::LayerVersion, &layer)?;
        packages.extend(versions.into_iter().map(|(_, version)| version.code));
    }
    Ok(packages)
}

fn shown(plane: &Plane, numbered: &Numbered, request: &Request) -> Result<Answer, ApiError> {
    let version = plane.store.read(|records| LayerVersion::find(records, numbered))?;
    Answer::json(StatusCode::OK, &version.whole(plane, request, numbered))
}

impl LayerVersion {
    fn existing(records: &Records<'_>, numbered: &Numbered) -> Result<Option<LayerVersion>, ApiError> {
        records.find(Kind::LayerVersion, &numbered.layer, &padded(&numbered.number.to_string()))
    }

    fn find(records: &Records<'_>, numbered: &Numbered) -> Result<LayerVersion, ApiError> {
        let missing = || ApiError::new(Code::NOT_FOUND, format!("Layer version {} does not exist.", numbered.arn()));
        LayerVersion::existing(records, numbered)?.ok_or_else(missing)
    }

    fn put(&self, records: &Records<'_>, numbered: &Numbered) -> Result<(), ApiError> {
        records.put(Kind::LayerVersion, &numbered.layer, &padded(&numbered.number.to_string()), self)
    }

    /// AWS: "LayerVersionsListItem".
    fn listed(&self, numbered: &Numbered) -> Value {
        let mut value = json!({
            "LayerVersionArn": numbered.arn(),
            "Version": numbered.number,
            "Description": self.description,
            "CreatedDate": self.created,
        });
        if let Some(license) = &self.license {
            value["LicenseInfo"] = json!(license);
        }
        for (member, list) in [("CompatibleRuntimes", &self.runtimes), ("CompatibleArchitectures", &self.architectures)]
        {
            if !list.is_empty() {
                value[member] = json!(list);
            }
        }
        value
    }

    /// With a link to the package.
    fn whole(&self, plane: &Plane, request: &Request, numbered: &Numbered) -> Value {
        let mut value = self.listed(numbered);
        value["LayerArn"] = json!(name::arn(&numbered.layer));
        value["Content"] = json!({
            "Location": plane.links.of(request.host(), &self.code.digest),
            "CodeSha256": code_sha256(&self.code.digest),
            "CodeSize": self.code.bytes,
        });
        if let Some(signed_by) = &self.code.signed_by {
            value["Content"]["SigningProfileVersionArn"] = json!(signed_by);
        }
        value
    }
}

impl Publish {
    fn check(&self) -> Result<(), ApiError> {
        let license = self.license_info.as_deref().unwrap_or_default();
        for (member, text, max) in
            [("Description", self.description.as_str(), DESCRIPTION_MAX), ("LicenseInfo", license, LICENSE_MAX)]
        {
            if text.chars().count() > max {
                return Err(invalid(format!("{member} has more than {max} characters")));
            }
        }
        for (member, list, max) in [
            ("CompatibleRuntimes", &self.compatible_runtimes, RUNTIMES_MAX),
            ("CompatibleArchitectures", &self.compatible_architectures, ARCHITECTURES.len()),
        ] {
            if list.len() > max {
                return Err(invalid(format!("{member} has {}, at most {max} are allowed", list.len())));
            }
        }
        self.compatible_architectures.iter().try_for_each(|one| expect_architecture(one))
    }
}

impl Filter<'_> {
    fn of(request: &Request) -> Result<Filter<'_>, ApiError> {
        let given = |name| request.query(name).filter(|value| !value.is_empty());
        let filter = Filter { runtime: given("CompatibleRuntime"), architecture: given("CompatibleArchitecture") };
        filter.architecture.map_or(Ok(()), expect_architecture)?;
        Ok(filter)
    }

    fn takes(&self, version: &LayerVersion) -> bool {
        let has =
            |list: &[String], wanted: Option<&str>| wanted.is_none_or(|wanted| list.iter().any(|one| one == wanted));
        has(&version.runtimes, self.runtime) && has(&version.architectures, self.architecture)
    }
}

fn expect_architecture(text: &str) -> Result<(), ApiError> {
    if ARCHITECTURES.contains(&text) {
        return Ok(());
    }
    Err(invalid(format!("architecture {text:?} is not one of {}", ARCHITECTURES.join(", "))))
}

/// AWS: "PublishLayerVersion".
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];
const RUNTIMES_MAX: usize = 15;
const DESCRIPTION_MAX: usize = 256;
const LICENSE_MAX: usize = 512;
