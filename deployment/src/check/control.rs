//! Checks of `[control]`.

use super::Context;
use crate::raw::{RawControl, Text};
use crate::server::ControlPlane;
use std::net::SocketAddr;
use std::time::Duration;
use toml::Spanned;

/// Only this machine can speak to it, unless it is told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:8081";

/// AWS: "How Lambda handles errors and retries with asynchronous invocation".
const RETRY_WAITS_DEFAULT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);

pub(super) fn control(ctx: &mut Context, raw: &RawControl) -> ControlPlane {
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
    ControlPlane { listen, key_file, async_retry_waits: retry_waits(ctx, raw.async_retry_waits.as_ref()) }
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
