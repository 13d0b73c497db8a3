//! What one request carries from phase to phase.

use crate::access_log::{self, Line};
use crate::body::{HeldBody, Swap};
use crate::cache::part::Wanted;
use crate::compress::Compression;
use crate::error::{EdgeError, Explain};
use crate::hooks::HookRecord;
use crate::live::State;
use crate::origin::{Gate, OriginRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use deployment::{Behavior, Distribution};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::raw_connect::ProxyDigest;
use rand::Rng;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Viewer,
    /// Stale-while-revalidate: nobody waits for the answer, and viewer hooks ran already.
    Revalidation,
    /// The edge itself, for a custom error page.
    ErrorPage,
}

/// What the configuration says about a request, once its host and path are known.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) state: Arc<State>,
    pub(crate) distribution: Arc<Distribution>,
    pub(crate) behavior: Arc<Behavior>,
}

/// One request, from its first byte to its line in the access log.
#[derive(Debug)]
pub struct Ctx {
    pub(crate) started: Instant,
    /// `X-Amz-Cf-Id`, and `config.requestId` in events.
    pub(crate) request_id: String,
    pub(crate) asker: Asker,
    pub(crate) client_ip: IpAddr,
    pub(crate) tls: bool,
    /// The viewer's, where the date of its answer is left: HTTP/1 alone has a place for it.
    pub(crate) connection: Option<Arc<ProxyDigest>>,
    /// `CloudFront-*` headers, which origins see and viewer events do not.
    pub(crate) edge_headers: Vec<(HeaderName, Option<HeaderValue>)>,
    /// As the viewer sent it, with the port if it named one, in lower case.
    pub(crate) host: String,
    /// Method and target as the viewer sent them, for the access log.
    pub(crate) line: Option<(Method, String)>,
    pub(crate) site: Option<Site>,
    /// Keeps the viewer with the distribution of this request: a `Set-Cookie` of its answer.
    pub(crate) session_cookie: Option<HeaderValue>,
    pub(crate) hooks: Vec<HookRecord>,
    pub(crate) body: HeldBody,
    pub(crate) origin_request: Option<OriginRequest>,
    /// The range that the origin is asked for, where it is not the whole.
    pub(crate) wanted: Option<Wanted>,
    /// Connections to the origin tried so far.
    pub(crate) attempts: u8,
    /// Whether the origin group's secondary is asked, because the primary failed.
    pub(crate) failed_over: bool,
    /// Of the current connection, when the viewer asks for an upgrade.
    pub(crate) upgrade_gate: Option<Arc<Gate>>,
    pub(crate) origin_answered: bool,
    /// From the request to the origin to its answer's header.
    pub(crate) origin_took: Option<Duration>,
    pub(crate) origin_asked: Option<Instant>,
    /// A 304 from the origin, until it has refreshed what is stored.
    pub(crate) not_modified: Option<Box<ResponseHeader>>,
    /// Lines of the origin's response that are not stored with it.
    pub(crate) not_stored: Vec<(HeaderName, HeaderValue)>,
    pub(crate) upstream_swap: Swap,
    pub(crate) compression: Compression,
    pub(crate) viewer_swap: Swap,
    /// A response made by the edge after the fetch began, which `fail_to_proxy` writes.
    pub(crate) answer: Option<(ResponseHeader, Bytes)>,
    /// Why the viewer gets an error page.
    pub(crate) failure: Option<EdgeError>,
    pub(crate) served_error_page: bool,
    /// The error a custom page stands for.
    pub(crate) error_status: Option<StatusCode>,
    /// What the viewer got, for the access log.
    pub(crate) sent: Option<(u16, &'static str)>,
    pub(crate) explain: Option<Explain>,
}

impl Ctx {
    pub(crate) fn new(explain: Option<Explain>) -> Ctx {
        Ctx {
            explain,
            started: Instant::now(),
            request_id: request_id(),
            asker: Asker::Viewer,
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            tls: false,
            connection: None,
            edge_headers: Vec::new(),
            host: String::new(),
            line: None,
            site: None,
            session_cookie: None,
            hooks: Vec::new(),
            body: HeldBody::default(),
            origin_request: None,
            wanted: None,
            attempts: 0,
            failed_over: false,
            upgrade_gate: None,
            origin_answered: false,
            origin_took: None,
            origin_asked: None,
            not_modified: None,
            not_stored: Vec::new(),
            upstream_swap: Swap::Keep,
            compression: Compression::default(),
            viewer_swap: Swap::Keep,
            answer: None,
            failure: None,
            served_error_page: false,
            error_status: None,
            sent: None,
        }
    }

    /// Writes the request's line to the access log, once. `status` is 0 when the viewer got none.
    pub(crate) fn log(&mut self, status: u16) {
        let Some((method, target)) = self.line.take() else { return };
        if !access_log::is_on() {
            return;
        }
        let (_, x_cache) = self.sent.unwrap_or_default();
        let cache = match self.asker {
            Asker::Viewer => x_cache.split(' ').next().filter(|word| !word.is_empty()).unwrap_or("-"),
            Asker::Revalidation => "Refresh",
            Asker::ErrorPage => "ErrorPage",
        };
        let (method, target, total) = (method.as_str(), target.as_str(), self.started.elapsed());
        let staging = self.site.as_ref().map(|site| &site.distribution).filter(|distribution| distribution.is_staging);
        let staging = staging.map(|distribution| distribution.name.as_str());
        Line { method, target, status, cache, staging, hooks: &self.hooks, total }.write(&self.request_id);
    }

    /// The `Via` value this edge adds.
    pub(crate) fn via(&self, version: &str) -> String {
        let name = self.site.as_ref().map_or("selvedge", |site| &site.distribution.domain_name);
        let parts = [version, " ", name, " (CloudFront)"];
        parts.concat()
    }
}

/// A request that was cut off leaves a line, too.
impl Drop for Ctx {
    fn drop(&mut self) {
        self.log(0);
    }
}

/// What a background revalidation takes over from the request that started it:
/// the viewer-request hook ran there, and the cache key comes from its edit.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) site: Site,
    pub(crate) request: RequestHeader,
    pub(crate) host: String,
    pub(crate) client_ip: IpAddr,
    pub(crate) tls: bool,
}

/// What the request for a custom error page takes over.
#[derive(Debug)]
pub(crate) struct ErrorPageHandover {
    pub(crate) site: Site,
    pub(crate) path: String,
    /// Path and query of the request that failed.
    pub(crate) failed: (String, String),
    /// That request, without what the edge had added of its viewer.
    pub(crate) request: RequestHeader,
    /// What the edge had added.
    pub(crate) told: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(crate) address: Option<SocketAddr>,
    /// The viewer's connection.
    pub(crate) connection: Option<Arc<ProxyDigest>>,
    pub(crate) host: String,
    pub(crate) client_ip: IpAddr,
    pub(crate) tls: bool,
}

/// 40 random bytes as base64: opaque, and shaped like CloudFront's.
fn request_id() -> String {
    let mut id = [0; 40];
    rand::rng().fill(&mut id);
    STANDARD.encode(id)
}
