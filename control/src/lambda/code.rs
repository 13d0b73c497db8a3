//! Packages as they are uploaded: UpdateFunctionCode, and the code of CreateFunction.

use super::names::{LATEST, Named, invalid};
use super::record::{ARCHITECTURE, CodeOf, Function, Settings, Stamp, configuration};
use super::settings::Place;
use super::version;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::plane::Plane;
use crate::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use environment::limits::PACKAGE_ZIP_BYTES_MAX;
use http::StatusCode;
use serde::Deserialize;

/// AWS: "FunctionCode".
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Upload {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Update {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    source_kms_key_arn: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
}

impl Upload {
    /// Keeps the package.
    pub(super) fn keep(self, plane: &Plane) -> Result<CodeOf, ApiError> {
        for (value, member) in [
            (&self.s3_bucket, "S3Bucket"),
            (&self.s3_key, "S3Key"),
            (&self.s3_object_version, "S3ObjectVersion"),
            (&self.image_uri, "ImageUri"),
            (&self.source_kms_key_arn, "SourceKMSKeyArn"),
        ] {
            if value.is_some() {
                return Err(invalid(format!("{member} is not supported by this edge, upload the package as ZipFile")));
            }
        }
        let Some(zip) = self.zip_file else { return Err(invalid("there is no code: give ZipFile")) };
        let zip = STANDARD.decode(zip).map_err(|error| invalid(format!("ZipFile is not base64: {error}")))?;
        let bytes = zip.len() as u64;
        if bytes > PACKAGE_ZIP_BYTES_MAX {
            return Err(invalid(format!("ZipFile has {bytes} bytes, at most {PACKAGE_ZIP_BYTES_MAX} are allowed")));
        }
        Ok(CodeOf { digest: plane.packages.keep(&zip)?, bytes })
    }
}

/// Refuses settings that could not run, by the checks of the deployment.
pub(super) fn check(plane: &Plane, name: &str, settings: &Settings) -> Result<(), ApiError> {
    plane.check_function(name, LATEST, settings, Place::Anywhere).map(drop)
}

/// UpdateFunctionCode.
pub(super) fn update(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let wanted: Update = request.json()?;
    if wanted.architectures.as_ref().is_some_and(|list| list.iter().any(|one| one != ARCHITECTURE)) {
        return Err(invalid(format!("Architectures: this edge runs {ARCHITECTURE} only")));
    }
    let upload = Upload {
        zip_file: wanted.zip_file,
        s3_bucket: wanted.s3_bucket,
        s3_key: wanted.s3_key,
        s3_object_version: wanted.s3_object_version,
        image_uri: wanted.image_uri,
        source_kms_key_arn: wanted.source_kms_key_arn,
    };
    let _guard = plane.uploading();
    let code = upload.keep(plane)?;
    let value = plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.expect_revision(wanted.revision_id.as_deref())?;
        function.settings.code = code;
        check(plane, &name, &function.settings)?;
        if wanted.dry_run {
            return Ok(configuration(&name, LATEST, false, (&function.settings, &function.stamp)));
        }
        function.stamp = Stamp::now();
        function.put(records, &name)?;
        if wanted.publish {
            return version::publish_in(records, &name, None);
        }
        Ok(configuration(&name, LATEST, false, (&function.settings, &function.stamp)))
    })?;
    plane.sweep_packages();
    Answer::json(StatusCode::OK, &value)
}
