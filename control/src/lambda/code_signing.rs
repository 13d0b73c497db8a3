//! Code signing configurations: whose packages a function takes (AWS:
//! "CreateCodeSigningConfig"). Signatures themselves are `signing`'s.

use super::names::{ACCOUNT, Named, REGION, arn, invalid};
use super::page::page;
use super::record::{Function, Stamp};
use super::tag;
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::signing;
use crate::store::{Kind, Records};
use http::StatusCode;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One configuration, by its id in the state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Config {
    description: String,
    publishers: Vec<String>,
    enforce: bool,
    modified: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wanted {
    description: Option<String>,
    allowed_publishers: Option<Publishers>,
    code_signing_policies: Option<Policies>,
    /// Of a new one only.
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Publishers {
    signing_profile_version_arns: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policies {
    untrusted_artifact_on_deployment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    code_signing_config_arn: String,
}

impl Config {
    fn change(&mut self, wanted: Wanted) -> Result<(), ApiError> {
        if let Some(description) = wanted.description {
            if description.chars().count() > DESCRIPTION_MAX {
                return Err(invalid(format!("Description has more than {DESCRIPTION_MAX} characters")));
            }
            self.description = description;
        }
        if let Some(Publishers { signing_profile_version_arns: arns }) = wanted.allowed_publishers {
            if !(1..=PUBLISHERS_MAX).contains(&arns.len()) {
                let message =
                    format!("SigningProfileVersionArns has {}, it must have 1 to {PUBLISHERS_MAX}", arns.len());
                return Err(invalid(message));
            }
            if let Some(arn) = arns.iter().find(|arn| !arn.starts_with("arn:aws:signer:")) {
                return Err(invalid(format!("{arn} is no signer: `selvedge sign` says the ARN of a key")));
            }
            self.publishers = arns;
        }
        match wanted.code_signing_policies.and_then(|policies| policies.untrusted_artifact_on_deployment).as_deref() {
            None => {}
            Some("Warn") => self.enforce = false,
            Some("Enforce") => self.enforce = true,
            Some(other) => {
                let message = format!("UntrustedArtifactOnDeployment is {other:?}, it must be Warn or Enforce");
                return Err(invalid(message));
            }
        }
        self.modified = Stamp::now().modified;
        Ok(())
    }

    fn shown(&self, id: &str) -> Value {
        json!({
            "CodeSigningConfigId": id,
            "CodeSigningConfigArn": arn_of(id),
            "Description": self.description,
            "AllowedPublishers": { "SigningProfileVersionArns": self.publishers },
            "CodeSigningPolicies": { "UntrustedArtifactOnDeployment": if self.enforce { "Enforce" } else { "Warn" } },
            "LastModified": self.modified,
        })
    }
}

/// CreateCodeSigningConfig.
pub(super) fn create(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let wanted: Wanted = request.json()?;
    if wanted.allowed_publishers.is_none() {
        return Err(invalid("AllowedPublishers is missing"));
    }
    let tags = wanted.tags.clone().unwrap_or_default();
    tag::check(&tags)?;
    let (description, publishers, modified) = Default::default();
    let mut config = Config { description, publishers, enforce: false, modified, tags };
    config.change(wanted)?;
    let id = new_id();
    plane.store.write(|records| records.put(Kind::CodeSigningConfig, "", &id, &config))?;
    Answer::json(StatusCode::CREATED, &json!({ "CodeSigningConfig": config.shown(&id) }))
}

/// GetCodeSigningConfig.
pub(super) fn find(plane: &Plane, arn: &str) -> Result<Answer, ApiError> {
    let (id, config) = plane.store.read(|records| existing(records, arn, Code::NOT_FOUND))?;
    Answer::json(StatusCode::OK, &json!({ "CodeSigningConfig": config.shown(&id) }))
}

/// UpdateCodeSigningConfig.
pub(super) fn update(plane: &Plane, arn: &str, request: &Request) -> Result<Answer, ApiError> {
    let wanted: Wanted = request.json()?;
    if wanted.tags.is_some() {
        return Err(invalid("Tags is no member of UpdateCodeSigningConfig, TagResource changes them"));
    }
    let (id, config) = plane.store.write(|records| {
        let (id, mut config) = existing(records, arn, Code::NOT_FOUND)?;
        config.change(wanted)?;
        records.put(Kind::CodeSigningConfig, "", &id, &config)?;
        Ok((id, config))
    })?;
    Answer::json(StatusCode::OK, &json!({ "CodeSigningConfig": config.shown(&id) }))
}

/// DeleteCodeSigningConfig.
pub(super) fn delete(plane: &Plane, arn: &str) -> Result<Answer, ApiError> {
    plane.store.write(|records| {
        let (id, _) = existing(records, arn, Code::NOT_FOUND)?;
        if let Some(name) = users(records, &id)?.first() {
            let message = format!("the code signing configuration is in use by function {name}");
            return Err(ApiError::new(Code::CONFLICT, message));
        }
        records.remove(Kind::CodeSigningConfig, "", &id)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListCodeSigningConfigs.
pub(super) fn list(plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
    let all = plane.store.read(|records| records.list::<Config>(Kind::CodeSigningConfig, ""))?;
    let items = all.into_iter().map(|(id, config)| (id.clone(), config.shown(&id))).collect();
    Answer::json(StatusCode::OK, &page(request, "CodeSigningConfigs", items)?)
}

/// ListFunctionsByCodeSigningConfig.
pub(super) fn functions(plane: &Plane, config: &str, request: &Request) -> Result<Answer, ApiError> {
    let names = plane.store.read(|records| {
        let (id, _) = existing(records, config, Code::NOT_FOUND)?;
        users(records, &id)
    })?;
    let items = names.into_iter().map(|name| (name.clone(), arn(&name, None).into())).collect();
    Answer::json(StatusCode::OK, &page(request, "FunctionArns", items)?)
}

/// PutFunctionCodeSigningConfig: for packages that are uploaded from now on.
pub(super) fn put(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let Put { code_signing_config_arn: config } = request.json()?;
    plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.code_signing = Some(existing(records, &config, Code::NO_SIGNING_CONFIG)?.0);
        function.put(records, &name)
    })?;
    Answer::json(StatusCode::OK, &json!({ "FunctionName": name, "CodeSigningConfigArn": config }))
}

/// GetFunctionCodeSigningConfig: an empty ARN when there is none, which other tools rely on.
pub(super) fn of_function(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let function = plane.store.read(|records| Function::find(records, &name))?;
    let config = function.code_signing.as_deref().map(arn_of).unwrap_or_default();
    Answer::json(StatusCode::OK, &json!({ "FunctionName": name, "CodeSigningConfigArn": config }))
}

/// DeleteFunctionCodeSigningConfig.
pub(super) fn take_away(plane: &Plane, name: &str) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.code_signing = None;
        function.put(records, &name)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) fn tags(records: &Records<'_>, arn: &str) -> Result<BTreeMap<String, String>, ApiError> {
    existing(records, arn, Code::NOT_FOUND).map(|(_, config)| config.tags)
}

pub(super) fn put_tags(records: &Records<'_>, arn: &str, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
    let (id, config) = existing(records, arn, Code::NOT_FOUND)?;
    records.put(Kind::CodeSigningConfig, "", &id, &Config { tags, ..config })
}

/// Whether a text has the form of a configuration's ARN.
pub(super) fn is_arn(text: &str) -> bool {
    text.starts_with(&arn_of(""))
}

/// The id of a configuration that a function is to have.
pub(super) fn id_of(records: &Records<'_>, config: &str) -> Result<String, ApiError> {
    existing(records, config, Code::NO_SIGNING_CONFIG).map(|(id, _)| id)
}

/// Whether a function with this configuration takes the package of the function or layer `name`;
/// who signed it.
pub(super) fn accept(
    records: &Records<'_>,
    (name, config): (&str, Option<&str>),
    archive: &[u8],
) -> Result<Option<String>, ApiError> {
    let Some(id) = config else { return Ok(signing::verify(archive).ok().flatten().map(|signed| signed.publisher)) };
    let (_, config) = existing(records, &arn_of(id), Code::NO_SIGNING_CONFIG)?;
    // A signature that is not good is refused whatever the policy is.
    let signed = signing::verify(archive).map_err(|reason| {
        ApiError::new(
            Code::INVALID_CODE_SIGNATURE,
            format!("the package of {name} was changed or is damaged: {reason}"),
        )
    })?;
    let why = match &signed {
        None => "the package is not signed".to_owned(),
        Some(signed) if signed.is_expired => format!("the signature of {} has expired", signed.publisher),
        Some(signed) if config.publishers.contains(&signed.publisher) => return Ok(Some(signed.publisher.clone())),
        Some(signed) => format!("{} is not among its publishers", signed.publisher),
    };
    if config.enforce {
        let message = format!("Lambda cannot deploy the function. Check the provided signature for {name}: {why}");
        return Err(ApiError::new(Code::CODE_VERIFICATION, message));
    }
    tracing::warn!(package_of = name, "a package is taken that its code signing configuration does not trust: {why}");
    Ok(signed.map(|signed| signed.publisher))
}

fn existing(records: &Records<'_>, arn: &str, missing: Code) -> Result<(String, Config), ApiError> {
    let id = arn.strip_prefix(&arn_of("")).unwrap_or_default();
    let found = records.find(Kind::CodeSigningConfig, "", id)?;
    let none = || ApiError::new(missing, format!("The code signing configuration cannot be found: {arn}"));
    found.map(|config| (id.to_owned(), config)).ok_or_else(none)
}

/// The functions that have it.
fn users(records: &Records<'_>, id: &str) -> Result<Vec<String>, ApiError> {
    let all = records.list::<Function>(Kind::Function, "")?.into_iter();
    Ok(all.filter(|(_, function)| function.code_signing.as_deref() == Some(id)).map(|(name, _)| name).collect())
}

fn arn_of(id: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:{id}")
}

fn new_id() -> String {
    let mut random = rand::rng();
    let digits = (0..ID_DIGITS).map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)]));
    format!("csc-{}", digits.collect::<String>())
}

/// AWS: "CodeSigningConfig".
const ID_DIGITS: usize = 17;
const PUBLISHERS_MAX: usize = 20;
const DESCRIPTION_MAX: usize = 256;
