//! The invocation that runs: when it began, what it was answered, and what those
//! who watch it are told when the runtime has done.

use crate::api::trace;
use crate::telemetry::{Event, Response, RuntimeDone};
use environment::{Frame, Status};
use std::time::SystemTime;
use tokio::time::Instant;
use uuid::Uuid;

/// From its event until the runtime asks for the next.
pub(crate) struct Run {
    pub(crate) id: Uuid,
    trace: String,
    began: (SystemTime, Instant),
    answer: Option<Answer>,
}

struct Answer {
    response: Response,
    status: Status,
    error_type: Option<String>,
}

impl Run {
    /// It begins now.
    pub(crate) fn new(id: Uuid, deadline_unix_ms: u64) -> Run {
        Run { id, trace: trace(id, deadline_unix_ms), began: (SystemTime::now(), Instant::now()), answer: None }
    }

    /// That it does.
    pub(crate) fn start(&self) -> Event {
        Event::Start { id: self.id.to_string(), trace: self.trace.clone() }
    }

    /// The runtime has sent this, since then.
    pub(crate) fn answered(&mut self, frame: &Frame, since: Instant) {
        let (status, error_type, bytes) = match frame {
            Frame::Result(result) => (Status::Success, None, result.len()),
            Frame::Error(error) => (Status::Error, Some(error.error_type.clone()), 0),
            _ => (Status::Error, Some("Function.ResponseSizeTooLarge".to_owned()), 0),
        };
        let (first, whole) = (since.saturating_duration_since(self.began.1), self.began.1.elapsed());
        self.answer = Some(Answer { response: Response { first, whole, bytes }, status, error_type });
    }

    /// The runtime asks for the next event.
    pub(crate) fn done(&self) -> Event {
        let (status, error_type) = match &self.answer {
            Some(answer) => (answer.status, answer.error_type.clone()),
            None => (Status::Success, None),
        };
        self.over(status, error_type)
    }

    /// The runtime does not ask any more.
    pub(crate) fn over(&self, status: Status, error_type: Option<String>) -> Event {
        Event::RuntimeDone(RuntimeDone {
            id: self.id.to_string(),
            trace: self.trace.clone(),
            status,
            error_type,
            began: self.began.0,
            duration: self.began.1.elapsed(),
            response: self.answer.as_ref().map(|answer| answer.response),
        })
    }

    /// Its trace, for what is told of it later.
    pub(crate) fn trace(&self) -> String {
        self.trace.clone()
    }
}
