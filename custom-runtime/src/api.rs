//! The Runtime API over HTTP (AWS: "Using the Lambda runtime API for custom
//! runtimes", version 2018-06-01): routes, headers and bodies. What follows from
//! a request is the supervisor's to decide.

use crate::answer::{self, Answer};
use crate::ask::{Ask, Invocation};
use crate::desk::Refused;
use crate::received::Received;
use crate::telemetry_api;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use environment::{ErrorPayload, Frame, Manifest};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

/// What is served.
pub(crate) struct Function {
    arn: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) handler: String,
    asks: mpsc::Sender<Ask>,
}

/// Serves one connection until its program hangs up.
pub(crate) async fn serve(connection: TcpStream, function: Rc<Function>) {
    let service = hyper::service::service_fn(|request| {
        let function = Rc::clone(&function);
        async move { Ok::<_, Infallible>(function.route(request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(connection), service);
    // A connection that breaks is the program's affair.
    let _ = served.await;
}

impl Function {
    pub(crate) fn new(manifest: &Manifest, asks: mpsc::Sender<Ask>) -> Function {
        Function {
            arn: manifest.invoked_function_arn.clone(),
            name: manifest.function_name.clone(),
            version: manifest.version.clone(),
            handler: manifest.handler.clone(),
            asks,
        }
    }

    /// A request's body is read whole before anything else: a client that is not done writing would meet a closed
    /// connection.
    async fn route(&self, request: Request<Incoming>) -> Answer {
        let since = Instant::now();
        let (head, body) = request.into_parts();
        let body = match Received::read(body).await {
            Ok(body) => body,
            Err(error) => return broken(&error),
        };
        let path = head.uri.path();
        if let Some(path) = path.strip_prefix(EXTENSIONS) {
            return self.route_extension(path, (&head, &body)).await.unwrap_or_else(|| no_such(path));
        }
        if let Some(api) = telemetry_api::api(path) {
            return self.subscribe(api, (&head, &body)).await;
        }
        match path.strip_prefix(ROOT) {
            Some(path) => self.route_runtime(&head.method, path, (&head.headers, body, since)).await,
            None => no_such(path),
        }
    }

    async fn route_runtime(
        &self,
        method: &Method,
        path: &str,
        (headers, body, since): (&HeaderMap, Received, Instant),
    ) -> Answer {
        let segments: Vec<&str> = path.split('/').collect();
        match (method, segments.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.respond(id, headers, (body, since)).await,
            (&Method::POST, ["invocation", id, "error"]) => self.fail(id, headers, (&body, since)).await,
            (&Method::POST, ["init", "error"]) => {
                let error = payload(&body.kept, header(headers, ERROR_TYPE));
                verdict(self.ask(|reply| Ask::InitError { error, reply }).await)
            }
            (&Method::GET, ["restore", "next"]) | (&Method::POST, ["restore", "error"]) => {
                let message = "environments of custom runtimes are not restored from snapshots";
                answer::error(StatusCode::FORBIDDEN, "InvalidStateTransition", message)
            }
            (_, ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"]) => {
                answer::error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "method not allowed")
            }
            _ => no_such(path),
        }
    }

    async fn next(&self) -> Answer {
        match self.ask(Ask::Next).await {
            Some(Ok(invocation)) => event(invocation, &self.arn),
            Some(Err(refused)) => answer::refused(refused),
            None => over(),
        }
    }

    async fn respond(&self, id: &str, headers: &HeaderMap, (body, since): (Received, Instant)) -> Answer {
        if let Some(refused) = wrong_invocation(id, headers) {
            return refused;
        }
        let is_too_large = body.is_too_large();
        let frame = match body.trailers.as_ref().and_then(streamed_error) {
            _ if is_too_large => Frame::ResultTooLarge { bytes: body.bytes },
            Some(error) => Frame::Error(error),
            None => Frame::Result(body.kept),
        };
        let id = id.to_owned();
        match self.ask(|reply| Ask::Answer { id, frame, since, reply }).await {
            Some(Ok(())) if is_too_large => answer::too_large(),
            taken => verdict(taken),
        }
    }

    async fn fail(&self, id: &str, headers: &HeaderMap, (body, since): (&Received, Instant)) -> Answer {
        if let Some(refused) = wrong_invocation(id, headers) {
            return refused;
        }
        if body.is_too_large() {
            return answer::too_large();
        }
        let (id, frame) = (id.to_owned(), Frame::Error(payload(&body.kept, header(headers, ERROR_TYPE))));
        verdict(self.ask(|reply| Ask::Answer { id, frame, since, reply }).await)
    }

    /// `None` when the environment is over.
    pub(crate) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, replied) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        replied.await.ok()
    }
}

fn verdict(taken: Option<Result<(), Refused>>) -> Answer {
    match taken {
        Some(Ok(())) => answer::accepted(),
        Some(Err(refused)) => answer::refused(refused),
        None => over(),
    }
}

/// An event with what the program is told of it.
fn event(invocation: Invocation, arn: &str) -> Answer {
    let Invocation { id, deadline_unix_ms, event } = invocation;
    let mut answer = Response::new(Full::new(event));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        (REQUEST_ID, id.to_string()),
        (INVOCATION_ID, id.to_string()),
        ("lambda-runtime-deadline-ms", deadline_unix_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", arn.to_owned()),
        ("lambda-runtime-trace-id", trace(id, deadline_unix_ms)),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    answer
}

/// A trace that nobody samples, as without tracing in Lambda.
pub(crate) fn trace(id: Uuid, unix_ms: u64) -> String {
    let root = &id.simple().to_string()[..24];
    format!("Root=1-{:08x}-{root};Sampled=0", unix_ms / 1000)
}

/// A client that repeats the invocation it was given must mean this one.
fn wrong_invocation(id: &str, headers: &HeaderMap) -> Option<Answer> {
    let said = headers.get(INVOCATION_ID)?;
    (said.as_bytes() != id.as_bytes())
        .then(|| answer::error(StatusCode::BAD_REQUEST, "InvalidInvocationId", "Invalid invocation ID"))
}

/// A header's value, as text.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What went wrong while a result was streamed.
fn streamed_error(trailers: &HeaderMap) -> Option<ErrorPayload> {
    let kind = header(trailers, ERROR_TYPE)?;
    let body = trailers.get(ERROR_BODY).and_then(|body| STANDARD.decode(body.as_bytes()).ok()).unwrap_or_default();
    Some(payload(&body, Some(kind)))
}

/// An error as programs write it: what is missing is taken from the header, what is no JSON is the message.
pub(crate) fn payload(body: &[u8], kind: Option<String>) -> ErrorPayload {
    let said: Value = serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let lines = said.get("stackTrace").or_else(|| said.get("trace")).and_then(Value::as_array);
    ErrorPayload {
        error_type: said.get("errorType").and_then(text).or(kind).unwrap_or_else(|| "Runtime.Unknown".to_owned()),
        error_message: said.get("errorMessage").unwrap_or(&said).as_str().unwrap_or_default().to_owned(),
        trace: lines.into_iter().flatten().map(|line| text(line).unwrap_or_else(|| line.to_string())).collect(),
    }
}

fn no_such(path: &str) -> Answer {
    answer::error(StatusCode::NOT_FOUND, "NotFound", &format!("the Runtime API has no {path}"))
}

fn broken(error: &hyper::Error) -> Answer {
    answer::error(StatusCode::BAD_REQUEST, "InvalidRequest", &format!("the body cannot be read: {error}"))
}

pub(crate) fn over() -> Answer {
    answer::error(StatusCode::INTERNAL_SERVER_ERROR, "ContainerError", "the environment is over")
}

const ROOT: &str = "/2018-06-01/runtime/";
const EXTENSIONS: &str = "/2020-01-01/extension/";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, kind: Option<&str>) -> ErrorPayload {
        payload(body.as_bytes(), kind.map(str::to_owned))
    }

    #[test]
    fn errors_are_read_in_every_form_that_programs_write() {
        let python = read(r#"{"errorMessage":"m","errorType":"T","requestId":"r","stackTrace":["a",1]}"#, Some("X.Y"));
        assert_eq!(
            python,
            ErrorPayload { error_type: "T".into(), error_message: "m".into(), trace: vec!["a".into(), "1".into()] }
        );
        assert_eq!(read("{}", Some("X.Y")).error_type, "X.Y");
        assert_eq!(
            read("no json", None),
            ErrorPayload { error_type: "Runtime.Unknown".into(), error_message: "no json".into(), trace: vec![] }
        );
        assert_eq!(read("", None).error_message, "");
    }

    #[test]
    fn a_trace_has_the_form_of_x_ray_s() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(trace(id, 1_700_000_000_000), "Root=1-6553f100-0123456789abcdef01234567;Sampled=0");
    }
}
