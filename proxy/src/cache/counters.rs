//! What is counted of each behavior: what the cache did for its viewers, and what it
//! evicted. `edge` counts requests, [`storage`](super::storage) evictions;
//! `metrics` gives the numbers out.

use super::key::{BehaviorKey, PlaceKey};
use deployment::{Behavior, Deployment, Distribution};
use parking_lot::RwLock;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What the cache did for one viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// From the cache, fresh.
    Hit,
    /// From the cache, expired: while it is fetched anew, or because the origin failed.
    Stale,
    /// From the cache, after the origin said that it is still good.
    Revalidated,
    /// From the origin, and stored.
    Miss,
    /// From the origin, and not stored.
    Pass,
    /// By the edge itself or a function, without cache or origin.
    Made,
}

/// Where a response was evicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Memory,
    Disk,
}

/// One request that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) served: Served,
    /// Whether it waited for the fetch of another.
    pub(crate) collapsed: bool,
    /// Of the body that the viewer got.
    pub(crate) bytes: u64,
}

/// The counters of one PoP.
pub(crate) struct Counters {
    requests: IntCounterVec,
    bytes: IntCounterVec,
    collapsed: IntCounterVec,
    evictions: IntCounterVec,
    behaviors: RwLock<Behaviors>,
}

#[derive(Default)]
struct Behaviors {
    /// By distribution's id and path pattern.
    by_name: HashMap<String, HashMap<String, Arc<OfBehavior>>>,
    by_key: HashMap<BehaviorKey, Arc<OfBehavior>>,
}

/// The counters of one behavior.
struct OfBehavior {
    requests: [IntCounter; SERVED.len()],
    bytes: [IntCounter; SERVED.len()],
    collapsed: IntCounter,
    evictions: [IntCounter; TIERS.len()],
}

impl Counters {
    /// Counters that `registry`, which has none yet, gives out.
    pub(crate) fn new(registry: &Registry) -> Counters {
        let counter = |name: &str, help: &str, last: &[&str]| {
            let labels = [&["distribution", "behavior"], last].concat();
            let counter = IntCounterVec::new(Opts::new(name, help), &labels).expect("names and labels are well formed");
            registry.register(Box::new(counter.clone())).expect("each name is registered once");
            counter
        };
        Counters {
            requests: counter("selvedge_requests_total", "Requests of viewers, by what the cache did", &["cache"]),
            bytes: counter("selvedge_body_bytes_total", "Bytes of bodies sent to viewers", &["cache"]),
            collapsed: counter("selvedge_collapsed_total", "Requests that waited for another one's fetch", &[]),
            evictions: counter("selvedge_evictions_total", "Stored responses that made room for others", &["tier"]),
            behaviors: RwLock::default(),
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self, distribution: &Distribution, behavior: &Behavior, answered: Answered) {
        let of = self.of(distribution, behavior);
        let (Some(requests), Some(bytes)) =
            (of.requests.get(answered.served as usize), of.bytes.get(answered.served as usize))
        else {
            return;
        };
        requests.inc();
        bytes.inc_by(answered.bytes);
        if answered.collapsed {
            of.collapsed.inc();
        }
    }

    /// Counts a response that made room for others. One whose behavior nobody has
    /// named since the start belongs to none.
    pub(crate) fn evicted(&self, place: PlaceKey, tier: Tier) {
        let behaviors = self.behaviors.read();
        match behaviors.by_key.get(&place.behavior()).and_then(|of| of.evictions.get(tier as usize)) {
            Some(counter) => counter.inc(),
            None => self.evictions.with_label_values(&["", "", TIERS[tier as usize]]).inc(),
        }
    }

    /// Makes the counters of all behaviors, which then start at zero and not with the first request.
    pub(crate) fn know(&self, deployment: &Deployment) {
        for distribution in &deployment.distributions {
            distribution.behaviors.iter().for_each(|behavior| drop(self.of(distribution, behavior)));
        }
    }

    fn of(&self, distribution: &Distribution, behavior: &Behavior) -> Arc<OfBehavior> {
        let pattern = behavior.pattern.as_str();
        let known = self.behaviors.read().by_name.get(&distribution.id).and_then(|of| of.get(pattern).cloned());
        if let Some(known) = known {
            return known;
        }
        let labels = [distribution.name.as_str(), pattern];
        let with = |counter: &IntCounterVec, last: &str| counter.with_label_values(&[labels[0], labels[1], last]);
        let of = Arc::new(OfBehavior {
            requests: SERVED.map(|served| with(&self.requests, served)),
            bytes: SERVED.map(|served| with(&self.bytes, served)),
            collapsed: self.collapsed.with_label_values(&labels),
            evictions: TIERS.map(|tier| with(&self.evictions, tier)),
        });
        let mut behaviors = self.behaviors.write();
        behaviors.by_key.insert(BehaviorKey::of(distribution, behavior), Arc::clone(&of));
        let by_pattern = behaviors.by_name.entry(distribution.id.clone()).or_default();
        by_pattern.insert(pattern.to_owned(), Arc::clone(&of));
        of
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

/// In the order of [`Served`].
const SERVED: [&str; 6] = ["hit", "stale", "revalidated", "miss", "pass", "none"];
/// In the order of [`Tier`].
pub(crate) const TIERS: [&str; 2] = ["memory", "disk"];
