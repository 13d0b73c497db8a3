//! The admin listener: bodies, signatures, and which API a request is for. Connections are
//! `accept`'s.

use crate::accept::{Bounds, accept};
use crate::answer::{Answer, Protocol};
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::signature::Claim;
use crate::{cloudfront, key_values, lambda, letters, logs};
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Answers requests until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, plane: Arc<Plane>) {
    let next = || async { listener.accept().await.map(|(stream, _)| stream) };
    let bounds = Bounds { of: "the control plane", connections_max: CONNECTIONS_MAX, header_timeout: HEADER_TIMEOUT };
    accept(next, bounds, move |request| answer(Arc::clone(&plane), request)).await;
}

async fn answer(plane: Arc<Plane>, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
    let id = Uuid::new_v4();
    let (parts, body) = request.into_parts();
    let protocol = Protocol::of_path(parts.uri.path());
    let line = format!("{} {}", parts.method, parts.uri.path());
    let answered = handle(&plane, parts, body).await;
    let answer = answered.unwrap_or_else(|error| {
        tracing::info!(%id, "{line} refused: {error}");
        Answer::of_error(&error, protocol, id)
    });
    answer.into_response(id)
}

async fn handle(plane: &Arc<Plane>, parts: Parts, body: Incoming) -> Result<Answer, ApiError> {
    if !parts.headers.contains_key("authorization") {
        let request = Request::new(parts.clone(), Bytes::new());
        if let Some(answer) = lambda::download(&plane.links, &plane.packages, &request) {
            return answer;
        }
    }
    // Whoever has no key is refused before the body is read.
    let claim = Claim::of(&parts, OffsetDateTime::now_utc())?;
    let unknown = || ApiError::new(Code::UNKNOWN_KEY, "The security token included in the request is invalid.");
    let secret = plane.access.secret(&claim.access_key).ok_or_else(unknown)?;
    let body = read(body, BODY_BYTES_MAX).await?;
    claim.verify(&parts, &body, secret)?;
    match (claim.service.as_str(), Protocol::of_path(parts.uri.path())) {
        ("lambda", Protocol::Json) => lambda::handle(plane, Request::new(parts, body)).await,
        (letters::SERVICE, Protocol::Json) => letters::handle(plane, Request::new(parts, body)).await,
        (logs::SERVICE, Protocol::Json) => logs::handle(plane, Request::new(parts, body)).await,
        (key_values::SERVICE, Protocol::Json) => key_values::handle(plane, Request::new(parts, body)).await,
        ("cloudfront", Protocol::Xml) => cloudfront::handle(plane, Request::new(parts, body)).await,
        (service, _) => {
            let message = format!("{} is no operation of the service {service} that this edge has", parts.uri.path());
            Err(ApiError::new(Code::UNKNOWN_OPERATION, message))
        }
    }
}

/// The whole body, unless it is larger or slower than it may be.
pub(crate) async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("Request must be smaller than {bytes_max} bytes");
        ApiError::new(Code::BODY_TOO_LARGE, message)
    };
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::new(Code::INVALID_CONTENT, format!("the body cannot be read: {error}"))),
        Err(_) => Err(ApiError::new(Code::INVALID_CONTENT, "the body did not arrive in time")),
    }
}

/// A package of 50 MB in base64, and what is around it.
const BODY_BYTES_MAX: usize = 70_167_211;
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 256;
