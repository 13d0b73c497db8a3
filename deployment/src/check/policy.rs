//! Checks of cache policies and origin request policies, managed or spelled out.

use http::HeaderName;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

use super::field::seconds;
use super::{Context, geo};
use crate::edge_headers;
use crate::managed;
use crate::model::{CachePolicy, ForwardPolicy, HeaderSelection, Selection};
use crate::raw::{NameOr, RawCache, RawForward, RawSelection, Text};
use crate::units;

const CACHE_DEFAULT: &str = "CachingOptimized";
/// AWS: "Quotas on CloudFront", each of headers, cookies and query strings in a policy.
const NAMES_MAX: usize = 10;
/// AWS: "Manage how long content stays in the cache", one hundred years.
const TTL_MAX_SECONDS: u64 = 100 * 365 * 86_400;
const DEFAULT_TTL: Duration = Duration::from_secs(86_400);
const MAX_TTL: Duration = Duration::from_secs(365 * 86_400);

/// Headers that have a place of their own in the key, or that belong to one
/// connection or one transfer and not to an object.
const NOT_IN_KEY: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn cache(ctx: &mut Context, raw: Option<&Spanned<NameOr<RawCache>>>) -> CachePolicy {
    let default = || managed::cache(CACHE_DEFAULT).expect("the default is a managed policy");
    let Some(raw) = raw else { return default() };
    match raw.get_ref() {
        NameOr::Name(name) => managed::cache(name).unwrap_or_else(|| {
            let known = managed::cache_names();
            ctx.findings.add(raw.span(), format!("cache {name:?} is not a managed cache policy: {known}"));
            default()
        }),
        NameOr::Table(table) => custom_cache(ctx, raw.span(), table),
    }
}

pub(super) fn forward(ctx: &mut Context, raw: Option<&Spanned<NameOr<RawForward>>>) -> ForwardPolicy {
    let none = ForwardPolicy {
        headers: HeaderSelection::None,
        edge_headers: Vec::new(),
        cookies: Selection::None,
        query: Selection::None,
    };
    let Some(raw) = raw else { return none };
    match raw.get_ref() {
        NameOr::Name(name) => managed::forward(name).unwrap_or_else(|| {
            let known = managed::forward_names();
            ctx.findings.add(raw.span(), format!("forward {name:?} is not a managed origin request policy: {known}"));
            none
        }),
        NameOr::Table(table) => ForwardPolicy {
            headers: header_selection(ctx, table.headers.as_ref()),
            edge_headers: edge_headers(ctx, &table.edge_headers),
            cookies: selection(ctx, "cookies", table.cookies.as_ref()),
            query: selection(ctx, "query", table.query.as_ref()),
        },
    }
}

fn custom_cache(ctx: &mut Context, span: Range<usize>, raw: &RawCache) -> CachePolicy {
    let bounds = seconds(0..=TTL_MAX_SECONDS);
    let min_ttl = ctx.duration("min_ttl", raw.min_ttl.as_ref(), Duration::ZERO, bounds.clone());
    // AWS: "CachePolicyConfig": what is omitted follows the bound below it, and
    // here also the bound above it, so that `max_ttl = "1m"` alone is no contradiction.
    let stated_max =
        raw.max_ttl.as_ref().map(|_| ctx.duration("max_ttl", raw.max_ttl.as_ref(), MAX_TTL, bounds.clone()));
    let default_ttl = match &raw.default_ttl {
        Some(_) => ctx.duration("default_ttl", raw.default_ttl.as_ref(), DEFAULT_TTL, bounds),
        None => DEFAULT_TTL.min(stated_max.unwrap_or(MAX_TTL)).max(min_ttl),
    };
    let max_ttl = stated_max.unwrap_or(MAX_TTL.max(default_ttl));
    ttl_order(ctx, raw, [min_ttl, default_ttl, max_ttl]);
    let disabled = max_ttl.is_zero();
    let policy = CachePolicy {
        name: "custom".into(),
        min_ttl,
        default_ttl,
        max_ttl,
        headers: key_headers(ctx, &raw.headers),
        cookies: selection(ctx, "cookies", raw.cookies.as_ref()),
        query: selection(ctx, "query", raw.query.as_ref()),
        gzip: raw.gzip.unwrap_or(!disabled),
        brotli: raw.brotli.unwrap_or(!disabled),
    };
    let keyed = !policy.headers.is_empty() || policy.cookies != Selection::None || policy.query != Selection::None;
    if disabled && (keyed || policy.gzip || policy.brotli) {
        let message = "cache has max_ttl 0, so nothing is cached and there is no key: name headers, cookies and \
                       query in forward instead";
        ctx.findings.add(span, message);
    }
    policy
}

fn ttl_order(ctx: &mut Context, raw: &RawCache, [min, default, max]: [Duration; 3]) {
    let pairs = [
        ("min_ttl", &raw.min_ttl, min, "max_ttl", max),
        ("min_ttl", &raw.min_ttl, min, "default_ttl", default),
        ("default_ttl", &raw.default_ttl, default, "max_ttl", max),
    ];
    for (small, place, smaller, large, larger) in pairs {
        if let Some(place) = place
            && smaller > larger
        {
            let (smaller, larger) = (units::written(smaller), units::written(larger));
            ctx.findings.add(place.span(), format!("{small} is {smaller}, more than {large}, which is {larger}"));
        }
    }
}

fn key_headers(ctx: &mut Context, raw: &[Text]) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::with_capacity(raw.len());
    for text in raw {
        let Some(name) = ctx.header_name(text.span(), text.get_ref()) else { continue };
        if NOT_IN_KEY.contains(&name.as_str()) {
            let advice = match name.as_str() {
                "accept-encoding" => ": set gzip and brotli",
                "cookie" => ": set cookies",
                _ => "",
            };
            ctx.findings.add(text.span(), format!("header {name} cannot be part of a cache key{advice}"));
        }
        if !edge_headers::may_be_keyed(&name) {
            let message = format!("header {name} cannot be part of a cache key: name it in forward");
            ctx.findings.add(text.span(), message);
        }
        geo::can_be_made(ctx, &name, text.span());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if let Some(last) = raw.get(NAMES_MAX) {
        let message = format!("cache names {} headers, at most {NAMES_MAX} are allowed", raw.len());
        ctx.findings.add(last.span(), message);
    }
    names
}

fn selection(ctx: &mut Context, key: &str, raw: Option<&Spanned<RawSelection>>) -> Selection {
    let Some(raw) = raw else { return Selection::None };
    match raw.get_ref() {
        RawSelection::None => Selection::None,
        RawSelection::All => Selection::All,
        RawSelection::Only(names) => Selection::Only(checked_names(ctx, key, raw.span(), names)),
        RawSelection::Except(names) => Selection::AllExcept(checked_names(ctx, key, raw.span(), names)),
    }
}

fn header_selection(ctx: &mut Context, raw: Option<&Spanned<RawSelection>>) -> HeaderSelection {
    let Some(raw) = raw else { return HeaderSelection::None };
    let mut parsed = |names: &[String]| {
        let names = checked_names(ctx, "headers", raw.span(), names);
        let parsed: Vec<HeaderName> = names.iter().filter_map(|name| ctx.header_name(raw.span(), name)).collect();
        parsed.iter().for_each(|name| geo::can_be_made(ctx, name, raw.span()));
        parsed
    };
    match raw.get_ref() {
        RawSelection::None => HeaderSelection::None,
        RawSelection::All => HeaderSelection::AllViewer,
        RawSelection::Only(names) => HeaderSelection::Only(parsed(names)),
        RawSelection::Except(names) => HeaderSelection::AllExcept(parsed(names)),
    }
}

fn edge_headers(ctx: &mut Context, raw: &[Text]) -> Vec<HeaderName> {
    let mut names = Vec::with_capacity(raw.len());
    for text in raw {
        let Some(name) = ctx.header_name(text.span(), text.get_ref()) else { continue };
        if edge_headers::is_cloudfronts(&name) {
            geo::can_be_made(ctx, &name, text.span());
        } else {
            let message = format!("header {name} is the viewer's: edge_headers are those that begin with CloudFront-");
            ctx.findings.add(text.span(), message);
        }
        names.push(name);
    }
    names
}

fn checked_names(ctx: &mut Context, key: &str, span: Range<usize>, names: &[String]) -> Vec<String> {
    if names.is_empty() {
        ctx.findings.add(span.clone(), format!("{key} lists no names: use \"none\" or \"all\""));
    }
    if names.len() > NAMES_MAX {
        let message = format!("{key} lists {} names, at most {NAMES_MAX} are allowed", names.len());
        ctx.findings.add(span.clone(), message);
    }
    if names.iter().any(|name| name.is_empty() || name == "*") {
        ctx.findings
            .add(span, format!("{key} lists an empty name or \"*\": names are exact, use \"all\" for every one"));
    }
    names.to_vec()
}
