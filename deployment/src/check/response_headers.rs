//! Checks of a behavior's response headers policy.

use std::ops::Range;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use toml::Spanned;

use super::Context;
use super::field::seconds;
use crate::raw::response_headers::{RawCors, RawResponseHeaders, RawSecurityHeaders, RawXssProtection};
use crate::raw::{NameOr, Text};
use crate::response_headers::{self as managed, AddedHeader, AllowedOrigin, Cors, ResponseHeadersPolicy};

/// AWS: "Quotas on policies": custom headers of one policy.
const ADDED_MAX: usize = 10;
/// AWS: "Quotas on policies": characters of a Content-Security-Policy and of a value.
const VALUE_LENGTH_MAX: usize = 1_783;
const AGE_SECONDS_MAX: u64 = 100 * 365 * 86_400;
/// AWS: "Headers that you can't remove": what the connection and the edge live by.
const NOT_REMOVED: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "warning",
    "x-cache",
    "x-real-ip",
];
const NOT_REMOVED_PREFIXES: [&str; 5] = ["x-accel-", "x-amz-cf-", "x-amzn-", "x-edge-", "x-forwarded-proto"];
const METHODS: [&str; 8] = ["*", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const FRAME_OPTIONS: [&str; 2] = ["DENY", "SAMEORIGIN"];
const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

/// The policy, or `None` when the behavior has none.
pub(super) fn policy(
    ctx: &mut Context,
    raw: Option<&Spanned<NameOr<RawResponseHeaders>>>,
) -> Option<ResponseHeadersPolicy> {
    let raw = raw?;
    match raw.get_ref() {
        NameOr::Name(name) => {
            let policy = managed::managed(name);
            if policy.is_none() {
                let known = managed::managed_names();
                let message = format!("response_headers {name:?} is not a managed response headers policy: {known}");
                ctx.findings.add(raw.span(), message);
            }
            policy
        }
        NameOr::Table(table) => Some(custom(ctx, raw.span(), table)),
    }
}

fn custom(ctx: &mut Context, span: Range<usize>, raw: &RawResponseHeaders) -> ResponseHeadersPolicy {
    if raw.add.len() > ADDED_MAX {
        let message = format!("response_headers adds {} headers, at most {ADDED_MAX} are allowed", raw.add.len());
        ctx.findings.add(span, message);
    }
    let mut add = security(ctx, &raw.security);
    for header in &raw.add {
        let Some(name) = settable(ctx, &header.name) else { continue };
        add.extend(added(ctx, name, &header.value, header.overrides));
    }
    let remove = raw.remove.iter().filter_map(|name| removable(ctx, name)).collect();
    let cors = raw.cors.as_ref().map(|cors| self::cors(ctx, cors));
    ResponseHeadersPolicy { remove, add, cors, server_timing: server_timing(ctx, raw.server_timing.as_ref()) }
}

fn removable(ctx: &mut Context, raw: &Text) -> Option<HeaderName> {
    let name = ctx.header_name(raw.span(), raw.get_ref())?;
    if is_the_edges(&name) {
        ctx.findings.add(raw.span(), format!("header {name} cannot be removed: the connection or the edge needs it"));
    }
    Some(name)
}

fn settable(ctx: &mut Context, raw: &Text) -> Option<HeaderName> {
    let name = ctx.header_name(raw.span(), raw.get_ref())?;
    if is_the_edges(&name) {
        ctx.findings.add(raw.span(), format!("header {name} cannot be added: the connection or the edge sets it"));
    }
    Some(name)
}

fn is_the_edges(name: &HeaderName) -> bool {
    NOT_REMOVED.contains(&name.as_str()) || NOT_REMOVED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}

fn added(ctx: &mut Context, name: HeaderName, raw: &Text, overrides: bool) -> Option<AddedHeader> {
    let value = raw.get_ref();
    if value.len() > VALUE_LENGTH_MAX {
        let message = format!("value of {name} has {} characters, at most {VALUE_LENGTH_MAX} are allowed", value.len());
        ctx.findings.add(raw.span(), message);
    }
    let Ok(value) = HeaderValue::from_str(value) else {
        ctx.findings.add(raw.span(), format!("value of {name} has characters that a header cannot have"));
        return None;
    };
    Some(AddedHeader { name, value, overrides })
}

fn security(ctx: &mut Context, raw: &RawSecurityHeaders) -> Vec<AddedHeader> {
    let mut add = Vec::new();
    let mut push = |name, value: String, overrides| {
        let value = HeaderValue::from_str(&value).ok();
        add.extend(value.map(|value| AddedHeader { name: HeaderName::from_static(name), value, overrides }));
    };
    if let Some(hsts) = &raw.strict_transport_security {
        let age = ctx.duration("max_age", Some(&hsts.max_age), Duration::ZERO, seconds(0..=AGE_SECONDS_MAX));
        let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if hsts.preload { "; preload" } else { "" };
        let value = format!("max-age={}{subdomains}{preload}", age.as_secs());
        push("strict-transport-security", value, hsts.overrides);
    }
    if let Some(options) = &raw.content_type_options {
        push("x-content-type-options", "nosniff".to_owned(), options.overrides);
    }
    if let Some(xss) = &raw.xss_protection {
        push("x-xss-protection", xss_protection(ctx, xss), xss.get_ref().overrides);
    }
    for (header, known, name) in [
        (&raw.frame_options, &FRAME_OPTIONS[..], "x-frame-options"),
        (&raw.referrer_policy, &REFERRER_POLICIES[..], "referrer-policy"),
        (&raw.content_security_policy, &[][..], "content-security-policy"),
    ] {
        let Some(header) = header else { continue };
        let value = header.value.get_ref();
        if !known.is_empty() && !known.contains(&value.as_str()) {
            ctx.findings.add(header.value.span(), format!("{name} {value:?} is not one of {}", known.join(", ")));
        }
        add.extend(added(ctx, HeaderName::from_static(name), &header.value, header.overrides));
    }
    add
}

fn xss_protection(ctx: &mut Context, raw: &Spanned<RawXssProtection>) -> String {
    let xss = raw.get_ref();
    match (xss.protection, xss.mode_block, &xss.report_uri) {
        (true, false, None) => "1".to_owned(),
        (true, true, None) => "1; mode=block".to_owned(),
        (true, false, Some(uri)) => format!("1; report={}", uri.get_ref()),
        (false, false, None) => "0".to_owned(),
        _ => {
            let message = "xss_protection has mode_block or report_uri: only one of them, and only with protection";
            ctx.findings.add(raw.span(), message);
            String::new()
        }
    }
}

fn cors(ctx: &mut Context, raw: &Spanned<RawCors>) -> Cors {
    let cors = raw.get_ref();
    let origins: Vec<AllowedOrigin> = cors.origins.iter().filter_map(|origin| allowed_origin(ctx, origin)).collect();
    for method in &cors.methods {
        if !METHODS.contains(&method.get_ref().as_str()) {
            let message = format!("method {:?} of cors is not one of {}", method.get_ref(), METHODS.join(", "));
            ctx.findings.add(method.span(), message);
        }
    }
    for (key, empty) in [("origins", cors.origins.is_empty()), ("methods", cors.methods.is_empty())] {
        if empty {
            ctx.findings.add(raw.span(), format!("cors has no {key}"));
        }
    }
    let stars = [&cors.origins, &cors.methods, &cors.headers, &cors.expose];
    if cors.credentials && stars.iter().any(|list| list.iter().any(|item| item.get_ref() == "*")) {
        let message = "cors allows credentials and has \"*\": browsers refuse that, name each one";
        ctx.findings.add(raw.span(), message);
    }
    let any = METHODS[1..].join(", ");
    let methods = if cors.methods.iter().any(|method| method.get_ref() == "*") { any } else { joined(&cors.methods) };
    let age = cors.max_age.as_ref();
    let max_age = age.map(|_| ctx.duration("max_age", age, Duration::ZERO, seconds(0..=u64::from(u32::MAX))));
    Cors {
        origins,
        methods: HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static("GET")),
        headers: names(ctx, &cors.headers),
        expose: names(ctx, &cors.expose),
        credentials: cors.credentials,
        max_age: max_age.and_then(|age| u32::try_from(age.as_secs()).ok()),
        overrides: cors.overrides,
    }
}

fn allowed_origin(ctx: &mut Context, raw: &Text) -> Option<AllowedOrigin> {
    let text = raw.get_ref();
    if text == "*" {
        return Some(AllowedOrigin::Any);
    }
    let (scheme, host) = text.split_once("://").map_or((None, text.as_str()), |(scheme, host)| (Some(scheme), host));
    let domain = host.strip_prefix("*.");
    let named = domain.unwrap_or(host);
    let known = scheme.is_none_or(|scheme| scheme == "http" || scheme == "https");
    if !known || named.is_empty() || named.contains(['*', '/', ' ', ',']) {
        let rule = "\"*\", a host, \"*.\" and a domain, or one of these after http:// or https://";
        ctx.findings.add(raw.span(), format!("origin {text:?} of cors must be {rule}"));
        return None;
    }
    Some(match domain {
        Some(domain) => AllowedOrigin::Below { scheme: scheme.map(str::to_owned), domain: domain.to_owned() },
        None => AllowedOrigin::Exact(text.clone()),
    })
}

/// Header names as one value.
fn names(ctx: &mut Context, raw: &[Text]) -> Option<HeaderValue> {
    for name in raw.iter().filter(|name| name.get_ref() != "*") {
        ctx.header_name(name.span(), name.get_ref());
    }
    (!raw.is_empty()).then(|| HeaderValue::from_str(&joined(raw)).ok()).flatten()
}

fn joined(list: &[Text]) -> String {
    list.iter().map(|item| item.get_ref().as_str()).collect::<Vec<_>>().join(", ")
}

fn server_timing(ctx: &mut Context, raw: Option<&Spanned<f64>>) -> f64 {
    let Some(raw) = raw else { return 0.0 };
    let rate = *raw.get_ref();
    if !(0.0..=100.0).contains(&rate) {
        let message = format!("server_timing is {rate}, it must be 0 to 100: of how many answers in a hundred");
        ctx.findings.add(raw.span(), message);
    }
    rate
}
