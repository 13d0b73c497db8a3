//! Checks of one distribution, and of its domains against the others'.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Author, Context, behavior, error_page, geo, origin, origin_group};
use crate::digest;
use crate::key_group::KeyGroup;
use crate::model::{Behavior, Distribution, Origin};
use crate::raw::{Named, RawDistribution, RawFunction, Text};

/// AWS: "Quotas on CloudFront".
const BEHAVIORS_MAX: usize = 75;
const ORIGINS_MAX: usize = 100;
const DOMAINS_MAX: usize = 100;
/// RFC 1035 2.3.4, characters of a whole name and of one label.
const DOMAIN_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

/// What a distribution may refer to outside of itself.
pub(super) struct Scope<'a> {
    pub(super) functions: &'a Named<RawFunction>,
    pub(super) key_groups: &'a BTreeMap<String, Arc<KeyGroup>>,
    pub(super) has_https: bool,
}

/// The distribution, or `None` when it has problems.
pub(super) fn distribution(
    ctx: &mut Context,
    scope: &Scope,
    name: &Text,
    raw: &RawDistribution,
) -> Option<Distribution> {
    let before = ctx.findings.count();
    let label = name.get_ref();
    for (what, count, limit) in [
        ("behaviors", raw.behaviors.len(), BEHAVIORS_MAX),
        ("origins", raw.origins.len(), ORIGINS_MAX),
        ("domains", raw.domains.len(), DOMAINS_MAX),
    ] {
        if count > limit {
            ctx.findings
                .add(name.span(), format!("distribution {label} has {count} {what}, at most {limit} are allowed"));
        }
    }
    let domains = raw.domains.iter().filter_map(|domain| domain_name(ctx, domain)).collect();
    let mut origins = BTreeMap::new();
    for (name, raw) in &raw.origins {
        if let Some(origin) = origin::origin(ctx, name, raw) {
            origins.insert(origin.name.clone(), Arc::new(origin));
        }
    }
    let behaviors = behaviors(ctx, scope, name, raw, &origins);
    let error_pages = error_page::error_pages(ctx, &raw.error_pages);
    let has_geo = ctx.has_geo;
    let geo_restriction = geo::restriction(ctx, raw.geo_restriction.as_ref(), has_geo);
    let tag_header = raw.cache_tag_header.as_ref();
    let cache_tag_header = tag_header.and_then(|header| ctx.header_name(header.span(), header.get_ref()));
    let default_root_object = default_root_object(ctx, raw.default_root_object.as_ref());
    (ctx.findings.count() == before).then(|| Distribution {
        name: label.clone(),
        id: match ctx.author {
            Author::Operator => digest::distribution_id(label),
            Author::ControlPlane => label.clone(),
        },
        domain_name: digest::distribution_domain(label),
        domains,
        default_root_object,
        origins,
        behaviors,
        error_pages,
        cache_tag_header,
        geo_restriction,
        is_staging: raw.staging,
        continuous_deployment: None,
    })
}

/// Notes every domain that two distributions claim, or one claims twice.
pub(super) fn domains_are_unique(ctx: &mut Context, distributions: &Named<RawDistribution>) {
    let mut claimed: BTreeMap<String, &str> = BTreeMap::new();
    for (name, raw) in distributions {
        for domain in &raw.domains {
            let lower = domain.get_ref().to_ascii_lowercase();
            if let Some(other) = claimed.get(&lower) {
                let message = format!("domain {lower} is already a domain of distribution {other}");
                ctx.findings.add(domain.span(), message);
            } else {
                claimed.insert(lower, name.get_ref());
            }
        }
    }
}

fn behaviors(
    ctx: &mut Context,
    scope: &Scope,
    name: &Text,
    raw: &RawDistribution,
    origins: &BTreeMap<String, Arc<Origin>>,
) -> Vec<Arc<Behavior>> {
    let groups = &origin_group::groups(ctx, raw, origins);
    let mut checker = behavior::Checker { ctx, scope, raw, origins, groups };
    let mut behaviors: Vec<Arc<Behavior>> = Vec::new();
    for raw in &raw.behaviors {
        let Some(behavior) = checker.with_path(raw) else { continue };
        if behaviors.iter().any(|earlier| earlier.pattern.is_same(&behavior.pattern)) {
            let span = raw.get_ref().path.as_ref().map_or(raw.span(), |path| path.span());
            let message = format!("path {:?} is a path of this distribution already", behavior.pattern.as_str());
            checker.ctx.findings.add(span, message);
        }
        behaviors.push(Arc::new(behavior));
    }
    match &raw.default_behavior {
        Some(raw) => behaviors.extend(checker.default(raw).map(Arc::new)),
        None => {
            let message = format!("distribution {} has no default_behavior", name.get_ref());
            ctx.findings.add(name.span(), message);
        }
    }
    behaviors
}

/// A host name without port, `*`, or `*.` and a host name; an IP address is one too.
fn domain_name(ctx: &mut Context, raw: &Text) -> Option<String> {
    let text = raw.get_ref().to_ascii_lowercase();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    if text == "*" || bare.parse::<std::net::IpAddr>().is_ok() {
        return Some(bare.to_owned());
    }
    let labels = text.strip_prefix("*.").unwrap_or(&text);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| {
        let length = label.len();
        (1..=LABEL_LENGTH_MAX).contains(&length) && label.bytes().all(allowed) && !label.starts_with('-')
    };
    if text.len() <= DOMAIN_LENGTH_MAX && labels.split('.').all(is_label) {
        return Some(text);
    }
    let rule = "a host name without scheme, port and path, an IP address, \"*\" or \"*.\" and a host name";
    ctx.findings.add(raw.span(), format!("domain {:?} must be {rule}", raw.get_ref()));
    None
}

fn default_root_object(ctx: &mut Context, raw: Option<&Text>) -> Option<String> {
    let raw = raw?;
    let text = raw.get_ref();
    if text.is_empty() || text.starts_with('/') || text.len() > 255 || text.contains(['?', '#']) {
        let rule = "1 to 255 characters without a leading slash, as in \"index.html\"";
        ctx.findings.add(raw.span(), format!("default_root_object {text:?} must be {rule}"));
    }
    Some(text.clone())
}
