//! The queues that this edge keeps itself: events that were given up and records of
//! invocations, until a person looks at them. They can be listed, sent to their functions
//! again, and thrown away; `selvedge queue` asks for that.

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::lambda::{Redriven, redrive};
use crate::plane::Plane;
use crate::request::Request;
use crate::route::{self, Operation, operation};
use crate::store::{Kind, Records};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// What lies in a queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Letter {
    pub(crate) function: String,
    pub(crate) qualifier: String,
    /// What the function was invoked with.
    pub(crate) event: Box<RawValue>,
    /// Of the invocation.
    pub(crate) request_id: String,
    /// How it ended.
    pub(crate) condition: String,
    /// What went wrong, if something did.
    pub(crate) error: Option<String>,
    /// What a destination is told, when the queue is one.
    pub(crate) record: Option<Value>,
    /// Unix time, milliseconds.
    pub(crate) at_ms: u64,
}

impl Letter {
    /// Lays it into the queue. The oldest makes room in a queue that is full.
    pub(crate) fn put(&self, records: &Records<'_>, queue: &str) -> Result<(), ApiError> {
        self.put_within(records, queue, LETTERS_MAX)
    }

    fn put_within(&self, records: &Records<'_>, queue: &str, letters_max: usize) -> Result<(), ApiError> {
        if records.count(Kind::Letter, queue)? >= letters_max
            && let Some(oldest) = records.first(Kind::Letter, queue)?
        {
            tracing::error!(queue, "the queue has {letters_max} letters, the oldest is thrown away");
            records.remove(Kind::Letter, queue, &oldest)?;
        }
        records.put(Kind::Letter, queue, &format!("{:014}-{}", self.at_ms, Uuid::new_v4().simple()), self)
    }

    fn shown(&self) -> Value {
        json!({
            "function": self.function,
            "qualifier": self.qualifier,
            "requestId": self.request_id,
            "condition": self.condition,
            "error": self.error,
            "atMs": self.at_ms,
            "event": self.event,
            "record": self.record,
        })
    }
}

/// What requests for it are signed for.
pub(crate) const SERVICE: &str = "selvedge";

/// The operations; no other API has them.
const OPERATIONS: &[Operation] = &[
    operation("ListQueues", "GET", "/queues", ""),
    operation("ListLetters", "GET", "/queues/{}", ""),
    operation("Redrive", "POST", "/queues/{}/redrive", ""),
    operation("Clear", "DELETE", "/queues/{}", ""),
];

/// Does what the request asks for.
pub(crate) async fn handle(plane: &Arc<Plane>, request: Request) -> Result<Answer, ApiError> {
    let operation = route::expect(OPERATIONS, &request, Code::UNKNOWN_OPERATION)?;
    route::perform(plane, operation, request, perform).await
}

fn perform(plane: &Plane, operation: &str, named: &[String], _: &Request) -> Result<Answer, ApiError> {
    let queue = named.first().map_or("", String::as_str);
    match operation {
        "ListQueues" => queues(plane),
        "ListLetters" => letters(plane, queue),
        "Redrive" => send_again(plane, queue),
        _ => clear(plane, queue),
    }
}

fn queues(plane: &Plane) -> Result<Answer, ApiError> {
    let queues = plane.store.read(|records| {
        let mut queues = Vec::new();
        for queue in records.parents(Kind::Letter)? {
            let oldest = records.first(Kind::Letter, &queue)?;
            let oldest = oldest.and_then(|id| id.split('-').next()?.parse::<u64>().ok());
            queues.push(json!({ "name": queue, "letters": records.count(Kind::Letter, &queue)?, "oldestMs": oldest }));
        }
        Ok(queues)
    })?;
    Answer::json(StatusCode::OK, &json!({ "queues": queues }))
}

fn letters(plane: &Plane, queue: &str) -> Result<Answer, ApiError> {
    let letters = plane.store.read(|records| records.list::<Letter>(Kind::Letter, queue))?;
    let shown: Vec<Value> = letters.iter().take(SHOWN_MAX).map(|(_, letter)| letter.shown()).collect();
    Answer::json(StatusCode::OK, &json!({ "letters": shown, "all": letters.len() }))
}

/// Each letter becomes an event for its function in one step: none is lost, none is twice.
fn send_again(plane: &Plane, queue: &str) -> Result<Answer, ApiError> {
    let Redriven { sent, kept } = redrive(plane, queue)?;
    Answer::json(StatusCode::OK, &json!({ "sent": sent, "kept": kept }))
}

fn clear(plane: &Plane, queue: &str) -> Result<Answer, ApiError> {
    let count = plane.store.write(|records| {
        let count = records.count(Kind::Letter, queue)?;
        records.remove_below(Kind::Letter, queue)?;
        Ok(count)
    })?;
    Answer::json(StatusCode::OK, &json!({ "cleared": count }))
}

/// Of one queue.
const LETTERS_MAX: usize = 100_000;
const SHOWN_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keyring;
    use crate::store::Store;

    fn letter(at_ms: u64) -> Letter {
        let text = |text: &str| text.to_owned();
        Letter {
            function: text("f"),
            qualifier: text("1"),
            event: RawValue::from_string(at_ms.to_string()).unwrap(),
            request_id: text("id"),
            condition: text("RetriesExhausted"),
            error: None,
            record: None,
            at_ms,
        }
    }

    #[test]
    fn the_oldest_letter_makes_room_in_a_full_queue() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::load(&dir.path().join("key")).unwrap());
        let store = Store::open(&dir.path().join("state.db"), keyring).unwrap();
        let put = |queue: &str, at_ms| store.write(|records| letter(at_ms).put_within(records, queue, 3)).unwrap();
        // Not in the order of their times.
        [5, 1, 4].into_iter().for_each(|at_ms| put("full", at_ms));
        put("other", 0);
        let events = |queue: &str| {
            let letters = store.read(|records| records.list::<Letter>(Kind::Letter, queue)).unwrap();
            letters.iter().map(|(_, letter)| letter.event.get().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(events("full"), ["1", "4", "5"]);
        put("full", 6);
        put("full", 7);
        assert_eq!((events("full"), events("other")), (vec!["5".into(), "6".into(), "7".into()], vec!["0".into()]));
    }
}
