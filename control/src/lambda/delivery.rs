//! What is to be sent out: kept in the state, tried until it is taken, given up after some
//! hours. A crash between the sending and its being noted down sends it once more.

use super::destination::Destination;
use super::queue::{Task, milliseconds, now_ms};
use crate::error::ApiError;
use crate::plane::Plane;
use crate::services::Services;
use crate::store::{Kind, Records};
use bytes::Bytes;
use http::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// One message on its way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Delivery {
    /// An ARN or URL.
    pub(super) to: String,
    pub(super) body: String,
    pub(super) attributes: Vec<Attribute>,
    /// Of the invocation.
    pub(super) request_id: String,
    /// Unix time, milliseconds.
    accepted_ms: u64,
    pub(super) due_ms: u64,
    attempts: u32,
}

/// An attribute of a message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Attribute {
    name: String,
    kind: String,
    value: String,
}

impl Attribute {
    pub(super) fn text(name: &str, value: &str) -> Attribute {
        Attribute { name: name.to_owned(), kind: "String".into(), value: value.to_owned() }
    }

    pub(super) fn number(name: &str, value: u32) -> Attribute {
        Attribute { name: name.to_owned(), kind: "Number".into(), value: value.to_string() }
    }
}

/// How a sending went.
enum Sent {
    Taken,
    /// Another attempt may succeed.
    NotNow(String),
    Never(String),
}

impl Delivery {
    pub(super) fn new(to: &str, body: String, attributes: Vec<Attribute>, request_id: &str) -> Delivery {
        let now = now_ms();
        let (to, request_id) = (to.to_owned(), request_id.to_owned());
        Delivery { to, body, attributes, request_id, accepted_ms: now, due_ms: now, attempts: 0 }
    }

    /// What follows from one attempt.
    fn after(mut self, sent: &Sent, now_ms: u64) -> Verdict {
        let age = Duration::from_millis(now_ms.saturating_sub(self.accepted_ms));
        match sent {
            Sent::Taken => Verdict::Done,
            Sent::NotNow(_) if age < AGE_MAX => {
                let wait = PAUSE_MIN.saturating_mul(1 << self.attempts.min(16)).min(PAUSE_MAX);
                self.attempts += 1;
                self.due_ms = now_ms + milliseconds(wait);
                Verdict::Again(self, wait)
            }
            Sent::NotNow(_) | Sent::Never(_) => Verdict::GivenUp,
        }
    }

    /// Keeps it; what there is to do.
    pub(super) fn put(&self, records: &Records<'_>) -> Result<(u64, Task), ApiError> {
        let id = Uuid::new_v4().to_string();
        records.put(Kind::Delivery, "", &id, self)?;
        Ok((self.due_ms, Task::Delivery(id)))
    }
}

/// Sends what waits under this id, once.
pub(super) async fn attempt(plane: &Arc<Plane>, id: &str) {
    let (reads, own) = (Arc::clone(plane), id.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        reads.store.read(|records| records.find::<Delivery>(Kind::Delivery, "", &own))
    });
    let delivery = match found.await {
        Ok(Ok(Some(delivery))) => delivery,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::error!(id, "a delivery cannot be read: {error}"),
        Err(error) => return tracing::error!(id, "a delivery cannot be read: {error}"),
    };
    let sent = send(&plane.services, &delivery).await;
    let (writes, own) = (Arc::clone(plane), id.to_owned());
    let written = tokio::task::spawn_blocking(move || settle(&writes, &own, delivery, sent)).await;
    if let Ok(Err(error)) = written {
        // It stays as it was, and is sent again at the next start.
        tracing::error!(id, "what became of a delivery cannot be written down: {error}");
    }
}

/// What is to become of a delivery after an attempt.
#[derive(Debug)]
enum Verdict {
    Done,
    Again(Delivery, Duration),
    GivenUp,
}

/// Writes down what became of it.
fn settle(plane: &Plane, id: &str, delivery: Delivery, sent: Sent) -> Result<(), ApiError> {
    let (to, request) = (delivery.to.clone(), delivery.request_id.clone());
    let reason = match &sent {
        Sent::Taken => String::new(),
        Sent::NotNow(reason) | Sent::Never(reason) => reason.clone(),
    };
    match delivery.after(&sent, now_ms()) {
        Verdict::Again(later, wait) => {
            tracing::warn!(to, request, ?wait, "not delivered yet: {reason}");
            plane.store.write(|records| records.put(Kind::Delivery, "", id, &later))?;
            plane.queue.add(later.due_ms, Task::Delivery(id.to_owned()));
            return Ok(());
        }
        Verdict::GivenUp => tracing::error!(to, request, "a delivery is given up: {reason}"),
        Verdict::Done => {}
    }
    plane.store.write(|records| records.remove(Kind::Delivery, "", id).map(drop))
}

async fn send(services: &Services, delivery: &Delivery) -> Sent {
    let destination = match Destination::parse(&delivery.to, services) {
        Ok(destination) => destination,
        Err(error) => return Sent::Never(error.message),
    };
    let asked = match (&destination, &services.sqs, &services.sns) {
        (Destination::Sqs { region, account, queue }, Some(sqs), _) => {
            let request = message(&sqs.endpoint, (account, queue), delivery);
            services.ask_signed(sqs, request, ("sqs", region)).await
        }
        (Destination::Sns { region, arn }, _, Some(sns)) => {
            services.ask_signed(sns, notification(&sns.endpoint, arn, delivery), ("sns", region)).await
        }
        (Destination::Url(uri), _, _) => services.ask(posted(&uri.to_string(), delivery)).await,
        (_, _, _) => return Sent::Never("nothing is sent there".into()),
    };
    match asked {
        Ok((status, _)) if status.is_success() => Sent::Taken,
        Ok((status, body)) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES_MAX)]).into_owned();
            let reason = format!("{status}: {text}");
            if is_final(status) { Sent::Never(reason) } else { Sent::NotNow(reason) }
        }
        Err(error) => Sent::NotNow(error.to_string()),
    }
}

/// Whether the same request would be refused again. What an operator can put right is not meant.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && ![401, 403, 404, 408, 429].contains(&status.as_u16())
}

/// AWS: "SendMessage", in the JSON protocol.
fn message(endpoint: &str, (account, queue): (&str, &str), delivery: &Delivery) -> Request<Bytes> {
    let attributes = delivery.attributes.iter().map(|attribute| {
        let value = json!({ "DataType": attribute.kind, "StringValue": attribute.value });
        (attribute.name.clone(), value)
    });
    let mut body = json!({ "QueueUrl": format!("{endpoint}/{account}/{queue}"), "MessageBody": delivery.body });
    if !delivery.attributes.is_empty() {
        body["MessageAttributes"] = Value::Object(attributes.collect::<Map<_, _>>());
    }
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessage")];
    post(&format!("{endpoint}/"), &headers, body.to_string())
}

/// AWS: "Publish", in the query protocol.
fn notification(endpoint: &str, arn: &str, delivery: &Delivery) -> Request<Bytes> {
    let mut form = vec![
        ("Action".to_owned(), "Publish"),
        ("Version".to_owned(), "2010-03-31"),
        ("TopicArn".to_owned(), arn),
        ("Message".to_owned(), &delivery.body),
    ];
    for (nth, attribute) in delivery.attributes.iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", nth + 1);
        form.push((format!("{entry}.Name"), &attribute.name));
        form.push((format!("{entry}.Value.DataType"), &attribute.kind));
        form.push((format!("{entry}.Value.StringValue"), &attribute.value));
    }
    let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    post(&format!("{endpoint}/"), &headers, pairs.join("&"))
}

/// A record for whoever answers at a URL.
fn posted(url: &str, delivery: &Delivery) -> Request<Bytes> {
    let headers = [("content-type", "application/json"), ("x-amzn-requestid", delivery.request_id.as_str())];
    post(url, &headers, delivery.body.clone())
}

fn post(url: &str, headers: &[(&str, &str)], body: String) -> Request<Bytes> {
    let request = headers.iter().fold(Request::post(url), |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).expect("an endpoint that was checked makes a request")
}

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// As long as an event may wait.
const AGE_MAX: Duration = Duration::from_secs(6 * 3600);
const REASON_BYTES_MAX: usize = 1024;
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_tried_ever_more_rarely_for_six_hours_and_then_given_up() {
        let mut now = Delivery::new("arn:aws:sqs:eu-west-1:123456789012:q", "{}".into(), Vec::new(), "id");
        let accepted = now.accepted_ms;
        let not_now = Sent::NotNow("503".into());
        let mut waits = Vec::new();
        let ended = loop {
            // Each attempt takes as long as one may.
            let ended = now.due_ms + 60_000;
            match now.clone().after(&not_now, ended) {
                Verdict::Again(later, wait) => {
                    assert_eq!(later.due_ms, ended + milliseconds(wait));
                    waits.push(wait.as_secs());
                    now = later;
                }
                Verdict::GivenUp => break ended,
                Verdict::Done => panic!("nobody took it"),
            }
        };
        assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(waits[10..].iter().all(|wait| *wait == 300));
        let hours = Duration::from_millis(ended - accepted);
        let last = Duration::from_secs(300 + 60);
        assert!(hours >= AGE_MAX && hours < AGE_MAX + last && AGE_MAX == Duration::from_secs(6 * 3600), "{hours:?}");
    }

    #[test]
    fn what_was_taken_and_what_is_refused_for_good_is_over_at_once() {
        let delivery = Delivery::new("https://hooks.example.com/", "{}".into(), Vec::new(), "id");
        assert!(matches!(delivery.clone().after(&Sent::Taken, now_ms()), Verdict::Done));
        assert!(matches!(delivery.after(&Sent::Never("400".into()), now_ms()), Verdict::GivenUp));
        assert!(is_final(StatusCode::BAD_REQUEST) && !is_final(StatusCode::FORBIDDEN));
        assert!(!is_final(StatusCode::SERVICE_UNAVAILABLE));
    }
}
