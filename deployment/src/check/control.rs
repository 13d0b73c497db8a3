//! Checks of `[control]`.

use super::Context;
use super::credentials::{credentials, region};
use crate::raw::{RawBucket, RawControl, RawCredentials, RawOriginAccess, RawService, Text};
use crate::server::{Bucket, ControlPlane, OriginAccess, Service};
use http::Uri;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// Only this machine can speak to it, unless it is told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:8081";

/// AWS: "How Lambda handles errors and retries with asynchronous invocation".
const RETRY_WAITS_DEFAULT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);

const FUNCTION_URL_DOMAIN_DEFAULT: &str = "selvedge.local";
/// Of a host name (RFC 1035), less the labels that stand before the domain.
const DOMAIN_MAX: usize = 253 - 54;
const LABEL_MAX: usize = 63;

pub(super) fn control(ctx: &mut Context, raw: &RawControl, has_https: bool) -> ControlPlane {
    let default: SocketAddr = LISTEN_DEFAULT.parse().expect("the default is an address");
    let listen = raw.listen.as_ref().map_or(default, |listen| {
        listen.get_ref().parse().unwrap_or_else(|_| {
            let message = format!("listen {:?} is not an IP address and port", listen.get_ref());
            ctx.findings.add(listen.span(), format!("{message}, as in {LISTEN_DEFAULT:?}"));
            default
        })
    });
    let key_file = raw.key_file.as_ref().map(|file| {
        let path = ctx.path(file.get_ref());
        if !path.is_file() {
            let message =
                format!("key_file {} is not a file; without key_file one is made in data_dir", path.display());
            ctx.findings.add(file.span(), message);
        }
        path
    });
    let function_url_domain = function_url_domain(ctx, raw.function_url_domain.as_ref());
    let async_retry_waits = retry_waits(ctx, raw.async_retry_waits.as_ref());
    let url_destinations = raw.url_destinations.iter().flatten().map(|url| origin_of(ctx, "url_destinations", url));
    let url_destinations = url_destinations.collect();
    let [sqs, sns] = [("sqs", &raw.sqs), ("sns", &raw.sns)].map(|(name, raw)| {
        let raw = raw.as_ref()?;
        let RawService { endpoint, credentials } = raw.get_ref();
        service(ctx, (name, raw.span()), endpoint.as_ref(), credentials.as_ref())
    });
    ControlPlane {
        listen,
        key_file,
        async_retry_waits,
        // They are looked for after this.
        interpreters: HashMap::new(),
        function_url_domain,
        has_https,
        url_destinations,
        sqs,
        sns,
        s3: raw.s3.as_ref().and_then(|raw| bucket(ctx, raw)),
        origin_access: raw.origin_access.as_ref().and_then(|raw| origin_access(ctx, raw)),
    }
}

fn origin_access(ctx: &mut Context, raw: &Spanned<RawOriginAccess>) -> Option<OriginAccess> {
    let region = region(ctx, raw.get_ref().region.as_ref());
    let Some(credentials) = &raw.get_ref().credentials else {
        let message = "origin_access needs credentials: a file, or { environment = \"PREFIX\" }";
        ctx.findings.add(raw.span(), message);
        return None;
    };
    let (credentials, _) = self::credentials(ctx, credentials)?;
    Some(OriginAccess { credentials, region })
}

fn service(
    ctx: &mut Context,
    (name, place): (&str, Range<usize>),
    endpoint: Option<&Text>,
    credentials: Option<&RawCredentials>,
) -> Option<Service> {
    let (Some(endpoint), Some(credentials)) = (endpoint, credentials) else {
        let message = "an endpoint and credentials, a file or { environment = \"PREFIX\" }";
        ctx.findings.add(place, format!("{name} needs {message}"));
        return None;
    };
    let endpoint = origin_of(ctx, "endpoint", endpoint);
    let (credentials, _) = self::credentials(ctx, credentials)?;
    Some(Service { endpoint, credentials })
}

fn bucket(ctx: &mut Context, raw: &Spanned<RawBucket>) -> Option<Bucket> {
    let RawBucket { endpoint, credentials, region, bucket } = raw.get_ref();
    let service = service(ctx, ("s3", raw.span()), endpoint.as_ref(), credentials.as_ref());
    let Some(bucket) = bucket else {
        ctx.findings.add(raw.span(), "s3 needs the bucket that packages may come from");
        return None;
    };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if !(3..=63).contains(&bucket.get_ref().len()) || !bucket.get_ref().bytes().all(allowed) {
        let rule = "3 to 63 lower-case letters, digits, - and .";
        ctx.findings.add(bucket.span(), format!("bucket {:?} must be {rule}", bucket.get_ref()));
    }
    let region = self::region(ctx, region.as_ref());
    Some(Bucket { service: service?, region, name: bucket.get_ref().clone() })
}

/// Scheme, host and port of a URL that has nothing else.
fn origin_of(ctx: &mut Context, key: &str, url: &Text) -> String {
    let text = url.get_ref().trim_end_matches('/');
    let uri = text.parse::<Uri>().ok();
    let is_origin = uri.as_ref().is_some_and(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        scheme && named && matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#')
    });
    if !is_origin {
        let message = format!("{key} {text:?} must be a scheme and a host, as in \"https://hooks.example.com\"");
        ctx.findings.add(url.span(), message);
    }
    text.to_ascii_lowercase()
}

fn function_url_domain(ctx: &mut Context, raw: Option<&Text>) -> String {
    let Some(raw) = raw else { return FUNCTION_URL_DOMAIN_DEFAULT.to_owned() };
    let domain = raw.get_ref().to_ascii_lowercase();
    let is_label = |label: &str| {
        let inner = label.trim_matches('-').len() == label.len();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=LABEL_MAX).contains(&label.len()) && inner && label.bytes().all(allowed)
    };
    if !domain.split('.').all(is_label) || domain.len() > DOMAIN_MAX {
        let message = format!("function_url_domain {domain:?} is no domain, as in \"example.com\"");
        ctx.findings.add(raw.span(), message);
    }
    domain
}

fn retry_waits(ctx: &mut Context, raw: Option<&Spanned<Vec<Text>>>) -> [Duration; 2] {
    let Some(raw) = raw else { return RETRY_WAITS_DEFAULT };
    let [first, second] = &raw.get_ref()[..] else {
        ctx.findings.add(raw.span(), "async_retry_waits must be two durations, as in [\"1m\", \"2m\"]");
        return RETRY_WAITS_DEFAULT;
    };
    let [default, later] = RETRY_WAITS_DEFAULT;
    let bounds = Duration::ZERO..=RETRY_WAIT_MAX;
    [
        ctx.duration("async_retry_waits", Some(first), default, bounds.clone()),
        ctx.duration("async_retry_waits", Some(second), later, bounds),
    ]
}
