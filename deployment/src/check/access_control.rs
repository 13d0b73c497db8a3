//! Checks of how an origin's requests are signed: `[distributions.NAME.origins.NAME.access_control]`.

use super::Context;
use super::credentials::{credentials, region};
use crate::access_control::{AccessControl, SignedService, Signing};
use crate::model::OriginKind;
use crate::raw::{RawAccessControl, Text};
use sigv4::Signer;
use std::sync::Arc;
use toml::Spanned;

/// `None` when requests are not signed, or it is not clear how.
pub(super) fn access_control(
    ctx: &mut Context,
    raw: &Spanned<RawAccessControl>,
    kind: Option<&OriginKind>,
) -> Option<AccessControl> {
    let RawAccessControl { signing, service, region: raw_region, credentials: raw_credentials } = raw.get_ref();
    let signing = word(ctx, "signing", signing.as_ref(), SIGNING);
    let service = word(ctx, "service", service.as_ref(), SERVICES);
    let region = region(ctx, raw_region.as_ref());
    if matches!(kind, Some(OriginKind::Directory(_) | OriginKind::Socket(_))) {
        let message = "access_control has no meaning for an origin on this machine: only requests to a url are signed";
        ctx.findings.add(raw.span(), message);
    }
    let signing = signing?;
    let Some(raw_credentials) = raw_credentials else {
        ctx.findings.add(raw.span(), "access_control needs credentials: a file, or { environment = \"PREFIX\" }");
        return None;
    };
    let (source, found) = credentials(ctx, raw_credentials)?;
    let signer = Arc::new(Signer::new(found, &region, service.name()));
    Some(AccessControl { signing, service, source, signer })
}

/// What a word stands for; the first one is the default.
fn word<T: Copy>(ctx: &mut Context, key: &str, raw: Option<&Text>, words: &[(&str, T)]) -> T {
    let Some(raw) = raw else { return words[0].1 };
    let found = words.iter().find(|(word, _)| word == raw.get_ref());
    found.map_or_else(
        || {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            ctx.findings.add(raw.span(), format!("{key} {:?} is not one of {}", raw.get_ref(), known.join(", ")));
            words[0].1
        },
        |(_, value)| *value,
    )
}

const SIGNING: &[(&str, Option<Signing>)] =
    &[("always", Some(Signing::Always)), ("never", None), ("no-override", Some(Signing::NoOverride))];
const SERVICES: &[(&str, SignedService)] = &[("s3", SignedService::S3), ("lambda", SignedService::Lambda)];
