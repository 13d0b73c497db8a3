//! Asynchronous invocations: kept in the state before they are accepted, run from there,
//! retried, and handed to a destination. What was accepted is run at least once; a crash
//! between a run and its being noted down runs it once more. What leaves the edge because
//! of one is `delivery`'s, and waits in the same queue.

use super::delivery::{self, Delivery};
use super::ending::{Ended, Ending};
use super::event_config::{self, EventConfig};
use super::names::{LATEST, Named, invalid};
use super::record::version;
use super::{alias, invoke};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::letters::Letter;
use crate::plane::Plane;
use crate::store::{Kind, Records};
use bytes::Bytes;
use environment::{Outcome, Throttle};
use functions::Invocation;
use http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

/// When each event and delivery that waits is due. They themselves are in the state.
#[derive(Debug)]
pub(crate) struct Queue {
    due: Mutex<BTreeSet<(u64, Task)>>,
    changed: Notify,
    /// After the first and the second error.
    retry_waits: [Duration; 2],
}

/// What there is to do, by its id in the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Run(String),
    Delivery(String),
}

/// An event that was accepted. Its id is the request's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Waiting {
    pub(super) function: String,
    pub(super) qualifier: String,
    pub(super) event: Box<RawValue>,
    /// Unix time, milliseconds.
    accepted_ms: u64,
    due_ms: u64,
    /// Runs that ended in an error.
    errors: u32,
    /// Times that it could not be run.
    delays: u32,
}

/// What is to become of an event after an attempt.
#[derive(Debug)]
enum Verdict {
    Again(Waiting),
    Over(Ending),
}

/// What letters of events sent to their functions again became.
#[derive(Debug)]
pub(crate) struct Redriven {
    pub(crate) sent: usize,
    /// Of functions that are not there any more.
    pub(crate) kept: usize,
}

impl Queue {
    pub(crate) fn new(retry_waits: [Duration; 2]) -> Queue {
        Queue { due: Mutex::default(), changed: Notify::new(), retry_waits }
    }

    pub(super) fn add(&self, due_ms: u64, task: Task) {
        self.due.lock().insert((due_ms, task));
        self.changed.notify_one();
    }

    /// The next that is due, or how long until one is.
    fn next(&self, now_ms: u64) -> Result<Task, Duration> {
        let mut due = self.due.lock();
        match due.pop_first() {
            Some((due_ms, task)) if due_ms <= now_ms => Ok(task),
            Some((due_ms, task)) => {
                due.insert((due_ms, task));
                Err(Duration::from_millis(due_ms - now_ms))
            }
            None => Err(IDLE),
        }
    }
}

/// Accepts an event for the version or alias. Blocks.
pub(super) fn accept(plane: &Plane, named: &Named, event: &Bytes) -> Result<Answer, ApiError> {
    if event.len() > EVENT_BYTES_MAX {
        let message = format!("the event has {} bytes, at most {EVENT_BYTES_MAX} are allowed", event.len());
        return Err(ApiError::new(Code::PAYLOAD_TOO_LARGE, message));
    }
    if plane.queue.due.lock().len() >= WAITING_MAX {
        return Err(ApiError::new(Code::TOO_MANY_REQUESTS, format!("{WAITING_MAX} events are waiting already")));
    }
    let event = serde_json::from_slice(event).map_err(|error| invalid(error.to_string()))?;
    let qualifier = named.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
    let waiting = Waiting::now(&named.name, &qualifier, event);
    let id = Uuid::new_v4().to_string();
    plane.store.write(|records| {
        let number = alias::main_version(records, &named.name, &qualifier)?;
        version(records, &named.name, &number)?;
        records.put(Kind::Event, "", &id, &waiting)
    })?;
    plane.queue.add(waiting.due_ms, Task::Run(id.clone()));
    Ok(Answer::empty(StatusCode::ACCEPTED).with("x-amzn-requestid", id))
}

/// Sends the events of a queue of this edge to their functions again. Blocks.
pub(crate) fn redrive(plane: &Plane, queue: &str) -> Result<Redriven, ApiError> {
    let (added, kept) = plane.store.write(|records| {
        let (mut added, mut kept) = (Vec::new(), 0);
        for (id, letter) in records.list::<Letter>(Kind::Letter, queue)? {
            let number = alias::main_version(records, &letter.function, &letter.qualifier);
            let there = number.and_then(|number| version(records, &letter.function, &number));
            if there.is_err() || plane.queue.due.lock().len() + added.len() >= WAITING_MAX {
                kept += 1;
                continue;
            }
            records.remove(Kind::Letter, queue, &id)?;
            added.push(Waiting::now(&letter.function, &letter.qualifier, letter.event).put(records)?);
        }
        Ok((added, kept))
    })?;
    let sent = added.len();
    added.into_iter().for_each(|(due_ms, task)| plane.queue.add(due_ms, task));
    Ok(Redriven { sent, kept })
}

/// Does what is due, until the task is dropped.
pub(crate) async fn run(plane: Arc<Plane>) {
    let reads = Arc::clone(&plane);
    let found = tokio::task::spawn_blocking(move || {
        reads.store.read(|records| {
            let runs = records.list::<Waiting>(Kind::Event, "")?.into_iter();
            let deliveries = records.list::<Delivery>(Kind::Delivery, "")?.into_iter();
            let runs = runs.map(|(id, waiting)| (waiting.due_ms, Task::Run(id)));
            Ok(runs.chain(deliveries.map(|(id, delivery)| (delivery.due_ms, Task::Delivery(id)))).collect::<Vec<_>>())
        })
    });
    match found.await {
        Ok(Ok(found)) => found.into_iter().for_each(|(due_ms, task)| plane.queue.add(due_ms, task)),
        Ok(Err(error)) => tracing::error!("the events that wait cannot be read: {error}"),
        Err(error) => tracing::error!("the events that wait cannot be read: {error}"),
    }
    let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match plane.queue.next(now_ms()) {
            Ok(task) => {
                let plane = Arc::clone(&plane);
                tokio::spawn(async move {
                    match task {
                        Task::Run(id) => attempt(&plane, &id).await,
                        Task::Delivery(id) => delivery::attempt(&plane, &id).await,
                    }
                    drop(place);
                });
            }
            Err(pause) => {
                drop(place);
                // Either way it is time to look again.
                let _ = tokio::time::timeout(pause, plane.queue.changed.notified()).await;
            }
        }
    }
}

async fn attempt(plane: &Arc<Plane>, id: &str) {
    let (reads, own) = (Arc::clone(plane), id.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        reads.store.read(|records| {
            let Some(waiting) = records.find::<Waiting>(Kind::Event, "", &own)? else { return Ok(None) };
            let config = event_config::of(records, &waiting.function, &waiting.qualifier)?;
            Ok(Some((waiting, config)))
        })
    });
    let (waiting, config) = match found.await {
        Ok(Ok(Some(found))) => found,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::error!(id, "an event cannot be read: {error}"),
        Err(error) => return tracing::error!(id, "an event cannot be read: {error}"),
    };
    let verdict = judged(plane, id, waiting.clone(), &config).await;
    let (writes, own) = (Arc::clone(plane), id.to_owned());
    let written = tokio::task::spawn_blocking(move || settle(&writes, &own, &waiting, &config, verdict)).await;
    if let Ok(Err(error)) = written {
        // It stays as it was, and is run again at the next start.
        tracing::error!(id, "what became of an event cannot be written down: {error}");
    }
}

/// Runs the event once, unless it is too old.
async fn judged(plane: &Arc<Plane>, id: &str, waiting: Waiting, config: &EventConfig) -> Verdict {
    let age = Duration::from_millis(now_ms().saturating_sub(waiting.accepted_ms));
    if age > config.age_max() {
        return Verdict::Over(Ending { condition: "EventAgeExceeded", runs: waiting.errors, last: None });
    }
    match run_once(plane, id, &waiting).await {
        Ok((number, invocation)) => waiting.after(&number, &invocation, config, plane.queue.retry_waits),
        Err(error) if error.code == Code::NOT_FOUND => {
            Verdict::Over(Ending { condition: "RetriesExhausted", runs: waiting.errors, last: None })
        }
        Err(_) => waiting.delayed(),
    }
}

async fn run_once(plane: &Arc<Plane>, id: &str, waiting: &Waiting) -> Result<(String, Invocation), ApiError> {
    let (number, function) = invoke::chosen(plane, &waiting.function, Some(&waiting.qualifier)).await?;
    let id = id.parse().map_err(|error: uuid::Error| ApiError::of_ours(&error))?;
    let event = Bytes::copy_from_slice(waiting.event.get().as_bytes());
    Ok((number, function.invoke_as(id, event).await))
}

impl Waiting {
    /// Keeps it; what there is to do.
    pub(super) fn put(&self, records: &Records<'_>) -> Result<(u64, Task), ApiError> {
        let id = Uuid::new_v4().to_string();
        records.put(Kind::Event, "", &id, self)?;
        Ok((self.due_ms, Task::Run(id)))
    }

    pub(super) fn now(function: &str, qualifier: &str, event: Box<RawValue>) -> Waiting {
        let now = now_ms();
        let (function, qualifier) = (function.to_owned(), qualifier.to_owned());
        Waiting { function, qualifier, event, accepted_ms: now, due_ms: now, errors: 0, delays: 0 }
    }

    /// What follows from one run.
    fn after(mut self, number: &str, invocation: &Invocation, config: &EventConfig, waits: [Duration; 2]) -> Verdict {
        let failed = !matches!(invocation.outcome, Outcome::Result(_));
        if let Outcome::Throttled(Throttle::Reserved { max: 0 }) = invocation.outcome {
            return Verdict::Over(Ending { condition: "ZeroReservedConcurrency", runs: self.errors, last: None });
        }
        if matches!(invocation.outcome, Outcome::Throttled(_) | Outcome::Canceled) {
            return self.delayed();
        }
        self.errors += u32::from(failed);
        let again = waits.get(usize::try_from(self.errors).unwrap_or(usize::MAX).wrapping_sub(1));
        if let (true, Some(wait)) = (failed && self.errors <= config.retries_max(), again) {
            self.due_ms = now_ms() + milliseconds(*wait);
            return Verdict::Again(self);
        }
        let body = match &invocation.outcome {
            Outcome::Result(result) => serde_json::from_slice(result).unwrap_or(Value::Null),
            failure => invoke::failure(failure, invocation),
        };
        let condition = if failed { "RetriesExhausted" } else { "Success" };
        let runs = self.errors + u32::from(!failed);
        Verdict::Over(Ending { condition, runs, last: Some((number.to_owned(), failed, body)) })
    }

    /// It could not be run: later, ever later.
    fn delayed(mut self) -> Verdict {
        let wait = DELAY_MIN.saturating_mul(1 << self.delays.min(16)).min(DELAY_MAX);
        self.delays += 1;
        self.due_ms = now_ms() + milliseconds(wait);
        Verdict::Again(self)
    }
}

/// Writes down what became of the event, together with what follows from it.
fn settle(plane: &Plane, id: &str, waiting: &Waiting, config: &EventConfig, verdict: Verdict) -> Result<(), ApiError> {
    let tasks = plane.store.write(|records| match verdict {
        Verdict::Again(later) => {
            records.put(Kind::Event, "", id, &later)?;
            Ok(vec![(later.due_ms, Task::Run(id.to_owned()))])
        }
        Verdict::Over(ending) => {
            records.remove(Kind::Event, "", id)?;
            let event = Ended { id, waiting, ending: &ending };
            let mut tasks = Vec::new();
            let destination = config.destination(ending.succeeded());
            if let Some(destination) = destination {
                tasks.extend(event.hand_over(plane, records, destination)?);
            }
            let dead_letters = event.dead_letters(records).filter(|_| !ending.succeeded());
            if let Some(destination) = &dead_letters {
                tasks.extend(event.leave(plane, records, destination)?);
            }
            if destination.is_none() && dead_letters.is_none() && !ending.succeeded() {
                tracing::warn!(id, function = waiting.function, "an event is given up: {}", ending.condition);
            }
            Ok(tasks)
        }
    })?;
    tasks.into_iter().for_each(|(due_ms, task)| plane.queue.add(due_ms, task));
    Ok(())
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// AWS: "Lambda quotas", invocation payload of an asynchronous call.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Ours.
const WAITING_MAX: usize = 100_000;
const AT_ONCE_MAX: usize = 64;
/// AWS: "How Lambda handles errors and retries with asynchronous invocation".
const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use environment::ErrorPayload;

    const WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

    fn waiting() -> Waiting {
        Waiting::now("f", LATEST, RawValue::from_string("{}".into()).unwrap())
    }

    fn ended(outcome: Outcome) -> Invocation {
        let (id, duration) = (Uuid::from_u128(1), Duration::ZERO);
        Invocation { id, outcome, duration, init: None, memory_used_mb: 0, log_tail: Bytes::new() }
    }

    #[test]
    fn errors_are_retried_after_one_and_two_minutes_and_then_given_up() {
        let failed = ended(Outcome::Threw(ErrorPayload::default()));
        let mut now = waiting();
        for seconds in [60, 120] {
            let began = now_ms();
            let Verdict::Again(later) = now.after("1", &failed, &EventConfig::default(), WAITS) else {
                panic!("again")
            };
            assert!((seconds * 1000..seconds * 1000 + 5000).contains(&(later.due_ms - began)), "{later:?}");
            now = later;
        }
        let Verdict::Over(ending) = now.after("1", &failed, &EventConfig::default(), WAITS) else { panic!("over") };
        assert_eq!((ending.condition, ending.runs), ("RetriesExhausted", 3));
    }

    #[test]
    fn what_cannot_be_run_is_delayed_ever_longer_and_counts_as_no_error() {
        let throttled = ended(Outcome::Throttled(Throttle::Reserved { max: 1 }));
        let mut now = waiting();
        let mut waits = Vec::new();
        for _ in 0..12 {
            let began = now_ms();
            let Verdict::Again(later) = now.after("1", &throttled, &EventConfig::default(), WAITS) else {
                panic!("again")
            };
            waits.push((later.due_ms - began) / 1000);
            now = later;
        }
        assert_eq!(now.errors, 0);
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }
}
