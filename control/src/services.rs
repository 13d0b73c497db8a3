//! The services outside of this edge that the control plane may use, and how it signs what
//! it asks of them: queues (SQS) and topics (SNS), or what stands for them.

use crate::outgoing::{Outgoing, OutgoingError};
use crate::signature;
use bytes::Bytes;
use deployment::{Bucket, ControlPlane, OriginAccess, Service};
use http::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sigv4::{Credentials, CredentialsError};

/// Those that the configuration names.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) sqs: Option<Remote>,
    pub(crate) sns: Option<Remote>,
    /// Scheme, host and port of each URL that records may be sent to.
    pub(crate) urls: Vec<String>,
    /// What origin access controls sign with.
    pub(crate) origin_access: Option<OriginAccess>,
    packages: Option<Packages>,
    outgoing: Outgoing,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) endpoint: String,
    credentials: Credentials,
}

impl Services {
    /// Reads the credentials of each.
    pub(crate) fn open(settings: &ControlPlane) -> Result<Services, CredentialsError> {
        let remote = |service: &Option<Service>| service.as_ref().map(Remote::open).transpose();
        Ok(Services {
            sqs: remote(&settings.sqs)?,
            sns: remote(&settings.sns)?,
            urls: settings.url_destinations.clone(),
            origin_access: settings.origin_access.clone(),
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
    fn open(bucket: &Bucket) -> Result<Packages, CredentialsError> {
        let remote = Remote::open(&bucket.service)?;
        Ok(Packages { remote, region: bucket.region.clone(), bucket: bucket.name.clone() })
    }
}

impl Remote {
    fn open(service: &Service) -> Result<Remote, CredentialsError> {
        let credentials = Credentials::load(&service.credentials)?;
        Ok(Remote { endpoint: service.endpoint.clone(), credentials })
    }

    /// The request with a signature for the service and region.
    fn signed(&self, request: Request<Bytes>, scope: (&str, &str)) -> Result<Request<Bytes>, OutgoingError> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
        let unclear = |_| OutgoingError::Url(authority.clone());
        parts.headers.insert("host", authority.parse().map_err(unclear)?);
        signature::sign(&mut parts, &body, scope, &self.credentials);
        Ok(Request::from_parts(parts, body))
    }
}

/// Answers of queues and topics are short.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SAID_BYTES_MAX: usize = 500;
/// RFC 3986's unreserved characters are all that is not encoded; keys have directories.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const KEPT_IN_KEY: &AsciiSet = &KEPT.remove(b'/');
