//! The services outside of this edge that the control plane may use, and how it signs what
//! it asks of them: queues (SQS) and topics (SNS), or what stands for them.

use crate::outgoing::{Outgoing, OutgoingError};
use crate::signature;
use bytes::Bytes;
use deployment::{Bucket, ControlPlane, Service};
use http::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io;
use std::path::{Path, PathBuf};

/// Those that the configuration names.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) sqs: Option<Remote>,
    pub(crate) sns: Option<Remote>,
    /// Scheme, host and port of each URL that records may be sent to.
    pub(crate) urls: Vec<String>,
    packages: Option<Packages>,
    outgoing: Outgoing,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) endpoint: String,
    key: SigningKey,
}

#[derive(Debug)]
struct SigningKey {
    id: String,
    secret: String,
    /// Of temporary credentials.
    token: Option<String>,
}

/// Why a service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("credentials {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("credentials {} has no {missing}", path.display())]
    Incomplete { path: PathBuf, missing: &'static str },
}

impl Services {
    /// Reads the credentials of each.
    pub(crate) fn open(settings: &ControlPlane) -> Result<Services, ServiceError> {
        let remote = |service: &Option<Service>| service.as_ref().map(Remote::open).transpose();
        Ok(Services {
            sqs: remote(&settings.sqs)?,
            sns: remote(&settings.sns)?,
            urls: settings.url_destinations.clone(),
            packages: settings.s3.as_ref().map(Packages::open).transpose()?,
            outgoing: Outgoing::default(),
        })
    }

    /// Asks as it is.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), OutgoingError> {
        self.outgoing.send(request, ANSWER_BYTES_MAX).await
    }

    /// An object of the bucket that packages may come from, of at most so many bytes.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(crate) async fn package(
        &self,
        (bucket, key, version): (&str, &str, Option<&str>),
        bytes_max: usize,
    ) -> Result<Bytes, String> {
        let packages = self.packages.as_ref().filter(|packages| packages.bucket == bucket);
        let Some(Packages { remote, region, .. }) = packages else {
            return Err(format!("S3Bucket {bucket}: [control] s3 does not name it"));
        };
        let encoded = |text: &str, kept| utf8_percent_encode(text, kept).to_string();
        let query = version.map(|version| format!("?versionId={}", encoded(version, KEPT))).unwrap_or_default();
        let url = format!("{}/{bucket}/{}{query}", remote.endpoint, encoded(key, KEPT_IN_KEY));
        let request = Request::get(&url).body(Bytes::new()).map_err(|error| format!("{url}: {error}"))?;
        let request = remote.signed(request, ("s3", region)).map_err(|error| error.to_string())?;
        match self.outgoing.send(request, bytes_max).await {
            Ok((status, body)) if status.is_success() => Ok(body),
            Ok((status, body)) => {
                let said = String::from_utf8_lossy(&body[..body.len().min(SAID_BYTES_MAX)]).into_owned();
                Err(format!("Error occurred while GetObject. {bucket}/{key}: {status} {said}"))
            }
            Err(error) => Err(format!("Error occurred while GetObject. {bucket}/{key}: {error}")),
        }
    }

    /// Signs the request for the service and region, and asks.
    pub(crate) async fn ask_signed(
        &self,
        remote: &Remote,
        request: Request<Bytes>,
        (service, region): (&str, &str),
    ) -> Result<(StatusCode, Bytes), OutgoingError> {
        self.ask(remote.signed(request, (service, region))?).await
    }
}

/// The bucket that packages may come from.
#[derive(Debug)]
struct Packages {
    remote: Remote,
    region: String,
    bucket: String,
}

impl Packages {
    fn open(bucket: &Bucket) -> Result<Packages, ServiceError> {
        let remote = Remote::open(&bucket.service)?;
        Ok(Packages { remote, region: bucket.region.clone(), bucket: bucket.name.clone() })
    }
}

impl Remote {
    fn open(service: &Service) -> Result<Remote, ServiceError> {
        let path = &service.credentials;
        let text =
            std::fs::read_to_string(path).map_err(|source| ServiceError::Unreadable { path: path.clone(), source })?;
        Ok(Remote { endpoint: service.endpoint.clone(), key: SigningKey::parse(path, &text)? })
    }

    /// The request with a signature for the service and region.
    fn signed(&self, request: Request<Bytes>, scope: (&str, &str)) -> Result<Request<Bytes>, OutgoingError> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
        let unclear = |_| OutgoingError::Url(authority.clone());
        parts.headers.insert("host", authority.parse().map_err(unclear)?);
        if let Some(token) = &self.key.token {
            let unclear = |_| OutgoingError::Url("a session token".into());
            parts.headers.insert("x-amz-security-token", token.parse().map_err(unclear)?);
        }
        signature::sign(&mut parts, &body, scope, (&self.key.id, &self.key.secret));
        Ok(Request::from_parts(parts, body))
    }
}

impl SigningKey {
    /// Of the first profile of a file of credentials (AWS: "Configuration and credential file settings").
    fn parse(path: &Path, text: &str) -> Result<SigningKey, ServiceError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let first = lines.skip_while(|line| line.is_empty());
        let first = first.enumerate().take_while(|(nth, line)| *nth == 0 || !line.starts_with('['));
        let pairs: Vec<(&str, &str)> = first
            .filter_map(|(_, line)| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let value = |wanted: &str| pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        let missing = |missing| ServiceError::Incomplete { path: path.to_path_buf(), missing };
        Ok(SigningKey {
            id: value("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?,
            secret: value("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?,
            token: value("aws_session_token"),
        })
    }
}

/// Answers of queues and topics are short.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SAID_BYTES_MAX: usize = 500;
/// RFC 3986's unreserved characters are all that is not encoded; keys have directories.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const KEPT_IN_KEY: &AsciiSet = &KEPT.remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_first_profile() {
        let text = "\n# mine\n[default]\naws_access_key_id = AKID\naws_secret_access_key=a/b+c=\n\n[other]\naws_session_token = t\n";
        let key = SigningKey::parse(Path::new("f"), text).unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_str(), key.token), ("AKID", "a/b+c=", None));
        let error = SigningKey::parse(Path::new("f"), "[a]\naws_access_key_id = A\n[b]\naws_secret_access_key = B\n");
        assert_eq!(error.unwrap_err().to_string(), "credentials f has no aws_secret_access_key");
    }
}
