//! Checks of `[server]`.

use environment::limits;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::field::seconds;
use super::{Context, cache_disk, scaling};
use crate::raw::{RawServer, Text};
use crate::server::Server;

const HTTP_DEFAULT: &str = "127.0.0.1:8080";
const DATA_DIR_DEFAULT: &str = "data";
const CACHE_BYTES_DEFAULT: u64 = 256 << 20;
const CACHE_OBJECT_BYTES_DEFAULT: u64 = 64 << 20;
/// AWS: "Quotas on CloudFront", length of a request: 32,768 bytes with its URL.
const HEADER_BYTES_DEFAULT: u64 = 32_768;

pub(super) fn server(ctx: &mut Context, raw: &RawServer) -> Server {
    let mut seen = BTreeSet::new();
    let https = raw.https.as_ref().map(|list| addresses(ctx, "https", list.get_ref(), &mut seen)).unwrap_or_default();
    let http = match &raw.http {
        Some(list) => addresses(ctx, "http", list, &mut seen),
        None if https.is_empty() => vec![HTTP_DEFAULT.parse().expect("the default is an address")],
        None => Vec::new(),
    };
    let metrics = addresses(ctx, "metrics", raw.metrics.as_slice(), &mut seen).pop();
    let cache_bytes = ctx.size("cache_size", raw.cache_size.as_ref(), CACHE_BYTES_DEFAULT, 1 << 20..=1 << 40);
    let object_max = ctx.size(
        "cache_object_size_max",
        raw.cache_object_size_max.as_ref(),
        CACHE_OBJECT_BYTES_DEFAULT.min(cache_bytes),
        1..=1 << 40,
    );
    if object_max > cache_bytes
        && let Some(raw) = &raw.cache_object_size_max
    {
        let message = format!("cache_object_size_max is {object_max} bytes, larger than cache_size ({cache_bytes})");
        ctx.findings.add(raw.span(), message);
    }
    let header_bytes = ctx.size("header_size_max", raw.header_size_max.as_ref(), HEADER_BYTES_DEFAULT, 1024..=1 << 20);
    let timeout = seconds(1..=3600);
    let default = Duration::from_secs;
    Server {
        certificates: certificates(ctx, raw, &https),
        http,
        https,
        data_dir: ctx.path(raw.data_dir.as_ref().map_or(DATA_DIR_DEFAULT, |dir| dir.get_ref())),
        geo_database: raw.geo_database.as_ref().map(|file| geo_database(ctx, file)),
        metrics,
        cache_bytes,
        cache_object_bytes_max: object_max,
        cache_disk: cache_disk::cache_disk(ctx, raw.cache_disk.as_ref(), object_max),
        header_timeout: ctx.duration("header_timeout", raw.header_timeout.as_ref(), default(10), timeout.clone()),
        body_timeout: ctx.duration("body_timeout", raw.body_timeout.as_ref(), default(30), timeout.clone()),
        idle_timeout: ctx.duration("idle_timeout", raw.idle_timeout.as_ref(), default(60), timeout),
        connections_per_address: ctx.number(
            "connections_per_address",
            raw.connections_per_address.as_ref(),
            256,
            1..=1_000_000,
        ),
        header_bytes_max: usize::try_from(header_bytes).expect("at most a mebibyte"),
        h2_streams_max: ctx.number("h2_streams_max", raw.h2_streams_max.as_ref(), 128, 1..=10_000),
        threads: ctx.number("threads", raw.threads.as_ref(), processors(), 1..=1024),
        environments_max: ctx.number(
            "environments_max",
            raw.environments_max.as_ref(),
            limits::ENVIRONMENTS_MAX_DEFAULT,
            1..=limits::ENVIRONMENTS_MAX,
        ),
        cpu: scaling::cpu(ctx, raw.cpu.as_ref()),
        tmp_bytes_max: raw.tmp_memory.as_ref().map(|text| ctx.size("tmp_memory", Some(text), 0, 1 << 20..=1 << 50)),
        control: None,
    }
}

fn addresses(ctx: &mut Context, key: &str, list: &[Text], seen: &mut BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = Vec::with_capacity(list.len());
    for raw in list {
        match raw.get_ref().parse::<SocketAddr>() {
            // Port 0 is a free port each time, so it may be asked for more than once.
            Ok(address) if address.port() == 0 || seen.insert(address) => addresses.push(address),
            Ok(address) => ctx.findings.add(raw.span(), format!("{key} address {address} is listed twice")),
            Err(_) => {
                let message = format!("{key} address {:?} is not an IP address and port", raw.get_ref());
                ctx.findings.add(raw.span(), format!("{message}, as in \"127.0.0.1:8080\""));
            }
        }
    }
    addresses
}

fn certificates(ctx: &mut Context, raw: &RawServer, https: &[SocketAddr]) -> Option<PathBuf> {
    match (&raw.certificates, &raw.https) {
        (Some(directory), _) if https.is_empty() => Some(ctx.path(directory.get_ref())),
        (Some(directory), _) => {
            let path = ctx.path(directory.get_ref());
            if !path.is_dir() {
                let message =
                    format!("certificates {} is not a directory; `selvedge certs init` makes one", path.display());
                ctx.findings.add(directory.span(), message);
            }
            Some(path)
        }
        (None, Some(listeners)) if !https.is_empty() => {
            let message = "https listeners need certificates: set certificates to a directory, \
                           which `selvedge certs init` can make";
            ctx.findings.add(listeners.span(), message);
            None
        }
        _ => None,
    }
}

fn geo_database(ctx: &mut Context, raw: &Text) -> PathBuf {
    let path = ctx.path(raw.get_ref());
    if !path.is_file() {
        ctx.findings.add(raw.span(), format!("geo_database {} is not a file", path.display()));
    }
    path
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
