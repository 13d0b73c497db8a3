//! The bucket that packages may come from, read through `object_store`: its signatures and
//! retries, over the connections that this program makes anyway.

use crate::outgoing::{Outgoing, OutgoingError};
use crate::services::ServiceError;
use async_trait::async_trait;
use bytes::Bytes;
use deployment::Bucket;
use http_body_util::{BodyExt as _, Full};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind};
use object_store::client::{HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectStore as _, RetryConfig};
use sigv4::Credentials;
use std::sync::Arc;
use std::time::Duration;

/// One bucket.
#[derive(Debug)]
pub(crate) struct PackageBucket {
    pub(crate) name: String,
    store: AmazonS3,
}

impl PackageBucket {
    /// With the credentials that the configuration names.
    pub(crate) fn open(bucket: &Bucket, outgoing: &Arc<Outgoing>) -> Result<PackageBucket, ServiceError> {
        let Credentials { access_key, secret, token } = Credentials::load(&bucket.service.credentials)?;
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(&bucket.service.endpoint)
            .with_allow_http(true)
            .with_region(&bucket.region)
            .with_bucket_name(&bucket.name)
            .with_access_key_id(access_key)
            .with_secret_access_key(secret)
            .with_retry(retry)
            .with_http_connector(Connector { outgoing: Arc::clone(outgoing) });
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        let store = builder.build().map_err(ServiceError::Bucket)?;
        Ok(PackageBucket { name: bucket.name.clone(), store })
    }

    /// The object with this key, as it is or as it was.
    pub(crate) async fn object(&self, key: &str, version: Option<&str>) -> Result<Bytes, object_store::Error> {
        let path = Path::parse(key)?;
        let found = self.store.get_opts(&path, GetOptions::new().with_version(version)).await?;
        found.bytes().await
    }
}

/// Makes the crate's requests.
#[derive(Clone, Debug)]
struct Connector {
    outgoing: Arc<Outgoing>,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let answered = self.outgoing.send(http::Request::from_parts(parts, body), ANSWER_BYTES_MAX).await;
        let answer = answered.map_err(|error| HttpError::new(kind_of(&error), error))?;
        Ok(answer.map(|body| HttpResponseBody::new(Full::new(body).map_err(|never| match never {}))))
    }
}

/// Whether to try again is the crate's to know.
fn kind_of(error: &OutgoingError) -> HttpErrorKind {
    match error {
        OutgoingError::Url(_) => HttpErrorKind::Unknown,
        OutgoingError::Unreachable { .. } => HttpErrorKind::Connect,
        OutgoingError::Broken { .. } => HttpErrorKind::Interrupted,
        OutgoingError::Slow { .. } => HttpErrorKind::Timeout,
    }
}

/// Ours: above the largest object that anything here asks for.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const RETRIES_MAX: usize = 3;
/// From the first attempt to the last.
const RETRY_MAX: Duration = Duration::from_secs(60);
