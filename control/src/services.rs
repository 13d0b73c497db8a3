//! The services outside of this edge that the control plane may use: queues (SQS) and topics
//! (SNS), or what stands for them, with how it signs what it asks of them, and a bucket.

use crate::outgoing::{Outgoing, OutgoingError};
use crate::package_bucket::PackageBucket;
use crate::signature;
use bytes::Bytes;
use deployment::{ControlPlane, OriginAccess, Service};
use http::{Request, StatusCode};
use sigv4::{Credentials, CredentialsError};
use std::fmt::Display;
use std::sync::Arc;

/// Those that the configuration names.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) sqs: Option<Remote>,
    pub(crate) sns: Option<Remote>,
    /// Scheme, host and port of each URL that records may be sent to.
    pub(crate) urls: Vec<String>,
    /// What origin access controls sign with.
    pub(crate) origin_access: Option<OriginAccess>,
    packages: Option<PackageBucket>,
    outgoing: Arc<Outgoing>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) endpoint: String,
    credentials: Credentials,
}

/// Why a service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("[control] s3: {0}")]
    Bucket(object_store::Error),
}

impl Services {
    /// Reads the credentials of each.
    pub(crate) fn open(settings: &ControlPlane) -> Result<Services, ServiceError> {
        let outgoing = Arc::default();
        let remote = |service: &Option<Service>| service.as_ref().map(Remote::open).transpose();
        Ok(Services {
            sqs: remote(&settings.sqs)?,
            sns: remote(&settings.sns)?,
            urls: settings.url_destinations.clone(),
            origin_access: settings.origin_access.clone(),
            packages: settings.s3.as_ref().map(|bucket| PackageBucket::open(bucket, &outgoing)).transpose()?,
            outgoing,
        })
    }

    /// Asks as it is.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), OutgoingError> {
        let answer = self.outgoing.send(request, ANSWER_BYTES_MAX).await?;
        Ok((answer.status(), answer.into_body()))
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
        let Some(packages) = self.packages.as_ref().filter(|packages| packages.name == bucket) else {
            return Err(format!("S3Bucket {bucket}: [control] s3 does not name it"));
        };
        let failed = |error: &dyn Display| format!("Error occurred while GetObject. {bucket}/{key}: {error}");
        let found = packages.object(key, version).await.map_err(|error| failed(&error))?;
        let bytes = found.len();
        (bytes <= bytes_max)
            .then_some(found)
            .ok_or_else(|| failed(&format!("it has {bytes} bytes, at most {bytes_max} are allowed")))
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
