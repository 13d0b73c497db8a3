//! The Extensions API over HTTP (AWS: "Using the Lambda Extensions API to create
//! extensions", version 2020-01-01).

use crate::answer::{self, Answer};
use crate::api::{Function, header, over, payload};
use crate::ask::{Ask, Phase};
use crate::extensions::{Refused, Wants};
use crate::received::Received;
use bytes::Bytes;
use environment::ErrorPayload;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

impl Function {
    /// Serves a request below `/2020-01-01/extension/`; `None` when there is no such path.
    pub(crate) async fn route_extension(&self, path: &str, (head, body): (&Parts, &Received)) -> Option<Answer> {
        match (&head.method, path) {
            (&Method::POST, "register") => Some(self.register(&head.headers, body).await),
            (&Method::GET, "event/next") => Some(self.next_event(&head.headers).await),
            (&Method::POST, "init/error") => Some(self.fail_extension(Phase::Init, &head.headers, body).await),
            (&Method::POST, "exit/error") => Some(self.fail_extension(Phase::Exit, &head.headers, body).await),
            _ => None,
        }
    }

    async fn register(&self, headers: &HeaderMap, body: &Received) -> Answer {
        let Some(name) = header(headers, NAME).filter(|name| !name.is_empty()) else { return refused(Refused::Name) };
        let registration: Registration = match serde_json::from_slice(&body.kept) {
            Ok(registration) => registration,
            Err(error) => return invalid(&format!("the body is no registration: {error}")),
        };
        let mut wants = Wants::default();
        for event in &registration.events {
            match event.as_str() {
                "INVOKE" => wants.invoke = true,
                "SHUTDOWN" => wants.shutdown = true,
                other => {
                    let message = format!("{other}: the events are INVOKE and SHUTDOWN");
                    return answer::error(StatusCode::FORBIDDEN, "Extension.InvalidEventType", &message);
                }
            }
        }
        match self.ask(|reply| Ask::Register { name, wants, reply }).await {
            Some(Ok(id)) => {
                let about = json!({
                    "functionName": self.name,
                    "functionVersion": self.version,
                    "handler": self.handler,
                });
                let mut answer = Response::new(Full::new(Bytes::from(about.to_string())));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                put_id(answer.headers_mut(), IDENTIFIER, id);
                answer
            }
            Some(Err(reason)) => refused(reason),
            None => over(),
        }
    }

    async fn next_event(&self, headers: &HeaderMap) -> Answer {
        let id = match identifier(headers) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        match self.ask(|reply| Ask::NextEvent { id, reply }).await {
            Some(Ok(event)) => {
                let mut answer = Response::new(Full::new(Bytes::from(event)));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                put_id(answer.headers_mut(), EVENT_IDENTIFIER, Uuid::new_v4());
                answer
            }
            Some(Err(reason)) => refused(reason),
            None => over(),
        }
    }

    async fn fail_extension(&self, phase: Phase, headers: &HeaderMap, body: &Received) -> Answer {
        let id = match identifier(headers) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let Some(error_type) = header(headers, ERROR_TYPE) else {
            let message = "Lambda-Extension-Function-Error-Type header is missing";
            return answer::error(StatusCode::FORBIDDEN, "Extension.MissingHeader", message);
        };
        let error = ErrorPayload { error_type, ..payload(&body.kept, None) };
        match self.ask(|reply| Ask::ExtensionFailed { id, error, phase, reply }).await {
            Some(Ok(())) => answer::accepted(),
            Some(Err(reason)) => refused(reason),
            None => over(),
        }
    }
}

/// Who asks.
#[expect(clippy::result_large_err, reason = "the error is the answer, and rare")]
pub(crate) fn identifier(headers: &HeaderMap) -> Result<Uuid, Answer> {
    let forbidden = |kind, message| answer::error(StatusCode::FORBIDDEN, kind, message);
    let Some(id) = headers.get(IDENTIFIER) else {
        return Err(forbidden("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"));
    };
    let id = std::str::from_utf8(id.as_bytes()).ok().and_then(|id| Uuid::try_parse(id).ok());
    id.ok_or_else(|| forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"))
}

pub(crate) fn refused(reason: Refused) -> Answer {
    let (kind, message) = match reason {
        Refused::Name => ("Extension.InvalidExtensionName", "Lambda-Extension-Name is missing or empty"),
        Refused::AlreadyRegistered => ("Extension.AlreadyRegistered", "an extension of this name is registered"),
        Refused::Closed => ("Extension.RegistrationClosed", "extensions register before the function is initialised"),
        Refused::TooMany => ("Extension.TooManyExtensions", "an environment has at most 10 extensions"),
        Refused::ShutdownOfInternal => (
            "ShutdownEventNotSupportedForInternalExtension",
            "an extension that is no file of /opt/extensions has no SHUTDOWN",
        ),
        Refused::UnknownId => ("Extension.UnknownExtensionIdentifier", "Unknown extension"),
    };
    answer::error(StatusCode::FORBIDDEN, kind, message)
}

fn invalid(message: &str) -> Answer {
    answer::error(StatusCode::BAD_REQUEST, "InvalidRequestFormat", message)
}

fn put_id(headers: &mut HeaderMap, name: &'static str, id: Uuid) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(name, value);
    }
}

const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";
const EVENT_IDENTIFIER: &str = "lambda-extension-event-identifier";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";
