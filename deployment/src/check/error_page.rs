//! Checks of error pages: `[[distributions.NAME.error_pages]]`.

use std::time::Duration;
use toml::Spanned;

use super::Context;
use super::field::seconds;
use crate::model::ErrorPage;
use crate::raw::RawErrorPage;

/// AWS: "Custom error responses", HTTP status codes that CloudFront caches and replaces.
const ERROR_CODES: [u16; 11] = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];
/// AWS: "CustomErrorResponse", ResponseCode.
const RESPONSE_CODES: [u16; 12] = [200, 400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];
const CACHING_DEFAULT: Duration = Duration::from_secs(10);
const CACHING_SECONDS_MAX: u64 = 100 * 365 * 86_400;

pub(super) fn error_pages(ctx: &mut Context, raw: &[Spanned<RawErrorPage>]) -> Vec<ErrorPage> {
    let mut pages: Vec<ErrorPage> = Vec::with_capacity(raw.len());
    for spanned in raw {
        let raw = spanned.get_ref();
        let error_code = code(ctx, "error_code", &raw.error_code, &ERROR_CODES);
        if let Some(error_code) = error_code
            && pages.iter().any(|page| page.error_code == error_code)
        {
            ctx.findings.add(raw.error_code.span(), format!("error_code {error_code} has an error page already"));
        }
        let ttl = raw.error_caching_min_ttl.as_ref();
        let ttl = ctx.duration("error_caching_min_ttl", ttl, CACHING_DEFAULT, seconds(0..=CACHING_SECONDS_MAX));
        let page = page(ctx, raw);
        if let Some(error_code) = error_code {
            pages.push(ErrorPage { error_code, page, error_caching_min_ttl: ttl });
        }
    }
    pages
}

fn page(ctx: &mut Context, raw: &RawErrorPage) -> Option<(String, u16)> {
    match (&raw.path, &raw.response_code) {
        (None, None) => None,
        (Some(path), Some(response_code)) => {
            let text = path.get_ref();
            if !text.starts_with('/') || text.contains(['?', '#', ' ']) {
                let message = format!("path {text:?} of an error page must start with / and have no query");
                ctx.findings.add(path.span(), message);
            }
            code(ctx, "response_code", response_code, &RESPONSE_CODES).map(|code| (text.clone(), code))
        }
        (Some(path), None) => {
            ctx.findings.add(path.span(), "error page has a path but no response_code: give both or neither");
            None
        }
        (None, Some(response_code)) => {
            let message = "error page has a response_code but no path: give both or neither";
            ctx.findings.add(response_code.span(), message);
            None
        }
    }
}

fn code(ctx: &mut Context, key: &str, raw: &Spanned<i64>, allowed: &[u16]) -> Option<u16> {
    let found = allowed.iter().copied().find(|code| i64::from(*code) == *raw.get_ref());
    if found.is_none() {
        let list = allowed.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        ctx.findings.add(raw.span(), format!("{key} {} is not one of {list}", raw.get_ref()));
    }
    found
}
