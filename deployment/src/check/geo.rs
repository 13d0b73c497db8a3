//! Checks of what depends on where viewers are: geo restriction, and headers made
//! from the database.

use http::HeaderName;

use super::Context;
use crate::edge_headers::{self, MadeFrom};
use crate::model::{CachePolicy, ForwardPolicy, GeoRestriction, HeaderSelection};
use crate::raw::{RawGeoRestriction, Text};
use toml::Spanned;

/// The restriction, which needs a database to tell countries by.
pub(super) fn restriction(
    ctx: &mut Context,
    raw: Option<&Spanned<RawGeoRestriction>>,
    has_geo: bool,
) -> Option<GeoRestriction> {
    let raw = raw?;
    if !has_geo {
        ctx.findings.add(raw.span(), "geo_restriction needs [server] geo_database, a file in MaxMind's format");
    }
    match (&raw.get_ref().allow, &raw.get_ref().block) {
        (Some(list), None) => Some(GeoRestriction::Allow(countries(ctx, list))),
        (None, Some(list)) => Some(GeoRestriction::Block(countries(ctx, list))),
        _ => {
            ctx.findings.add(raw.span(), "geo_restriction must have either allow or block");
            None
        }
    }
}

fn countries(ctx: &mut Context, raw: &[Text]) -> Vec<String> {
    for code in raw {
        let text = code.get_ref();
        if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            ctx.findings.add(code.span(), format!("{text:?} is no ISO 3166-1 code of a country, as in \"SE\""));
        }
    }
    raw.iter().map(|code| code.get_ref().clone()).collect()
}

/// The headers that the edge makes for a behavior with these policies.
pub(super) fn edge_headers(cache: &CachePolicy, forward: &ForwardPolicy) -> Vec<HeaderName> {
    let only: &[HeaderName] = match &forward.headers {
        HeaderSelection::Only(names) => names,
        _ => &[],
    };
    let mut made: Vec<HeaderName> = Vec::new();
    for name in cache.headers.iter().chain(only).chain(&forward.edge_headers) {
        if edge_headers::made_from(name).is_some() && !made.contains(name) {
            made.push(name.clone());
        }
    }
    made
}

/// Notes headers that only CloudFront makes and this edge does not, or not without a database.
pub(super) fn can_be_made(ctx: &mut Context, name: &HeaderName, span: std::ops::Range<usize>) {
    if !edge_headers::is_cloudfronts(name) {
        return;
    }
    match edge_headers::made_from(name) {
        None => ctx.findings.add(span, format!("header {name} is one that this edge does not make")),
        Some(MadeFrom::Geo) if !ctx.has_geo => {
            ctx.findings.add(span, format!("header {name} needs [server] geo_database, a file in MaxMind's format"));
        }
        Some(_) => {}
    }
}
