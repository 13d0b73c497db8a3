//! The counters as Prometheus reads them: one page of text. The control socket has
//! it always, a listener of its own where `[server] metrics` says so.

use crate::cache::counters::{Counters, TIERS};
use crate::cache::storage::Store;
use crate::live::Live;
use crate::local_http;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use prometheus::{Encoder as _, IntGaugeVec, Opts, Registry, TextEncoder};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The numbers of one PoP.
pub struct Metrics {
    registry: Registry,
    counters: Arc<Counters>,
    stored_bytes: IntGaugeVec,
    stored_responses: IntGaugeVec,
    store: &'static Store,
    live: Arc<Live>,
}

impl Metrics {
    /// Gives out what `registry` has, and how full the store is.
    pub(crate) fn new(registry: Registry, counters: Arc<Counters>, store: &'static Store, live: Arc<Live>) -> Metrics {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["tier"]).expect("names and labels are well formed");
            registry.register(Box::new(gauge.clone())).expect("each name is registered once");
            gauge
        };
        let stored_bytes = gauge("selvedge_stored_bytes", "Bytes that stored responses take");
        let stored_responses = gauge("selvedge_stored_responses", "Stored responses");
        Metrics { registry, counters, stored_bytes, stored_responses, store, live }
    }

    /// All numbers as they are now.
    #[must_use]
    pub fn page(&self) -> String {
        self.counters.know(&self.live.load().deployment);
        for (tier, size) in TIERS.iter().zip([Some(self.store.in_memory_size()), self.store.on_disk_size()]) {
            let Some((responses, bytes)) = size else { continue };
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.stored_bytes.with_label_values(&[tier]).set(number(bytes));
            self.stored_responses.with_label_values(&[tier]).set(number(responses));
        }
        let mut page = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            tracing::error!("the metrics cannot be written: {error}");
        }
        String::from_utf8_lossy(&page).into_owned()
    }

    /// Gives the page out at an address; what it returns does so until it is dropped.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn listen(self: Arc<Metrics>, address: SocketAddr) -> io::Result<impl Future<Output = ()> + Send> {
        let listener = TcpListener::bind(address).await?;
        tracing::info!("metrics on http://{}{PATH}", listener.local_addr()?);
        let answer = move |request| {
            let response = answer(&self, &request);
            async move { response }
        };
        Ok(local_http::serve(listener, "the metrics listener", IDLE_MAX, answer))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn answer<B>(metrics: &Metrics, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != PATH {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    } else {
        *response.body_mut() = Full::new(Bytes::from(metrics.page()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT));
    }
    response
}

/// Where the page is, on the control socket too.
pub(crate) const PATH: &str = "/metrics";
const IDLE_MAX: Duration = Duration::from_secs(60);
