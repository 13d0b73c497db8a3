//! Checks of where credentials are: `credentials = "FILE"`, or `{ environment = "PREFIX" }`.

use super::Context;
use crate::raw::{NameOr, RawCredentials, Text};
use sigv4::{Credentials, Source};

/// Where they are, and what is there; a problem is noted when that is not whole.
pub(super) fn credentials(ctx: &mut Context, raw: &RawCredentials) -> Option<(Source, Credentials)> {
    let source = match raw.get_ref() {
        NameOr::Name(file) => Source::File(ctx.path(file)),
        NameOr::Table(variables) => Source::Environment(variables.environment.clone()),
    };
    match Credentials::load(&source) {
        Ok(found) => Some((source, found)),
        Err(error) => {
            ctx.findings.add(raw.span(), error.to_string());
            None
        }
    }
}

/// The region in the scope of signatures.
pub(super) fn region(ctx: &mut Context, raw: Option<&Text>) -> String {
    let Some(raw) = raw else { return REGION_DEFAULT.to_owned() };
    let region = raw.get_ref();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=REGION_MAX).contains(&region.len()) || !region.bytes().all(allowed) {
        let rule = format!("1 to {REGION_MAX} lower-case letters, digits and -, as in {REGION_DEFAULT:?}");
        ctx.findings.add(raw.span(), format!("region {region:?} must be {rule}"));
    }
    region.clone()
}

const REGION_DEFAULT: &str = "us-east-1";
const REGION_MAX: usize = 32;
