//! Checks of staging distributions and of who sends them requests, and the joining of both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::field::seconds;
use super::{Author, Context};
use crate::continuous_deployment::{
    ContinuousDeployment, HEADER_PREFIX, SESSION_SECONDS, Session, SessionKey, Traffic, WEIGHT_MAX,
};
use crate::model::Distribution;
use crate::raw::continuous_deployment::{RawContinuousDeployment, RawHeader, RawSession};
use crate::raw::{Named, RawDistribution, Text};
use crate::units;
use http::HeaderValue;
use toml::Spanned;

/// The traffic of each primary and the name of its staging distribution, by the primary's name;
/// only those in effect.
pub(super) type Policies = BTreeMap<String, (String, Traffic)>;

/// Notes what is wrong, and returns what is right.
pub(super) fn policies(ctx: &mut Context, raw: &Named<RawDistribution>) -> Policies {
    let mut policies = Policies::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, distribution) in raw {
        let label = name.get_ref();
        if distribution.staging {
            stands_back(ctx, name, distribution);
            continue;
        }
        let Some(policy) = &distribution.continuous_deployment else { continue };
        let (span, policy) = (policy.span(), policy.get_ref());
        let staging = policy.staging.get_ref();
        let found = raw.iter().find(|(other, _)| other.get_ref() == staging);
        if !found.is_some_and(|(_, found)| found.staging) {
            let what = if found.is_some() { "is no staging distribution" } else { "does not exist" };
            ctx.findings.add(policy.staging.span(), format!("distribution {staging:?} {what}"));
        }
        if let Some(other) = taken.insert(staging, label) {
            let message = format!("staging distribution {staging} has requests of distribution {other} already");
            ctx.findings.add(policy.staging.span(), message);
        }
        let traffic = traffic(ctx, span, policy);
        if let (true, Some(traffic)) = (policy.enabled, traffic) {
            policies.insert(label.clone(), (staging.clone(), traffic));
        }
    }
    policies
}

/// The digests of the keys of sessions, which may be in files.
pub(super) fn contents(policies: &Policies) -> impl Iterator<Item = (String, String)> {
    policies.iter().filter_map(|(name, (_, traffic))| match traffic {
        Traffic::Weight { session: Some(session), .. } => {
            Some((format!("session key {name}"), session.key.fingerprint()))
        }
        _ => None,
    })
}

/// Each primary gets its staging distribution.
pub(super) fn joined(distributions: Vec<Distribution>, mut policies: Policies) -> Vec<Arc<Distribution>> {
    let (staging, others): (Vec<_>, Vec<_>) = distributions.into_iter().partition(|one| one.is_staging);
    let staging: BTreeMap<String, Arc<Distribution>> =
        staging.into_iter().map(|one| (one.name.clone(), Arc::new(one))).collect();
    let others = others.into_iter().map(|mut one| {
        let policy = policies.remove(&one.name).and_then(|(name, traffic)| Some((staging.get(&name)?, traffic)));
        one.continuous_deployment =
            policy.map(|(staging, traffic)| Arc::new(ContinuousDeployment { staging: Arc::clone(staging), traffic }));
        Arc::new(one)
    });
    let others: Vec<Arc<Distribution>> = others.collect();
    others.into_iter().chain(staging.into_values()).collect()
}

/// AWS: "Learn how continuous deployment works": viewers cannot ask a staging distribution.
fn stands_back(ctx: &mut Context, name: &Text, raw: &RawDistribution) {
    let label = name.get_ref();
    if let Some(domain) = raw.domains.first() {
        let message = format!("distribution {label} is a staging distribution, which has no domains");
        ctx.findings.add(domain.span(), message);
    }
    if let Some(policy) = &raw.continuous_deployment {
        let message = format!("distribution {label} is a staging distribution, which has none of its own");
        ctx.findings.add(policy.span(), message);
    }
}

fn traffic(ctx: &mut Context, span: std::ops::Range<usize>, raw: &RawContinuousDeployment) -> Option<Traffic> {
    match (&raw.header, &raw.weight) {
        (Some(raw_header), None) => {
            if let Some(session) = &raw.session {
                ctx.findings.add(session.span(), "session needs weight: a header says where each request goes");
            }
            header(ctx, raw_header)
        }
        (None, Some(weight)) => {
            let session = raw.session.as_ref().map(|raw| session(ctx, raw));
            if !(0.0..=WEIGHT_MAX).contains(weight.get_ref()) {
                let message = format!("weight is {}, it must be 0 to {WEIGHT_MAX}", weight.get_ref());
                ctx.findings.add(weight.span(), message);
            }
            match session {
                Some(session) => Some(Traffic::Weight { weight: *weight.get_ref(), session: Some(session?) }),
                None => Some(Traffic::Weight { weight: *weight.get_ref(), session: None }),
            }
        }
        _ => {
            ctx.findings.add(span, "continuous_deployment must have either header or weight");
            None
        }
    }
}

fn header(ctx: &mut Context, raw: &RawHeader) -> Option<Traffic> {
    let name = ctx.header_name(raw.name.span(), raw.name.get_ref())?;
    if !name.as_str().starts_with(HEADER_PREFIX) || name.as_str() == HEADER_PREFIX {
        ctx.findings.add(raw.name.span(), format!("header {name} must begin with {HEADER_PREFIX}"));
    }
    let value = HeaderValue::from_str(raw.value.get_ref()).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        ctx.findings.add(raw.value.span(), format!("{:?} is no value of a header", raw.value.get_ref()));
    }
    Some(Traffic::Header { name, value: value? })
}

fn session(ctx: &mut Context, raw: &Spanned<RawSession>) -> Option<Session> {
    let raw_session = raw.get_ref();
    let bounds = || seconds(SESSION_SECONDS);
    let idle = ctx.duration("idle_ttl", Some(&raw_session.idle_ttl), Duration::ZERO, bounds());
    let maximum = ctx.duration("maximum_ttl", Some(&raw_session.maximum_ttl), Duration::MAX, bounds());
    if idle > maximum {
        let (idle, maximum) = (units::written(idle), units::written(maximum));
        ctx.findings.add(raw.span(), format!("idle_ttl is {idle}, which is more than maximum_ttl, {maximum}"));
    }
    let (place, secret) = match ctx.author {
        // It has no files.
        Author::ControlPlane => (String::new(), Ok(raw_session.key.get_ref().clone().into_bytes())),
        Author::Operator => {
            let path = ctx.path(raw_session.key.get_ref());
            let read = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
            (format!("{} ", path.display()), read)
        }
    };
    match secret.and_then(|secret| SessionKey::of(&secret)) {
        Ok(key) => Some(Session { idle, maximum, key }),
        Err(message) => {
            ctx.findings.add(raw_session.key.span(), format!("key {place}{message}"));
            None
        }
    }
}
