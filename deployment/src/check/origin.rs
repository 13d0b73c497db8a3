//! Checks of one origin: `[distributions.NAME.origins.NAME]`.

use http::{HeaderName, HeaderValue, Uri};
use std::time::Duration;

use super::Context;
use super::access_control::access_control;
use super::field::seconds;
use crate::model::{Origin, OriginKind};
use crate::raw::{RawOrigin, Text};

/// AWS: "Quotas on CloudFront", custom headers.
const HEADERS_MAX: usize = 30;
const HEADER_NAME_MAX: usize = 256;
const HEADER_VALUE_MAX: usize = 1_783;
const HEADERS_BYTES_MAX: usize = 10_240;
const PATH_MAX: usize = 255;

/// AWS: "Response timeout"; and the longest that a function of Lambda takes, with what is around it.
const READ_S_MAX: u64 = 120;
const SOCKET_READ_S_MAX: u64 = 910;
/// Of the address of a Unix socket, without the zero at its end.
const SOCKET_PATH_MAX: usize = 107;

/// AWS: "Add custom headers to origin requests", headers that cannot be added.
const DENIED: [&str; 22] = [
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "request-range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];
const DENIED_PREFIXES: [&str; 2] = ["x-amz-", "x-edge-"];

/// The origin, or `None` when it is not clear where it is.
pub(super) fn origin(ctx: &mut Context, name: &Text, raw: &RawOrigin) -> Option<Origin> {
    let kind = kind(ctx, name, raw);
    let default = Duration::from_secs;
    let attempts = raw.connection_attempts.as_ref();
    // Functions, which answer on a socket, may take that long.
    let longest = if matches!(kind, Some(OriginKind::Socket(_))) { SOCKET_READ_S_MAX } else { READ_S_MAX };
    let access_control = raw.access_control.as_ref().and_then(|raw| access_control(ctx, raw, kind.as_ref()));
    Some(Origin {
        name: name.get_ref().clone(),
        custom_headers: custom_headers(ctx, name, raw),
        connection_attempts: ctx.number("connection_attempts", attempts, 3, 1..=3),
        connect_timeout: ctx.duration("connect_timeout", raw.connect_timeout.as_ref(), default(10), seconds(1..=10)),
        read_timeout: ctx.duration("read_timeout", raw.read_timeout.as_ref(), default(30), seconds(1..=longest)),
        keepalive_timeout: ctx.duration(
            "keepalive_timeout",
            raw.keepalive_timeout.as_ref(),
            default(5),
            seconds(1..=300),
        ),
        access_control,
        kind: kind?,
    })
}

fn kind(ctx: &mut Context, name: &Text, raw: &RawOrigin) -> Option<OriginKind> {
    match (&raw.directory, &raw.socket, &raw.url) {
        (Some(directory), None, None) => {
            for (key, value) in [
                ("connect_timeout", &raw.connect_timeout),
                ("read_timeout", &raw.read_timeout),
                ("keepalive_timeout", &raw.keepalive_timeout),
            ] {
                if let Some(value) = value {
                    ctx.findings.add(value.span(), format!("{key} has no meaning for an origin that is a directory"));
                }
            }
            Some(OriginKind::Directory(ctx.existing_directory("origin directory", directory)))
        }
        (None, Some(socket), None) => socket_origin(ctx, socket),
        (None, None, Some(url)) => match http_origin(url.get_ref()) {
            Ok(kind) => Some(kind),
            Err(message) => {
                ctx.findings.add(url.span(), format!("origin url {:?} {message}", url.get_ref()));
                None
            }
        },
        given => {
            let found = if matches!(given, (None, None, None)) { "none of them" } else { "more than one" };
            let message = format!("origin {} needs a directory, a socket or a url, it has {found}", name.get_ref());
            ctx.findings.add(name.span(), message);
            None
        }
    }
}

/// Whether anything listens there is seen when it is asked: it may come and go.
fn socket_origin(ctx: &mut Context, socket: &Text) -> Option<OriginKind> {
    let path = ctx.path(socket.get_ref());
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_MAX {
        let message = format!("socket {} has {bytes} bytes, at most {SOCKET_PATH_MAX} are possible", path.display());
        ctx.findings.add(socket.span(), message);
        return None;
    }
    Some(OriginKind::Socket(path))
}

fn http_origin(url: &str) -> Result<OriginKind, String> {
    let uri: Uri = url.parse().map_err(|error| format!("is not a url: {error}"))?;
    let (tls, default_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err("must start with http:// or https://".into()),
    };
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("must not contain a user name or password".into());
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("must not have a query or fragment".into());
    }
    if authority.host().is_empty() {
        return Err("has no host".into());
    }
    let has_port = authority.as_str().len() > authority.host().len();
    let port = match authority.port_u16() {
        Some(0) => return Err("has port 0".into()),
        Some(port) => port,
        None if has_port => return Err("has no valid port after its host".into()),
        None => default_port,
    };
    let path = if uri.path() == "/" { "" } else { uri.path() };
    if path.ends_with('/') {
        return Err("must not end with a slash after its path".into());
    }
    if path.len() > PATH_MAX {
        return Err(format!("has a path of {} characters, at most {PATH_MAX} are allowed", path.len()));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    Ok(OriginKind::Http { tls, host, port, path: path.into() })
}

fn custom_headers(ctx: &mut Context, origin: &Text, raw: &RawOrigin) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let mut bytes = 0;
    for (key, value) in &raw.headers {
        let Some(name) = ctx.header_name(key.span(), key.get_ref()) else { continue };
        bytes += name.as_str().len() + value.get_ref().len();
        if DENIED.contains(&name.as_str()) || DENIED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
            ctx.findings.add(key.span(), format!("header {name} cannot be a custom header of an origin"));
        }
        if name.as_str().len() > HEADER_NAME_MAX || value.get_ref().len() > HEADER_VALUE_MAX {
            let limits = format!("{HEADER_NAME_MAX} characters in the name and {HEADER_VALUE_MAX} in the value");
            ctx.findings.add(key.span(), format!("header {name} is too long: at most {limits} are allowed"));
        }
        if headers.iter().any(|(earlier, _)| *earlier == name) {
            ctx.findings.add(key.span(), format!("header {name} is given twice"));
        }
        match HeaderValue::from_str(value.get_ref()) {
            Ok(value) => headers.push((name, value)),
            Err(_) => {
                let message = format!("value of header {name} contains characters that a header cannot have");
                ctx.findings.add(value.span(), message);
            }
        }
    }
    let label = origin.get_ref();
    if raw.headers.len() > HEADERS_MAX {
        let count = raw.headers.len();
        let message = format!("origin {label} has {count} custom headers, at most {HEADERS_MAX} are allowed");
        ctx.findings.add(origin.span(), message);
    }
    if bytes > HEADERS_BYTES_MAX {
        let limit = format!("at most {HEADERS_BYTES_MAX} are allowed");
        ctx.findings.add(origin.span(), format!("custom headers of origin {label} have {bytes} characters, {limit}"));
    }
    headers
}
