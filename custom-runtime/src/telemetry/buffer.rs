//! What one subscriber has not been sent yet, bounded.

use super::event;
use super::subscription::Buffering;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::SystemTime;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Events of one subscriber, each as JSON.
pub(super) struct Buffer {
    buffering: Buffering,
    waiting: RefCell<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<String>,
    bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    dropped: Dropped,
    is_urgent: bool,
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Buffer {
    pub(super) fn new(buffering: Buffering) -> Buffer {
        Buffer { buffering, waiting: RefCell::default(), news: Notify::new() }
    }

    /// Adds an event, or counts it when the subscriber is too far behind.
    pub(super) fn put(&self, event: String) {
        let mut waiting = self.waiting.borrow_mut();
        let has_room = waiting.bytes + event.len() <= self.buffering.bytes_max * HELD_BATCHES
            && waiting.events.len() < self.buffering.items_max * HELD_BATCHES;
        if !has_room && !waiting.events.is_empty() {
            waiting.dropped.records += 1;
            waiting.dropped.bytes += event.len();
            return;
        }
        waiting.bytes += event.len();
        waiting.events.push_back(event);
        waiting.since.get_or_insert_with(Instant::now);
        self.news.notify_one();
    }

    /// Makes what is there due.
    pub(super) fn flush(&self) {
        self.waiting.borrow_mut().is_urgent = true;
        self.news.notify_one();
    }

    /// Waits for the next batch: JSON of each event.
    pub(super) async fn batch(&self) -> Vec<String> {
        loop {
            let due = {
                let waiting = self.waiting.borrow();
                let is_full =
                    waiting.events.len() >= self.buffering.items_max || waiting.bytes >= self.buffering.bytes_max;
                match waiting.since {
                    Some(_) if is_full || waiting.is_urgent => break,
                    since => since.map(|since| since + self.buffering.timeout),
                }
            };
            match due {
                None => self.news.notified().await,
                Some(due) if due <= Instant::now() => break,
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.news.notified()).await;
                }
            }
        }
        self.take()
    }

    fn take(&self) -> Vec<String> {
        let mut waiting = self.waiting.borrow_mut();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        if waiting.dropped != Dropped::default() {
            batch.push(event::dropped(std::mem::take(&mut waiting.dropped), SystemTime::now()));
        }
        while let Some(next) = waiting.events.front() {
            if batch.len() >= self.buffering.items_max || (bytes > 0 && bytes + next.len() > self.buffering.bytes_max) {
                break;
            }
            bytes += next.len();
            batch.extend(waiting.events.pop_front());
        }
        waiting.bytes -= bytes;
        if waiting.events.is_empty() {
            waiting.since = None;
            waiting.is_urgent = false;
        }
        batch
    }
}

/// How many batches wait for a subscriber that takes none.
const HELD_BATCHES: usize = 2;
