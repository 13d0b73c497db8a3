//! Replies of the Runtime API, in the words of Lambda's own.

use crate::desk::Refused;
use bytes::Bytes;
use environment::limits::RESULT_BYTES_MAX;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

pub(crate) type Answer = Response<Full<Bytes>>;

/// Taken, and that is all.
pub(crate) fn accepted() -> Answer {
    of(StatusCode::ACCEPTED, &json!({"status": "OK"}))
}

/// Done, and that is all.
pub(crate) fn ok() -> Answer {
    of(StatusCode::OK, &json!("OK"))
}

/// Refused by the state that the program is in.
pub(crate) fn refused(refused: Refused) -> Answer {
    match refused {
        Refused::Transition { from, to } => {
            let message = format!("State transition from {from} to {to} failed for runtime.");
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
        Refused::RequestId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
    }
}

/// A result over the limit.
pub(crate) fn too_large() -> Answer {
    let message = format!("Exceeded maximum allowed payload size ({RESULT_BYTES_MAX} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

/// Anything else.
pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    of(status, &json!({"errorMessage": message, "errorType": kind}))
}

fn of(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
