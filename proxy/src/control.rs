//! What operators tell a running PoP: HTTP over a Unix socket in its data directory,
//! which only its own user can open. `selvedge purge` and `selvedge metrics` speak to
//! it through [`Client`].

mod client;
mod journal;

pub use client::{Client, ClientError};

use crate::cache::invalidation::{Invalidations, Item};
use crate::live::Live;
use crate::local_http;
use crate::metrics::{self, Metrics};
use bytes::Bytes;
use deployment::Distribution;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use journal::Journal;
use serde::{Deserialize, Serialize};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{UnixListener, UnixStream};

/// What is taken out of the cache of one distribution: paths that may end with `*`, and `#tags`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Invalidation {
    /// Its name in the configuration, its id, or one of its domains.
    pub distribution: String,
    pub items: Vec<String>,
}

/// The listening end.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    operator: Operator,
}

/// Who does what is told.
#[derive(Debug)]
struct Operator {
    live: Arc<Live>,
    told: Told,
    journal: Journal,
}

/// What is told here, and what is asked for.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) invalidations: &'static Invalidations,
    pub(crate) metrics: Arc<Metrics>,
}

impl Control {
    pub(crate) fn new(live: Arc<Live>, told: Told, data_dir: &Path) -> io::Result<Control> {
        let journal = Journal::open(&data_dir.join(JOURNAL))?;
        for (at, distribution, items) in journal.entries()? {
            told.invalidations.add(&distribution, items, at);
        }
        let listener = Socket::open(data_dir)?.listen()?;
        Ok(Control { listener, operator: Operator { live, told, journal } })
    }

    /// Does what it is told until the task is dropped.
    pub async fn serve(self) {
        let operator = Arc::new(self.operator);
        let answer = move |request| {
            let operator = Arc::clone(&operator);
            async move { operator.answer(request).await }
        };
        local_http::serve(self.listener, "the control socket", IDLE_MAX, answer).await;
    }
}

impl Operator {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let outcome = match (request.method(), request.uri().path()) {
            (&Method::POST, INVALIDATIONS) => self.invalidate(request).await,
            (&Method::GET, metrics::PATH) => Ok(self.told.metrics.page()),
            (method, path) => Err((StatusCode::NOT_FOUND, format!("there is no {method} {path}"))),
        };
        let (status, text) = outcome.map_or_else(|failed| failed, |done| (StatusCode::OK, done));
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    }

    async fn invalidate(&self, request: Request<Incoming>) -> Result<String, (StatusCode, String)> {
        let bad = |message: String| (StatusCode::BAD_REQUEST, message);
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| bad(format!("the request cannot be read: {error}")))?.to_bytes();
        let wanted: Invalidation = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
        let state = self.live.load();
        let Some(distribution) = called(&state.deployment.distributions, &wanted.distribution) else {
            return Err((StatusCode::NOT_FOUND, format!("distribution {:?} is not served here", wanted.distribution)));
        };
        if wanted.items.is_empty() || wanted.items.len() > ITEMS_MAX {
            return Err(bad(format!("{} items are given, it must be 1 to {ITEMS_MAX}", wanted.items.len())));
        }
        let items: Result<Vec<Item>, String> = wanted.items.iter().map(|item| Item::parse(item)).collect();
        let items = items.map_err(bad)?;
        if distribution.cache_tag_header.is_none() && items.iter().any(|item| matches!(item, Item::Tag(_))) {
            return Err(bad(format!(
                "distribution {} has no cache_tag_header, so nothing has a tag",
                distribution.name
            )));
        }
        let at = SystemTime::now();
        let kept = self.journal.add(at, &distribution.id, &wanted.items);
        self.told.invalidations.add(&distribution.id, items, at);
        kept.map_err(|error| {
            let message = format!("done, but not written down, so a restart forgets it: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        tracing::info!(target: "edge", distribution = distribution.name, items = ?wanted.items, "invalidated");
        Ok(format!("{} {} invalidated", wanted.items.len(), if wanted.items.len() == 1 { "item" } else { "items" }))
    }
}

/// A name comes before what another one is called besides.
fn called<'a>(all: &'a [Arc<Distribution>], name: &str) -> Option<&'a Arc<Distribution>> {
    let by_name = all.iter().find(|distribution| distribution.name == name);
    let is_called = |distribution: &&Arc<Distribution>| {
        let mut domains = distribution.domains.iter().chain([&distribution.domain_name]);
        distribution.id == name || domains.any(|domain| domain.eq_ignore_ascii_case(name))
    };
    by_name.or_else(|| all.iter().find(is_called))
}

/// The socket's directory, held open: its path may be longer than a socket's may be.
struct Socket {
    directory: File,
}

impl Socket {
    fn open(data_dir: &Path) -> io::Result<Socket> {
        File::open(data_dir).map(|directory| Socket { directory })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", self.directory.as_raw_fd()))
    }

    fn listen(&self) -> io::Result<UnixListener> {
        match std::fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(self.path())?;
        std::fs::set_permissions(self.path(), Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.path()).await
    }
}

const SOCKET: &str = "control.sock";
const JOURNAL: &str = "invalidations.jsonl";
const INVALIDATIONS: &str = "/invalidations";
/// AWS: "Quotas", invalidation paths in progress.
const ITEMS_MAX: usize = 3_000;
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const IDLE_MAX: Duration = Duration::from_secs(10);
