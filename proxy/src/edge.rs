//! The life of a request, in order: each phase is one call into the module that
//! owns it. Only this file knows Pingora's trait; `docs/architecture.md` has the table.

mod admit;
mod departure;
mod failover;
mod failure;
mod fetch;
mod invalidate;
mod origin_request;
mod origin_response;
mod range;
mod signing;
mod stale;
mod viewer_request;
mod viewer_response;

use crate::cache::counters::{Answered, Counters, Served};
use crate::cache::vary::Variance;
use crate::cache::{Cache, DiskError};
use crate::control::{Control, Told};
use crate::ctx::{Asker, Ctx};
use crate::error::Explain;
use crate::geo::Geo;
use crate::guard::upload;
use crate::live::Live;
use crate::metrics::Metrics;
use async_trait::async_trait;
use bytes::Bytes;
use deployment::Server;
use pingora::cache::key::HashBinary;
use pingora::cache::{CacheKey, CacheMeta, CachePhase, ForcedFreshness, HitHandler, RespCacheable};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, RangeType, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use prometheus::Registry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The Unix socket on which a directory is served over HTTP.
pub type Directories = Arc<dyn Fn(&Path) -> PathBuf + Send + Sync>;

/// The proxy of one PoP: answers every request on the deployment that [`Live`] holds.
pub struct Edge {
    live: Arc<Live>,
    directories: Directories,
    cache: Cache,
    header_bytes_max: usize,
    https_port: u16,
    geo: Option<Geo>,
    metrics: Arc<Metrics>,
    explain: Option<Explain>,
}

impl Edge {
    /// Makes the proxy and its cache. Make one per process: the cache lives as long as the process.
    ///
    /// # Errors
    /// Another process uses the directory of the cache.
    pub fn new(server: &Server, live: Arc<Live>, directories: Directories) -> Result<Edge, DiskError> {
        let registry = Registry::new();
        let counters = Arc::new(Counters::new(&registry));
        counters.know(&live.load().deployment);
        let cache = Cache::open(server, Arc::clone(&counters))?;
        let metrics = Arc::new(Metrics::new(registry, counters, cache.store, Arc::clone(&live)));
        let https_port = server.https.first().map_or(HTTPS_PORT, |address| address.port());
        let (header_bytes_max, geo, explain) = (server.header_bytes_max, None, None);
        Ok(Edge { live, directories, cache, header_bytes_max, https_port, geo, metrics, explain })
    }

    /// Knows where viewers are.
    #[must_use]
    pub fn locating(mut self, geo: Option<Geo>) -> Edge {
        self.geo = geo;
        self
    }

    /// Tells viewers why a request failed. Only for those who may know the functions' code.
    #[must_use]
    pub fn explaining(mut self, explain: Option<Explain>) -> Edge {
        self.explain = explain;
        self
    }

    /// Listens in `data_dir` for what operators tell this proxy, and takes up what they
    /// told it before it was started again.
    ///
    /// # Errors
    /// What was told before cannot be read, or the socket not be made.
    pub fn control(&self, data_dir: &Path) -> io::Result<Control> {
        let told = Told { invalidations: self.cache.invalidations, metrics: self.metrics() };
        Control::new(Arc::clone(&self.live), told, data_dir)
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Counts a request of a viewer's that is over.
    fn count(&self, session: &Session, ctx: &Ctx) {
        let Some(site) = ctx.site.as_ref().filter(|_| ctx.asker == Asker::Viewer) else { return };
        let phase = session.cache.phase();
        let served = match phase {
            CachePhase::Hit => Served::Hit,
            CachePhase::Stale | CachePhase::StaleUpdating => Served::Stale,
            CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => Served::Revalidated,
            CachePhase::Miss | CachePhase::Expired => Served::Miss,
            _ if ctx.origin_asked.is_some() => Served::Pass,
            _ => Served::Made,
        };
        let bytes = session.as_downstream().body_bytes_sent() as u64;
        let collapsed = served == Served::Hit && session.cache.lock_duration().is_some();
        self.cache.counters.count(&site.distribution, &site.behavior, Answered { served, collapsed, bytes });
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(self.explain.clone())
    }

    /// None: Pingora's own compresses what leaves, and this edge compresses what is stored.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// Custom error pages and stale-while-revalidate are requests of their own.
    fn allow_spawning_subrequest(&self, _: &Session, _: &Ctx) -> bool {
        true
    }

    // 1: what may come in, and the viewer-request hook.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        viewer_request::receive(self, session, ctx).await
    }

    // 2: whether to look into the cache, and under which key.
    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        fetch::enable_cache(self, session, ctx);
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, ctx: &mut Ctx) -> Result<CacheKey> {
        fetch::key(self, session, ctx)
    }

    // 3 is inside Pingora, but for what was invalidated and what stands in for a failed origin.
    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        meta: &CacheMeta,
        _: &mut HitHandler,
        is_fresh: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<ForcedFreshness>> {
        if invalidate::taken_out(self, session.req_header(), meta, ctx) {
            return Ok(Some(ForcedFreshness::ForceMiss));
        }
        Ok(if is_fresh { None } else { stale::stands_in(self, session, meta) })
    }

    // 4: the origin-request hook, once per miss.
    async fn proxy_upstream_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        origin_request::prepare(self, session, ctx).await
    }

    // 5 and 6: where to, and what to send. Retries come back here.
    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        fetch::peer(self, session, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        up: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        fetch::fill_request(session, up, ctx)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if end {
            upload::ended()
        } else {
            upload::waits()
        }
        ctx.body.apply(body);
        Ok(())
    }

    fn fail_to_connect(&self, session: &mut Session, _: &HttpPeer, ctx: &mut Ctx, error: Box<Error>) -> Box<Error> {
        fetch::retry_connect(session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        fetch::retry_fetch(peer, session, ctx, error, reused)
    }

    // 7: the origin-response hook. What it changes is what is stored.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        origin_response::receive(self, session, response, ctx).await
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        ctx.upstream_swap.apply(body);
        ctx.compression.apply(body)?;
        Ok(None)
    }

    // 8: whether and how long to keep it.
    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<RespCacheable> {
        Ok(admit::admit(self, session, response, ctx))
    }

    /// Of a stored response, which Pingora does not tell from one about to be stored.
    fn cache_vary_filter(&self, meta: &CacheMeta, ctx: &mut Ctx, request: &RequestHeader) -> Option<HashBinary> {
        let site = ctx.site.as_ref()?;
        match admit::vary(ctx, site, meta.response_header(), request) {
            Variance::Fields(variance) => Some(variance),
            Variance::Nothing | Variance::Everything => None,
        }
    }

    fn should_serve_stale(&self, session: &mut Session, ctx: &mut Ctx, error: Option<&Error>) -> bool {
        stale::may_serve(self, session, ctx, error)
    }

    fn range_header_filter(&self, session: &mut Session, response: &mut ResponseHeader, _: &mut Ctx) -> RangeType {
        range::cut(session.req_header(), response)
    }

    // 9: the viewer-response hook, on hits and misses. Never an error while the cache is on.
    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        viewer_response::send(session, response, ctx).await
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        ctx.viewer_swap.apply(body);
        Ok(None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        failure::answer(session, error, ctx).await
    }

    /// Failures are in the access log and the hook log, in words for operators.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        true
    }

    // 10: one line.
    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Ctx) {
        let (status, _) = ctx.sent.unwrap_or_default();
        let status = session.response_written().map_or(status, |written| written.status.as_u16());
        self.count(session, ctx);
        ctx.log(status);
    }
}

/// The port of `https` addresses that name none.
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests;
