//! The Telemetry API, version 2022-07-01, and its predecessor, the Logs API,
//! version 2020-08-15, over HTTP (AWS: "Lambda Telemetry API reference"; "Using
//! the Lambda Logs API").

use crate::answer::{self, Answer};
use crate::api::{Function, over};
use crate::ask::{Ask, NotSubscribed};
use crate::extension_api::{identifier, refused};
use crate::received::Received;
use crate::telemetry::{Api, Invalid, Refused, Subscription};
use http::request::Parts;
use http::{Method, StatusCode};

/// Which of them a path means.
pub(crate) fn api(path: &str) -> Option<Api> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/2022-07-01/telemetry" => Some(Api::Telemetry),
        "/2020-08-15/logs" => Some(Api::Logs),
        _ => None,
    }
}

impl Function {
    /// Serves a request of either.
    pub(crate) async fn subscribe(&self, api: Api, (head, body): (&Parts, &Received)) -> Answer {
        let name = api.name();
        if head.method != Method::PUT {
            return answer::error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "method not allowed");
        }
        let id = match identifier(&head.headers) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let subscription = match Subscription::read(api, &body.kept) {
            Ok(subscription) => subscription,
            Err(Invalid(why)) => {
                let kind = if api == Api::Logs { "Logs.ValidationError" } else { "ValidationError" };
                return answer::error(StatusCode::BAD_REQUEST, kind, &why);
            }
        };
        let forbidden =
            |kind: &str, message: &str| answer::error(StatusCode::FORBIDDEN, &format!("{name}.{kind}"), message);
        match self.ask(|reply| Ask::Subscribe { id, subscription, reply }).await {
            Some(Ok(())) => answer::ok(),
            Some(Err(NotSubscribed::Extension(reason))) => refused(reason),
            Some(Err(NotSubscribed::Telemetry(Refused::Closed))) => {
                forbidden("SubscriptionClosed", &format!("{name} API subscription is closed"))
            }
            Some(Err(NotSubscribed::Telemetry(Refused::OtherApi))) => {
                forbidden("AlreadySubscribed", "this extension has subscribed with the other API")
            }
            None => over(),
        }
    }
}
