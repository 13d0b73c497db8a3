//! The end of an asynchronous invocation: what its destination is told, and where an event
//! that was given up is left.

use super::alias;
use super::delivery::{Attribute, Delivery};
use super::destination::Destination;
use super::names::{LATEST, arn};
use super::queue::{Task, Waiting, now_ms};
use super::record::version;
use crate::error::ApiError;
use crate::letters::Letter;
use crate::plane::Plane;
use crate::store::Records;
use serde_json::{Value, json};

/// How an event ended, for its destination.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) condition: &'static str,
    pub(super) runs: u32,
    /// Of the last run, if there was one.
    pub(super) last: Option<(String, bool, Value)>,
}

/// An event that is over, by its request id.
pub(super) struct Ended<'a> {
    pub(super) id: &'a str,
    pub(super) waiting: &'a Waiting,
    pub(super) ending: &'a Ending,
}

impl Ended<'_> {
    /// Gives a record of it to a destination; what there is to do for that.
    pub(super) fn hand_over(
        &self,
        plane: &Plane,
        records: &Records<'_>,
        to: &str,
    ) -> Result<Option<(u64, Task)>, ApiError> {
        let record = self.ending.record(self.id, self.waiting);
        match Destination::parse(to, &plane.services) {
            Ok(Destination::Function(named)) => {
                let raw = serde_json::value::to_raw_value(&record).map_err(|error| ApiError::of_ours(&error))?;
                let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
                Waiting::now(&named.name, qualifier, raw).put(records).map(Some)
            }
            Ok(Destination::Own { queue }) => self.letter(Some(record)).put(records, &queue).map(|()| None),
            Ok(_) => Delivery::new(to, record.to_string(), Vec::new(), self.id).put(records).map(Some),
            Err(error) => {
                tracing::error!(id = self.id, "a record is lost: {error}");
                Ok(None)
            }
        }
    }

    /// Leaves the event itself (AWS: "Adding a dead-letter queue"); what there is to do for that.
    pub(super) fn leave(
        &self,
        plane: &Plane,
        records: &Records<'_>,
        to: &str,
    ) -> Result<Option<(u64, Task)>, ApiError> {
        match Destination::parse(to, &plane.services) {
            Ok(Destination::Own { queue }) => self.letter(None).put(records, &queue).map(|()| None),
            Ok(destination) if destination.takes_letters() => {
                let error: String = self.error().unwrap_or_default().chars().take(ERROR_LENGTH_MAX).collect();
                let attributes = vec![
                    Attribute::text("RequestID", self.id),
                    Attribute::number("ErrorCode", self.error_code()),
                    Attribute::text("ErrorMessage", &error),
                ];
                let event = self.waiting.event.get().to_owned();
                Delivery::new(to, event, attributes, self.id).put(records).map(Some)
            }
            Ok(_) | Err(_) => {
                tracing::error!(id = self.id, to, "an event is lost: it cannot be left there any more");
                Ok(None)
            }
        }
    }

    /// Where events of the version that was to run are left.
    pub(super) fn dead_letters(&self, records: &Records<'_>) -> Option<String> {
        let Waiting { function, qualifier, .. } = self.waiting;
        let number = match &self.ending.last {
            Some((number, _, _)) => number.clone(),
            None => alias::main_version(records, function, qualifier).ok()?,
        };
        version(records, function, &number).ok()?.0.dead_letters
    }

    fn letter(&self, record: Option<Value>) -> Letter {
        Letter {
            function: self.waiting.function.clone(),
            qualifier: self.waiting.qualifier.clone(),
            event: self.waiting.event.clone(),
            request_id: self.id.to_owned(),
            condition: self.ending.condition.to_owned(),
            error: self.error(),
            record,
            at_ms: now_ms(),
        }
    }

    fn error(&self) -> Option<String> {
        let message = match (&self.ending.last, self.ending.condition) {
            (Some((_, true, body)), _) => body["errorMessage"].as_str().unwrap_or_default().to_owned(),
            (Some(_), _) => return None,
            (None, "ZeroReservedConcurrency") => "the function has reserved no invocations at all".to_owned(),
            (None, "EventAgeExceeded") => "the event was not run before it was too old".to_owned(),
            (None, _) => "the function is not there".to_owned(),
        };
        Some(message)
    }

    /// The status that who invokes synchronously would get.
    fn error_code(&self) -> u32 {
        match (&self.ending.last, self.ending.condition) {
            (Some(_), _) => 200,
            (None, "ZeroReservedConcurrency" | "EventAgeExceeded") => 429,
            (None, _) => 404,
        }
    }
}

impl Ending {
    pub(super) fn succeeded(&self) -> bool {
        self.condition == "Success"
    }

    /// AWS: "Capturing records of Lambda asynchronous invocations".
    fn record(&self, id: &str, waiting: &Waiting) -> Value {
        let mut record = json!({
            "version": "1.0",
            "timestamp": crate::cloudfront::now(),
            "requestContext": {
                "requestId": id,
                "functionArn": arn(&waiting.function, Some(&waiting.qualifier)),
                "condition": self.condition,
                "approximateInvokeCount": self.runs,
            },
            "requestPayload": waiting.event,
        });
        if let Some((number, failed, body)) = &self.last {
            record["responseContext"] = json!({ "statusCode": 200, "executedVersion": number });
            if *failed {
                record["responseContext"]["functionError"] = "Unhandled".into();
            }
            record["responsePayload"] = body.clone();
        }
        record
    }
}

/// AWS: "Adding a dead-letter queue", ErrorMessage.
const ERROR_LENGTH_MAX: usize = 1024;
