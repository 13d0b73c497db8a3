//! `strict_aws = true`: what this edge can do and Lambda@Edge cannot is an error
//! that names the rule, so that a file which passes here also passes there.
//! Without the key all of it is allowed. AWS: "Restrictions on Lambda@Edge".

use super::Context;
use super::function::QUOTAS_LAMBDA;
use crate::raw::{Named, RawConfig, RawFunction};
use environment::{Language, Runtime};
use std::collections::BTreeSet;
use std::ops::Range;

/// Checks the whole file.
pub(super) fn check(ctx: &mut Context, raw: &RawConfig) {
    if raw.server.strict_aws != Some(true) {
        return;
    }
    for function in raw.functions.values() {
        check_function(ctx, function);
    }
    for (name, distribution) in &raw.distributions {
        let used = functions_of(&raw.functions, distribution.hooks());
        if used > FUNCTIONS_MAX {
            let subject = format!("distribution {} uses {used} functions", name.get_ref());
            refuse(ctx, name.span(), &subject, &format!("a distribution has at most {FUNCTIONS_MAX} functions"));
        }
    }
}

fn check_function(ctx: &mut Context, raw: &RawFunction) {
    let runtime = raw.runtime.as_ref().map(|id| (id, Runtime::from_id(id.get_ref())));
    if let Some((id, Some(runtime))) = runtime
        && runtime.language() == Language::Custom
    {
        let subject = format!("runtime {}", runtime.id());
        refuse(ctx, id.span(), &subject, "a function at the edge is in Node.js or Python");
    }
    if let Some(layer) = raw.layers.first() {
        let subject = format!("layer {}", layer.get_ref());
        refuse(ctx, layer.span(), &subject, "a function at the edge has no layers");
    }
    if let Some(store) = raw.key_value_stores.first() {
        let subject = "key_value_stores";
        refuse(
            ctx,
            store.span(),
            subject,
            "a function at the edge reads no key value store, only CloudFront Functions do",
        );
    }
    if let Some((name, _)) = raw.environment.first_key_value() {
        let subject = format!("variable {}", name.get_ref());
        refuse(ctx, name.span(), &subject, "a function at the edge has no environment variables");
    }
    if let Some(provisioned) = raw.provisioned.as_ref().filter(|provisioned| *provisioned.get_ref() > 0) {
        let subject = format!("provisioned = {}", provisioned.get_ref());
        refuse(ctx, provisioned.span(), &subject, "a function at the edge has no provisioned concurrency");
    }
    if let Some(quotas) = raw.quotas.as_ref().filter(|quotas| quotas.get_ref() == QUOTAS_LAMBDA) {
        let subject = format!("quotas = {QUOTAS_LAMBDA:?}");
        refuse(ctx, quotas.span(), &subject, "the timeout of a function at the edge is at most 30s");
    }
}

fn refuse(ctx: &mut Context, span: Range<usize>, subject: &str, rule: &str) {
    ctx.findings.add(span, format!("strict_aws: {subject}: {rule} (AWS: \"Restrictions on Lambda@Edge\")"));
}

fn functions_of<'a>(known: &Named<RawFunction>, named: impl Iterator<Item = &'a str>) -> usize {
    let named: BTreeSet<&str> = named.collect();
    known.keys().filter(|name| named.contains(name.get_ref().as_str())).count()
}

/// AWS: "Quotas on Lambda@Edge", functions of a distribution.
const FUNCTIONS_MAX: usize = 100;
