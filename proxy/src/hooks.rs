//! Running one hook: encode the event, invoke the function, parse the result,
//! record how it went. `edge` decides when; `event` knows the rules; `error`
//! knows what a failure becomes.

use crate::error::EdgeError;
use crate::live::State;
use bytes::Bytes;
use deployment::{Behavior, Distribution, Hook};
use environment::Outcome;
use event::{Encoded, EventConfig, EventRequest, EventResponse, EventType, RequestResult, ResponseEdit};
use std::time::{Duration, Instant};

/// How one hook of a request went, for the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookRecord {
    pub(crate) event: EventType,
    pub(crate) function: String,
    /// `ok`, `invalid-result`, or an outcome's label.
    pub(crate) outcome: &'static str,
    pub(crate) took: Duration,
}

/// The function a behavior has for an event.
pub(crate) fn hook_of(behavior: &Behavior, event: EventType) -> Option<&Hook> {
    match event {
        EventType::ViewerRequest => behavior.hooks.viewer_request.as_ref(),
        EventType::OriginRequest => behavior.hooks.origin_request.as_ref(),
        EventType::OriginResponse => behavior.hooks.origin_response.as_ref(),
        EventType::ViewerResponse => behavior.hooks.viewer_response.as_ref(),
    }
}

/// One hook that is about to run.
pub(crate) struct HookCall<'a> {
    pub(crate) state: &'a State,
    pub(crate) distribution: &'a Distribution,
    pub(crate) hook: &'a Hook,
    pub(crate) event: EventType,
    pub(crate) request_id: &'a str,
    pub(crate) records: &'a mut Vec<HookRecord>,
}

impl HookCall<'_> {
    /// Runs a request event; gives up when `gone` says that nobody waits for it any more. A function
    /// that runs by then runs to its end, one that waits for an environment never starts.
    ///
    /// # Errors
    /// What the viewer is told when the function failed or its result broke a rule.
    pub(crate) async fn on_request(
        mut self,
        request: &EventRequest,
        gone: impl Future<Output = ()>,
    ) -> Result<RequestResult, EdgeError> {
        let started = Instant::now();
        let invoked = tokio::select! {
            biased;
            invoked = self.invoke(request, None) => invoked,
            () = gone => Err(failed(&Outcome::Canceled)),
        };
        let parsed = match invoked {
            Ok((sent, result)) => {
                sent.request_result(&result, request).map_err(|invalid| (INVALID_RESULT, EdgeError::from(invalid)))
            }
            Err(failure) => Err(failure),
        };
        self.record(started, parsed)
    }

    /// Runs a response event.
    ///
    /// # Errors
    /// As [`HookCall::on_request`].
    pub(crate) async fn on_response(
        mut self,
        request: &EventRequest,
        response: &EventResponse,
    ) -> Result<ResponseEdit, EdgeError> {
        let started = Instant::now();
        let parsed = match self.invoke(request, Some(response)).await {
            Ok((sent, result)) => {
                sent.response_result(&result, response).map_err(|invalid| (INVALID_RESULT, EdgeError::from(invalid)))
            }
            Err(failure) => Err(failure),
        };
        self.record(started, parsed)
    }

    async fn invoke(
        &mut self,
        request: &EventRequest,
        response: Option<&EventResponse>,
    ) -> Result<(Encoded, Bytes), (&'static str, EdgeError)> {
        let name = &self.hook.function;
        let Some(function) = self.state.functions.get(name) else {
            let reason = Outcome::Crashed { reason: format!("function {name} is not prepared") };
            return Err(failed(&reason));
        };
        let config = EventConfig {
            distribution_domain_name: &self.distribution.domain_name,
            distribution_id: &self.distribution.id,
            request_id: self.request_id,
            event_type: self.event,
        };
        let sent = event::encode(&config, request, response);
        let invocation = function.invoke(sent.json().clone()).await;
        match invocation.outcome {
            Outcome::Result(result) => Ok((sent, result)),
            outcome => Err(failed(&outcome)),
        }
    }

    fn record<T>(self, started: Instant, result: Result<T, (&'static str, EdgeError)>) -> Result<T, EdgeError> {
        let outcome = result.as_ref().map_or_else(|(label, _)| *label, |_| "ok");
        let function = self.hook.function.clone();
        if let Err((_, error)) = &result {
            let (request_id, hook) = (self.request_id, self.event.as_str());
            tracing::warn!(target: "hook", function, hook, request_id, outcome, "{error}");
        }
        self.records.push(HookRecord { event: self.event, function, outcome, took: started.elapsed() });
        result.map_err(|(_, error)| error)
    }
}

fn failed(outcome: &Outcome) -> (&'static str, EdgeError) {
    let error = EdgeError::from_outcome(outcome).expect("only a result is not a failure, and this is none");
    (outcome.label(), error)
}

const INVALID_RESULT: &str = "invalid-result";
