//! Packages as they are uploaded: UpdateFunctionCode, and the code of CreateFunction.

use super::names::{LATEST, Named, invalid};
use super::provisioned::Runnable;
use super::record::{ARCHITECTURE, CodeOf, Function, Settings, Stamp, configuration};
use super::settings::Place;
use super::{code_signing, stores, version};
use crate::answer::Answer;
use crate::error::ApiError;
use crate::plane::Plane;
use crate::request::Request;
use crate::signing;
use crate::store::Records;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use environment::limits::PACKAGE_ZIP_BYTES_MAX;
use functions::{PackageError, check_layer};
use http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use tokio::runtime::Handle;

/// AWS: "FunctionCode", "LayerVersionContentInput".
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

/// A package that is kept.
#[derive(Debug)]
pub(super) struct Uploaded {
    digest: String,
    archive: Vec<u8>,
}

impl Upload {
    /// Keeps the package; whether a function takes it is another question.
    pub(super) fn keep(self, plane: &Plane) -> Result<Uploaded, ApiError> {
        for (value, member) in [(&self.image_uri, "ImageUri"), (&self.source_kms_key_arn, "SourceKMSKeyArn")] {
            if value.is_some() {
                return Err(invalid(format!("{member} is not supported by this edge, upload the package as ZipFile")));
            }
        }
        let zip = match (self.zip_file, self.s3_bucket, self.s3_key) {
            (Some(zip), None, None) => {
                STANDARD.decode(zip).map_err(|error| invalid(format!("ZipFile is not base64: {error}")))?
            }
            (None, Some(bucket), Some(key)) => fetched(plane, (&bucket, &key, self.s3_object_version.as_deref()))?,
            _ => return Err(invalid("give the code as ZipFile, or as S3Bucket and S3Key")),
        };
        let bytes = zip.len() as u64;
        if bytes > PACKAGE_ZIP_BYTES_MAX {
            return Err(invalid(format!("the package has {bytes} bytes, at most {PACKAGE_ZIP_BYTES_MAX} are allowed")));
        }
        Ok(Uploaded { digest: plane.packages.keep(&zip)?, archive: zip })
    }
}

impl Uploaded {
    /// Refuses what cannot be a layer, and keeps the rest as one. Its signature is looked at when a
    /// function is given it.
    pub(super) fn layer(&self, plane: &Plane) -> Result<CodeOf, ApiError> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(plane.packages.opened())?;
            file.write_all(&self.archive).map(|()| file)
        };
        let file = write().map_err(|error| ApiError::of_ours(&error))?;
        check_layer(file.path()).map_err(|error| match error {
            PackageError::Archive { reason, .. } => invalid(format!(
                "Could not unzip uploaded file. Please check your file, then try to upload again. {reason}"
            )),
            other => invalid(other.to_string()),
        })?;
        let signed_by = signing::verify(&self.archive).ok().flatten().map(|signed| signed.publisher);
        Ok(CodeOf { digest: self.digest.clone(), bytes: self.archive.len() as u64, signed_by })
    }

    /// The code of a function with this code signing configuration, if it takes the package.
    pub(super) fn accepted(
        &self,
        records: &Records<'_>,
        name: &str,
        code_signing: Option<&str>,
    ) -> Result<CodeOf, ApiError> {
        let signed_by = code_signing::accept(records, (name, code_signing), &self.archive)?;
        Ok(CodeOf { digest: self.digest.clone(), bytes: self.archive.len() as u64, signed_by })
    }
}

/// A package out of a bucket. Blocks.
fn fetched(plane: &Plane, object: (&str, &str, Option<&str>)) -> Result<Vec<u8>, ApiError> {
    let bytes_max = usize::try_from(PACKAGE_ZIP_BYTES_MAX).unwrap_or(usize::MAX);
    let fetched = Handle::current().block_on(plane.services.package(object, bytes_max));
    fetched.map(Vec::from).map_err(invalid)
}

/// Refuses settings that could not run, by the checks of the deployment.
pub(super) fn check(
    plane: &Plane,
    records: &Records<'_>,
    name: &str,
    (settings, tags): (&Settings, &BTreeMap<String, String>),
) -> Result<(), ApiError> {
    let stores = stores::of_tags(records, tags)?;
    let runnable = Runnable { settings: settings.clone(), provisioned: 0, stores };
    plane.check_function(name, LATEST, &runnable, Place::Anywhere).map(drop)
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
    let uploaded = upload.keep(plane)?;
    let value = plane.store.write(|records| {
        let mut function = Function::find(records, &name)?;
        function.expect_revision(wanted.revision_id.as_deref())?;
        function.settings.code = uploaded.accepted(records, &name, function.code_signing.as_deref())?;
        check(plane, records, &name, (&function.settings, &function.tags))?;
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
