//! The HTTP cache: where responses are kept ([`storage`]), under which key
//! ([`key`]) and for how long ([`policy`]), and who waits for whom
//! ([`collapse`]). It knows no hooks; `edge` calls it.

mod age;
pub(crate) mod changes;
pub(crate) mod collapse;
pub(crate) mod counters;
pub(crate) mod directives;
pub(crate) mod fields;
pub(crate) mod invalidation;
pub(crate) mod key;
pub(crate) mod part;
pub(crate) mod policy;
pub(crate) mod status;
pub(crate) mod storage;
mod too_large;
pub(crate) mod vary;

use changes::Changes;
use collapse::Collapse;
use counters::Counters;
use deployment::Server;
use invalidation::Invalidations;
use moka::sync::Cache as Moka;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::{CacheKey, CacheOptionOverrides, HttpCache};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::Store;
pub use storage::disk::DiskError;

/// The PoP's cache: one store and one lock table for as long as the process lives.
pub(crate) struct Cache {
    pub(crate) store: &'static Store,
    pub(crate) collapse: &'static Collapse,
    pub(crate) invalidations: &'static Invalidations,
    pub(crate) counters: Arc<Counters>,
    /// Stale responses that stand in for a failed origin, and until when it is not asked again.
    standing_in: Moka<HashBinary, Instant>,
    /// Wholes whose origin gives no parts of them.
    undivided: Moka<HashBinary, ()>,
}

/// In a stored response's extensions: it is a custom error page, so viewer-response does not run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CustomErrorPage;

impl Cache {
    /// The cache that `server` asks for. Pingora wants both parts for `'static`, so
    /// they are leaked: make one per process.
    ///
    /// # Errors
    /// Another process uses the directory of its disk.
    pub(crate) fn open(server: &Server, counters: Arc<Counters>) -> Result<Cache, DiskError> {
        let changes = Arc::new(Changes::new());
        let store: &'static Store = Box::leak(Box::new(Store::open(server, &changes, &counters)?));
        Ok(Cache {
            store,
            collapse: Box::leak(Box::new(Collapse::new(changes, store.too_large()))),
            invalidations: Box::leak(Box::default()),
            counters,
            standing_in: Moka::builder().max_capacity(STANDING_IN_MAX).build(),
            undivided: Moka::builder().max_capacity(UNDIVIDED_MAX).time_to_live(UNDIVIDED_FOR).build(),
        })
    }

    /// Turns caching on for one request.
    pub(crate) fn enable(&self, cache: &mut HttpCache) {
        let mut overrides = CacheOptionOverrides::default();
        overrides.wait_timeout = Some(LOCK_WAIT_MAX);
        cache.enable(self.store, None, None, Some(self.collapse), Some(overrides));
    }

    /// The origin answers with the whole when it is asked for a part.
    pub(crate) fn remember_undivided(&self, whole: HashBinary) {
        self.undivided.insert(whole, ());
    }

    /// Whether it did when it was last asked: who wants a part waits for the whole with the others.
    pub(crate) fn is_undivided(&self, whole: &CacheKey) -> bool {
        self.undivided.contains_key(&whole.primary_bin())
    }

    /// The stale response of this key stands in for the origin for so long.
    pub(crate) fn stand_in(&self, key: &CacheKey, how_long: Duration) {
        self.standing_in.insert(key.combined_bin(), Instant::now() + how_long);
    }

    /// Whether the origin failed a moment ago and is not to be asked again yet.
    pub(crate) fn stands_in(&self, key: &CacheKey) -> bool {
        self.standing_in.get(&key.combined_bin()).is_some_and(|until| Instant::now() < until)
    }
}

/// How long one viewer waits for the fetchers of others before it goes to the origin itself.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);

/// How many failing keys are remembered; the origin is asked about others each time.
const STANDING_IN_MAX: u64 = 100_000;

/// How many wholes are remembered as never given in parts, and how long.
const UNDIVIDED_MAX: u64 = 100_000;
const UNDIVIDED_FOR: Duration = Duration::from_secs(600);
