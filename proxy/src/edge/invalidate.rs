//! What a request that changes things does to the cache: the stored responses of
//! its address go, and those of the addresses its answer names (RFC 9111 4.4). And
//! what operators took out of the cache.

use super::{Edge, admit};
use crate::cache::invalidation::Response;
use crate::cache::policy;
use crate::cache::storage::Stored;
use crate::ctx::{Ctx, Site};
use crate::wire;
use deployment::Distribution;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, Uri};
use pingora::cache::CacheMeta;
use pingora::http::{RequestHeader, ResponseHeader};
use std::sync::Arc;
use std::time::SystemTime;

/// Invalidates after an origin's answer, unless it is an error: then nothing changed.
pub(super) async fn after(edge: &Edge, request: &RequestHeader, response: &ResponseHeader, ctx: &Ctx) {
    let safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if safe || response.status.as_u16() >= 400 {
        return;
    }
    let Some(site) = &ctx.site else { return };
    let beside = beside(site, &ctx.host);
    drop_at(edge, site, request, &ctx.host).await;
    if let Some(beside) = &beside {
        drop_at(edge, &at(site, beside, request), request, &ctx.host).await;
    }
    let named =
        [LOCATION, CONTENT_LOCATION].map(|name| response.headers.get(name).and_then(|value| value.to_str().ok()));
    for reference in named.into_iter().flatten() {
        let Some(target) = resolve(request.uri.path(), reference, &site.distribution, &ctx.host) else { continue };
        let Ok(other) = RequestHeader::build("GET", target.as_bytes(), None) else { continue };
        for distribution in [Some(&site.distribution), beside.as_ref()].into_iter().flatten() {
            drop_at(edge, &at(site, distribution, &other), &other, &ctx.host).await;
        }
    }
}

/// Whether an operator took out what is stored.
pub(super) fn taken_out(edge: &Edge, request: &RequestHeader, meta: &CacheMeta, ctx: &Ctx) -> bool {
    let stored = meta.extensions().get::<Stored>().map_or(SystemTime::UNIX_EPOCH, |stored| stored.at);
    covered(edge, request, meta.headers(), ctx, stored)
}

/// Whether an operator took out what was being fetched, so that it may be old already.
pub(super) fn taken_out_meanwhile(edge: &Edge, request: &RequestHeader, response: &ResponseHeader, ctx: &Ctx) -> bool {
    covered(edge, request, &response.headers, ctx, SystemTime::now() - ctx.started.elapsed())
}

fn covered(edge: &Edge, request: &RequestHeader, headers: &HeaderMap, ctx: &Ctx, since: SystemTime) -> bool {
    let Some(site) = ctx.site.as_ref().filter(|_| edge.cache.invalidations.any()) else { return false };
    let tags: Vec<&str> = match &site.distribution.cache_tag_header {
        Some(name) => headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect(),
        None => Vec::new(),
    };
    let target = admit::place(site, request, &ctx.host).target();
    let stored = Response { distribution: &site.distribution.id, target: &target, tags: &tags, since };
    edge.cache.invalidations.covers(&stored)
}

/// The other distribution that the same addresses lead to, while a deployment goes on: what changes
/// at one of them is old at the other.
fn beside(site: &Site, host: &str) -> Option<Arc<Distribution>> {
    match &site.distribution.continuous_deployment {
        Some(policy) => Some(Arc::clone(&policy.staging)),
        None if site.distribution.is_staging => site.state.deployment.distribution(host).cloned(),
        None => None,
    }
}

/// Where a request would go in a distribution.
fn at(site: &Site, distribution: &Arc<Distribution>, request: &RequestHeader) -> Site {
    let behavior = Arc::clone(distribution.behavior(request.uri.path()));
    Site { state: Arc::clone(&site.state), distribution: Arc::clone(distribution), behavior }
}

async fn drop_at(edge: &Edge, site: &Site, request: &RequestHeader, host: &str) {
    if policy::caches(&site.behavior.cache) {
        edge.cache.store.invalidate(admit::place(site, request, host).key()).await;
    }
}

/// The path and query a reference leads to, if that is on this distribution: what
/// another site says of ours does not count (RFC 9111 4.4).
fn resolve(base: &str, reference: &str, distribution: &Distribution, host: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some(rest) = reference.strip_prefix("//").or_else(|| reference.split_once("://").map(|(_, rest)| rest)) {
        let uri: Uri = format!("http://{rest}").parse().ok()?;
        let named = uri.host()?.to_ascii_lowercase();
        let ours = named == wire::host_name(host) || named == distribution.domain_name;
        return ours.then(|| uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string));
    }
    let (path, query) = reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
    let merged = match path {
        "" => base.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{}{relative}", &base[..=base.rfind('/')?]),
    };
    let merged = without_dots(&merged);
    Some(query.map_or_else(|| merged.clone(), |query| format!("{merged}?{query}")))
}

/// RFC 3986 5.2.4. Other normal forms are not ours to choose: the key holds the raw path.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(segment) = all.next() {
        let last = all.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
        if last && matches!(segment, "." | "..") {
            segments.push("");
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn resolved(reference: &str) -> Option<String> {
        let distribution = Distribution {
            name: "site".into(),
            id: "E1".into(),
            domain_name: "d1.selvedge.local".into(),
            domains: vec![],
            default_root_object: None,
            origins: BTreeMap::new(),
            behaviors: vec![],
            error_pages: vec![],
            cache_tag_header: None,
            geo_restriction: None,
            is_staging: false,
            continuous_deployment: None,
        };
        resolve("/a/b/c", reference, &distribution, "www.example.net:8443")
    }

    #[test]
    fn references_resolve_against_the_request() {
        for (reference, path) in [
            ("/x/y?q=1", "/x/y?q=1"),
            ("d", "/a/b/d"),
            ("../d", "/a/d"),
            ("./", "/a/b/"),
            ("..", "/a/"),
            ("", "/a/b/c"),
            ("?q=2", "/a/b/c?q=2"),
            ("/x#part", "/x"),
            ("http://www.example.net/x?q", "/x?q"),
            ("https://WWW.example.net:8443/x", "/x"),
            ("//d1.selvedge.local/x", "/x"),
            ("https://www.example.net", "/"),
        ] {
            assert_eq!(resolved(reference).as_deref(), Some(path), "{reference}");
        }
    }

    #[test]
    fn other_sites_are_not_ours_to_invalidate() {
        for reference in ["http://other.example/a", "//other.example/a", "http://", "http://[/a"] {
            assert_eq!(resolved(reference), None, "{reference}");
        }
    }
}
