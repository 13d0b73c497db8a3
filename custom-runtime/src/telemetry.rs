//! What happens in an environment, for the extensions that have subscribed to
//! it (AWS: "Accessing real-time telemetry data for extensions using the
//! Telemetry API"). `supervisor` says what happens; each subscriber has a
//! buffer, and a task that delivers it.

mod buffer;
mod delivery;
mod event;
mod subscription;

pub(crate) use event::{Event, Response, RuntimeDone, Source};
pub(crate) use subscription::{Api, Invalid, Subscription};

use buffer::Buffer;
use environment::{Initialization, Manifest};
use event::About;
use std::rc::Rc;
use std::time::SystemTime;

/// Why somebody may not subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The init phase is over.
    Closed,
    /// It has subscribed with the other API.
    OtherApi,
}

/// Everybody who has subscribed.
pub(crate) struct Telemetry {
    about: About,
    subscribers: Vec<Subscriber>,
    /// What was said in the init phase, for those who subscribe later in it; `None` afterwards.
    early: Option<Vec<(SystemTime, Event)>>,
}

struct Subscriber {
    extension: String,
    subscription: Subscription,
    buffer: Rc<Buffer>,
}

impl Telemetry {
    /// Of a new environment.
    pub(crate) fn new(manifest: &Manifest) -> Telemetry {
        let about = About {
            function: manifest.function_name.clone(),
            version: manifest.version.clone(),
            memory_mb: manifest.memory_mb,
            initialization: match manifest.initialization {
                Initialization::ProvisionedConcurrency => "provisioned-concurrency",
                Initialization::OnDemand | Initialization::SnapStart => "on-demand",
            },
        };
        Telemetry { about, subscribers: Vec::new(), early: Some(Vec::new()) }
    }

    /// Something has happened.
    pub(crate) fn put(&mut self, event: Event) {
        let now = SystemTime::now();
        for subscriber in &self.subscribers {
            subscriber.put(&self.about, now, &event);
        }
        if let Some(early) = self.early.as_mut().filter(|early| early.len() < EARLY_MAX) {
            early.push((now, event));
        }
    }

    /// Whether lines and events interest anybody.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.subscribers.is_empty() || self.early.is_some()
    }

    /// An extension subscribes. One that has done so already has what it wants. Must be called inside a local set.
    pub(crate) fn subscribe(&mut self, extension: &str, subscription: Subscription) -> Result<(), Refused> {
        let Some(early) = &self.early else { return Err(Refused::Closed) };
        if let Some(there) = self.subscribers.iter().find(|there| there.extension == extension) {
            let is_same = there.subscription.api == subscription.api;
            return if is_same { Ok(()) } else { Err(Refused::OtherApi) };
        }
        let buffer = Rc::new(Buffer::new(subscription.buffering));
        let subscriber = Subscriber { extension: extension.to_owned(), subscription, buffer };
        for (at, event) in early {
            subscriber.put(&self.about, *at, event);
        }
        let (destination, buffer) = (subscriber.subscription.destination.clone(), Rc::clone(&subscriber.buffer));
        tokio::task::spawn_local(delivery::deliver(buffer, destination));
        let types = subscriber.subscription.types.clone();
        self.subscribers.push(subscriber);
        self.put(Event::Subscribed { extension: extension.to_owned(), types });
        Ok(())
    }

    /// The init phase is over: nobody subscribes any more.
    pub(crate) fn close(&mut self) {
        self.early = None;
    }

    /// Whatever is buffered is to be delivered now.
    pub(crate) fn flush(&self) {
        self.subscribers.iter().for_each(|subscriber| subscriber.buffer.flush());
    }
}

impl Subscriber {
    fn put(&self, about: &About, at: SystemTime, event: &Event) {
        if self.subscription.types.contains(&event.stream()) {
            let texts = event.texts(about, self.subscription.schema, at);
            texts.into_iter().for_each(|text| self.buffer.put(text));
        }
    }
}

/// Events of an init phase that are kept.
const EARLY_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
