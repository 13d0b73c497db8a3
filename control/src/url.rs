//! Function URLs while they are used: the origin behind each of them, on a socket that only
//! the edge's own listeners reach. Who may come in, the event in Lambda's payload format
//! 2.0, the run, and the response made of its result. What URLs there are is `lambda`'s.

mod cors;
mod event;
mod response;

pub(crate) use cors::Cors;

use crate::accept::{Bounds, accept};
use crate::answer::{Answer, Protocol};
use crate::error::{ApiError, Code};
use crate::lambda::{self, FunctionUrl, invoke};
use crate::listen;
use crate::plane::Plane;
use crate::signature::Claim;
use bytes::Bytes;
use environment::Outcome;
use event::Caller;
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Answers requests until the task is dropped.
pub(crate) async fn serve(listener: UnixListener, plane: Arc<Plane>) {
    let next = || async { listener.accept().await.map(|(stream, _)| stream) };
    let bounds = Bounds { of: "function URLs", connections_max: CONNECTIONS_MAX, header_timeout: IDLE_MAX };
    accept(next, bounds, move |request| answer(Arc::clone(&plane), request)).await;
}

async fn answer(plane: Arc<Plane>, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
    let id = Uuid::new_v4();
    let (mut parts, body) = request.into_parts();
    let origin = parts.headers.get("origin").cloned();
    let from = event::take_edge_headers(&mut parts.headers);
    let url = match find(&plane, &parts.headers).await {
        Ok(url) => url,
        Err(error) => return Answer::of_error(&error, Protocol::Json, id).into_response(id),
    };
    let cors = url.config.cors.as_ref();
    if let Some(answer) = cors.and_then(|cors| cors.preflight(&parts.method, &parts.headers)) {
        return answer;
    }
    let mut response = handle(&plane, (id, &url), (parts, body), from).await.unwrap_or_else(|error| {
        tracing::info!(%id, function = url.function, "a function URL refused: {error}");
        Answer::of_error(&error, Protocol::Json, id).into_response(id)
    });
    if let Some(cors) = cors {
        cors.apply(origin.as_ref(), response.headers_mut());
    }
    response
}

async fn handle(
    plane: &Arc<Plane>,
    (id, url): (Uuid, &FunctionUrl),
    (parts, body): (Parts, Incoming),
    from: event::From,
) -> Result<Response<Full<Bytes>>, ApiError> {
    let (body, caller) = if url.config.is_open() {
        (listen::read(body, BODY_BYTES_MAX).await?, Caller::Anyone)
    } else {
        signed(plane, &parts, body).await?
    };
    let event = event::encode(&event::Asked { id, url_id: &url.id, parts: &parts, body: &body, from, caller });
    if event.len() > invoke::EVENT_BYTES_MAX {
        let message = format!("the event has {} bytes, at most {} are allowed", event.len(), invoke::EVENT_BYTES_MAX);
        return Err(ApiError::new(Code::PAYLOAD_TOO_LARGE, message));
    }
    let qualifier = url.qualifier.as_deref();
    let (_, function) = invoke::chosen(plane, &url.function, qualifier).await?;
    let outcome = function.invoke_as(id, event.into()).await.outcome;
    match outcome {
        Outcome::Result(result) => Ok(response::decode(&result).unwrap_or_else(|reason| {
            tracing::warn!(%id, function = url.function, "a result is no response: {reason}");
            response::failed(id)
        })),
        Outcome::Throttled(throttle) => Err(invoke::throttled(&throttle)),
        // The function's log has what went wrong.
        _ => Ok(response::failed(id)),
    }
}

/// The body of a request, and whose access key signed it.
async fn signed(plane: &Plane, parts: &Parts, body: Incoming) -> Result<(Bytes, Caller), ApiError> {
    let forbidden = || ApiError::new(Code::FORBIDDEN, "Forbidden");
    if !parts.headers.contains_key("authorization") {
        return Err(forbidden());
    }
    let claim = Claim::of(parts, OffsetDateTime::now_utc())?;
    let secret = plane.access.secret(&claim.access_key).ok_or_else(forbidden)?;
    if claim.service != "lambda" {
        return Err(ApiError::new(Code::SIGNATURE, format!("Credential is for {}, not for lambda", claim.service)));
    }
    let body = listen::read(body, BODY_BYTES_MAX).await?;
    claim.verify(parts, &body, secret)?;
    Ok((body, Caller::Key(claim.access_key)))
}

/// The URL whose id the host begins with.
async fn find(plane: &Arc<Plane>, headers: &HeaderMap) -> Result<FunctionUrl, ApiError> {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let id = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let reads = Arc::clone(plane);
    let found = tokio::task::spawn_blocking(move || reads.store.read(|records| lambda::function_url(records, &id)));
    let found = found.await.map_err(|error| ApiError::of_ours(&error))??;
    found.ok_or_else(|| ApiError::new(Code::NOT_FOUND, "there is no function URL of this name"))
}

/// AWS: "Lambda quotas", invocation payload: the event is larger than the body.
const BODY_BYTES_MAX: usize = invoke::EVENT_BYTES_MAX;
/// Longer than the edge keeps idle connections, so that the edge closes first.
const IDLE_MAX: Duration = Duration::from_secs(900);
/// The edge has as many as its viewers need, and bounds those.
const CONNECTIONS_MAX: usize = Semaphore::MAX_PERMITS;
