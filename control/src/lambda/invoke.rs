//! Invoke: one event to one version, and the outcome in Lambda's shape.

use super::names::{LATEST, Named, invalid};
use super::provisioned::{Runnable, runnable};
use super::{alias, queue};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use environment::outcome::exit_message;
use environment::{Outcome, Throttle};
use functions::{Function, Invocation};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// How the caller wants it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    RequestResponse,
    Event,
    DryRun,
}

/// Invoke.
pub(super) async fn invoke(plane: &Arc<Plane>, name: &str, request: Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let kind = kind(&request)?;
    let event = event(&request)?;
    let tail = match request.header("x-amz-log-type") {
        None | Some("None") => false,
        Some("Tail") => true,
        Some(other) => return Err(invalid(format!("X-Amz-Log-Type is {other:?}, it must be None or Tail"))),
    };
    if kind == Kind::Event {
        let plane = Arc::clone(plane);
        let accepted = tokio::task::spawn_blocking(move || queue::accept(&plane, &named, &event)).await;
        return accepted.map_err(|error| ApiError::of_ours(&error))?;
    }
    if kind == Kind::DryRun {
        choose(plane, &named.name, named.qualifier.as_deref()).await?;
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    let (number, function) = chosen(plane, &named.name, named.qualifier.as_deref()).await?;
    let invocation = if tail { function.invoke_whole(event).await } else { function.invoke(event).await };
    answer(&invocation, &number, tail)
}

/// The version that one invocation of a function runs, ready to run.
pub(crate) async fn chosen(
    plane: &Arc<Plane>,
    name: &str,
    qualifier: Option<&str>,
) -> Result<(String, Arc<Function>), ApiError> {
    let (number, runnable) = choose(plane, name, qualifier).await?;
    let function = plane.runner.function(plane, (name, &number), runnable).await?;
    Ok((number, function))
}

async fn choose(plane: &Arc<Plane>, name: &str, qualifier: Option<&str>) -> Result<(String, Runnable), ApiError> {
    let (reads, name) = (Arc::clone(plane), name.to_owned());
    let qualifier = qualifier.unwrap_or(LATEST).to_owned();
    let chosen = tokio::task::spawn_blocking(move || {
        reads.store.read(|records| {
            let number = alias::chosen_version(records, &name, &qualifier)?;
            let runnable = runnable(records, &name, &number)?;
            Ok((number, runnable))
        })
    });
    chosen.await.map_err(|error| ApiError::of_ours(&error))?
}

fn kind(request: &Request) -> Result<Kind, ApiError> {
    if request.header("x-amz-client-context").is_some() {
        return Err(invalid("ClientContext is not supported by this edge"));
    }
    match request.header("x-amz-invocation-type") {
        None | Some("RequestResponse") => Ok(Kind::RequestResponse),
        Some("DryRun") => Ok(Kind::DryRun),
        Some("Event") => Ok(Kind::Event),
        Some(other) => {
            Err(invalid(format!("InvocationType is {other:?}, it must be RequestResponse, Event or DryRun")))
        }
    }
}

fn event(request: &Request) -> Result<Bytes, ApiError> {
    let bytes = request.body.len();
    if bytes > EVENT_BYTES_MAX {
        let message = format!("the event has {bytes} bytes, at most {EVENT_BYTES_MAX} are allowed");
        return Err(ApiError::new(Code::PAYLOAD_TOO_LARGE, message));
    }
    if request.body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).map_err(|error| {
        ApiError::new(Code::INVALID_CONTENT, format!("Could not parse request body into json: {error}"))
    })?;
    Ok(request.body.clone())
}

fn answer(invocation: &Invocation, version: &str, tail: bool) -> Result<Answer, ApiError> {
    let (body, failed) = match &invocation.outcome {
        Outcome::Result(result) => (result.clone(), false),
        Outcome::Throttled(throttle) => return Err(throttled(throttle)),
        failed => (Bytes::from(failure(failed, invocation).to_string()), true),
    };
    let mut answer = Answer::raw(StatusCode::OK, "application/json", body)
        .with("x-amz-executed-version", version)
        .with("x-amzn-requestid", invocation.id.to_string())
        .with("x-amzn-remapped-content-length", "0");
    if failed {
        answer = answer.with("x-amz-function-error", "Unhandled");
    }
    if tail {
        answer = answer.with("x-amz-log-result", STANDARD.encode(&invocation.log_tail));
    }
    Ok(answer)
}

/// AWS: "Invoke", TooManyRequestsException.
pub(crate) fn throttled(throttle: &Throttle) -> ApiError {
    let reason = match throttle {
        Throttle::Reserved { .. } => "ReservedFunctionConcurrentInvocationLimitExceeded",
        Throttle::Unreserved { .. } | Throttle::NoEnvironment(_) => "ConcurrentInvocationLimitExceeded",
    };
    ApiError::throttled(reason, format!("Rate Exceeded. ({throttle})"))
}

/// The error as Lambda shows it.
pub(super) fn failure(outcome: &Outcome, invocation: &Invocation) -> Value {
    let of_platform = |kind: &str, message: String| json!({ "errorType": kind, "errorMessage": format!("RequestId: {} Error: {message}", invocation.id) });
    match outcome {
        Outcome::Threw(error) | Outcome::InitFailed(error) => json!(error),
        Outcome::TimedOut { timeout_ms } => {
            let message = format!("Task timed out after {}.{:02} seconds", timeout_ms / 1000, timeout_ms % 1000 / 10);
            of_platform("Sandbox.Timedout", message)
        }
        Outcome::ExceededMemory { .. } => {
            of_platform("Runtime.OutOfMemory", "Runtime exited with error: signal: killed".into())
        }
        Outcome::Crashed { reason } => of_platform("Runtime.ExitError", exit_message(reason)),
        Outcome::ResultTooLarge { bytes, limit } => of_platform(
            "Function.ResponseSizeTooLarge",
            format!("Response payload size ({bytes} bytes) exceeded maximum allowed payload size ({limit} bytes)."),
        ),
        Outcome::Result(_) | Outcome::Throttled(_) | Outcome::Canceled => {
            of_platform("Runtime.Unknown", outcome.label().into())
        }
    }
}

/// AWS: "Lambda quotas", invocation payload of a synchronous call.
pub(crate) const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn shown(outcome: Outcome) -> Value {
        let (id, duration) = (Uuid::from_u128(1), std::time::Duration::ZERO);
        let (init, memory_used_mb, log_tail) = (None, 0, Bytes::new());
        let invocation = Invocation { id, outcome: outcome.clone(), duration, init, memory_used_mb, log_tail };
        failure(&outcome, &invocation)
    }

    #[test]
    fn failures_have_lambdas_shape() {
        let timed_out = shown(Outcome::TimedOut { timeout_ms: 3000 });
        assert_eq!(timed_out["errorType"], "Sandbox.Timedout");
        assert!(timed_out["errorMessage"].as_str().unwrap().ends_with("Task timed out after 3.00 seconds"));
        let thrown = environment::ErrorPayload { error_type: "TypeError".into(), ..Default::default() };
        assert_eq!(shown(Outcome::Threw(thrown))["errorType"], "TypeError");
        assert_eq!(shown(Outcome::Crashed { reason: "exit status 1".into() })["errorType"], "Runtime.ExitError");
    }
}
