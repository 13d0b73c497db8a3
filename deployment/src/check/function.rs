//! Checks of one function: `[functions.NAME]`.

use environment::limits;
use environment::{Language, Runtime};
use functions::{FunctionConfig, NetworkPolicy, PackageSource};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::interpreter::Interpreters;
use super::{Author, Context, key_value_store, scaling};
use crate::raw::{Named, RawFunction, RawKeyValueStore, RawNetwork, Text};
use crate::units;

/// AWS: "CreateFunction", FunctionName without an ARN; and Handler.
const NAME_MAX: usize = 64;
const HANDLER_MAX: usize = 128;
/// Whose bounds hold for a function: Lambda@Edge's, or Lambda's.
pub(super) const QUOTAS_EDGE: &str = "edge";
pub(super) const QUOTAS_LAMBDA: &str = "lambda";
const HANDLER_DEFAULT: &str = "index.handler";
const HANDLER_DEFAULT_PYTHON: &str = "lambda_function.lambda_handler";
/// A custom runtime makes of it what it likes.
const HANDLER_DEFAULT_CUSTOM: &str = "bootstrap";
const RUNTIME_DEFAULT: Runtime = Runtime::Nodejs22;
/// The runtime's own names (AWS: "Defined runtime environment variables").
const RESERVED_PREFIXES: [&str; 2] = ["AWS_", "LAMBDA_"];
const RESERVED: [&str; 2] = ["_HANDLER", "_X_AMZN_TRACE_ID"];

/// The function and the digest of its package, or `None` when there are problems.
pub(super) fn function(
    ctx: &mut Context,
    interpreters: &mut Interpreters,
    (name, raw): (&Text, &RawFunction),
    stores: &Named<RawKeyValueStore>,
) -> Option<(FunctionConfig, String)> {
    let before = ctx.findings.count();
    let (function_name, version) = named(ctx, name);
    let package = package(ctx, name, raw);
    let layers = raw.layers.iter().filter_map(|layer| source(ctx, "layer", layer)).collect();
    let runtime = runtime(ctx, raw);
    let timeout_bounds = timeout_bounds(ctx, raw);
    let tmp_bounds = limits::TMP_MB_MIN..=limits::TMP_MB_MAX;
    let memory_bounds = limits::MEMORY_MB_MIN..=limits::MEMORY_MB_MAX;
    let config = FunctionConfig {
        name: function_name,
        version,
        handler: handler(ctx, raw, runtime),
        runtime,
        interpreter: interpreters.of(ctx, runtime, raw.runtime.as_ref()),
        memory_mb: ctx.number("memory_mb", raw.memory_mb.as_ref(), limits::MEMORY_MB_DEFAULT, memory_bounds),
        timeout: ctx.duration("timeout", raw.timeout.as_ref(), limits::TIMEOUT_DEFAULT, timeout_bounds),
        tmp_mb: ctx.number("tmp_mb", raw.tmp_mb.as_ref(), limits::TMP_MB_DEFAULT, tmp_bounds),
        network: network(ctx, raw.network.as_ref()),
        variables: variables(ctx, name, &raw.environment),
        scaling: scaling::scaling(ctx, raw),
        snap_start: scaling::snap_start(ctx, raw, runtime),
        idempotent: raw.idempotent,
        key_value_stores: key_value_store::of_function(ctx, raw, runtime, stores),
        package: package?,
        layers,
    };
    if ctx.findings.count() > before {
        return None;
    }
    match functions::check_package_of(&config, ctx.known) {
        Ok(digest) => Some((config, digest.0)),
        Err(error) => {
            ctx.findings.add(name.span(), format!("function {}: {error}", name.get_ref()));
            None
        }
    }
}

/// What the function's timeout may be: the edge's bounds, or Lambda's own where the function says so.
fn timeout_bounds(ctx: &mut Context, raw: &RawFunction) -> RangeInclusive<Duration> {
    let edge = limits::TIMEOUT_MIN..=limits::TIMEOUT_MAX_EDGE;
    let lambda = limits::TIMEOUT_MIN..=limits::TIMEOUT_MAX;
    match raw.quotas.as_ref().map(|quotas| (quotas, quotas.get_ref().as_str())) {
        Some((_, QUOTAS_LAMBDA)) => return lambda,
        None | Some((_, QUOTAS_EDGE)) => {}
        Some((quotas, other)) => {
            let message = format!("quotas is {other:?}, it must be {QUOTAS_EDGE:?} or {QUOTAS_LAMBDA:?}");
            ctx.findings.add(quotas.span(), message);
        }
    }
    let Some(timeout) = &raw.timeout else { return edge };
    match units::duration(timeout.get_ref()) {
        Ok(duration) if !edge.contains(&duration) && lambda.contains(&duration) => {
            let (duration, max) = (units::written(duration), units::written(limits::TIMEOUT_MAX_EDGE));
            let message = format!(
                "timeout is {duration}, a function at the edge has at most {max}; \
                 quotas = {QUOTAS_LAMBDA:?} allows up to {}",
                units::written(limits::TIMEOUT_MAX)
            );
            ctx.findings.add(timeout.span(), message);
            // Said already, and better.
            lambda
        }
        _ => edge,
    }
}

/// Name and version. In the file a function has no other version than its first.
fn named(ctx: &mut Context, name: &Text) -> (String, String) {
    let label = name.get_ref().as_str();
    let (text, version) = match ctx.author {
        Author::Operator => (label, "1"),
        Author::ControlPlane => label.split_once(':').unwrap_or((label, "1")),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(allowed) {
        let rule = format!("1 to {NAME_MAX} letters, digits, - and _");
        ctx.findings.add(name.span(), format!("function name {text:?} must be {rule}"));
    }
    (text.to_owned(), version.to_owned())
}

fn package(ctx: &mut Context, name: &Text, raw: &RawFunction) -> Option<PackageSource> {
    let Some(code) = &raw.code else {
        ctx.findings.add(name.span(), format!("function {} has no code: a directory or a .zip", name.get_ref()));
        return None;
    };
    source(ctx, "code", code)
}

/// A directory or an archive, as `key` says.
fn source(ctx: &mut Context, key: &str, written: &Text) -> Option<PackageSource> {
    let path = ctx.path(written.get_ref());
    let is_zip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Some(PackageSource::Directory(path)),
        Ok(_) if is_zip => Some(PackageSource::Zip(path)),
        Ok(_) => {
            let message = format!("{key} {} is neither a directory nor a .zip file", path.display());
            ctx.findings.add(written.span(), message);
            None
        }
        Err(error) => {
            ctx.findings.add(written.span(), format!("{key} {}: {error}", path.display()));
            None
        }
    }
}

fn handler(ctx: &mut Context, raw: &RawFunction, runtime: Runtime) -> String {
    let default = match runtime.language() {
        Language::JavaScript => HANDLER_DEFAULT,
        Language::Python => HANDLER_DEFAULT_PYTHON,
        Language::Custom => HANDLER_DEFAULT_CUSTOM,
    };
    let Some(handler) = &raw.handler else { return default.into() };
    let text = handler.get_ref();
    if runtime.language() == Language::Custom {
        if text.is_empty() || text.len() > HANDLER_MAX || text.contains(char::is_whitespace) {
            let message = format!("handler {text:?} must be 1 to {HANDLER_MAX} characters without spaces");
            ctx.findings.add(handler.span(), message);
        }
        return text.clone();
    }
    let parts = text.rsplit_once('.');
    let named = parts.is_some_and(|(module, export)| !module.is_empty() && !export.is_empty());
    if !named || text.len() > HANDLER_MAX || text.contains(char::is_whitespace) {
        let rule = format!("a module and an export with a dot between, at most {HANDLER_MAX} characters");
        ctx.findings.add(handler.span(), format!("handler {text:?} must be {rule}, as in \"{default}\""));
    }
    text.clone()
}

fn runtime(ctx: &mut Context, raw: &RawFunction) -> Runtime {
    let Some(runtime) = &raw.runtime else { return RUNTIME_DEFAULT };
    Runtime::from_id(runtime.get_ref()).unwrap_or_else(|| {
        let known = Runtime::ALL.map(Runtime::id).join(", ");
        ctx.findings.add(runtime.span(), format!("runtime {:?} is not one of {known}", runtime.get_ref()));
        RUNTIME_DEFAULT
    })
}

fn network(ctx: &mut Context, raw: Option<&RawNetwork>) -> NetworkPolicy {
    let allow = raw.map_or(&[][..], |raw| &raw.allow);
    for entry in allow {
        if let Err(error) = NetworkPolicy::parse([entry.get_ref().as_str()]) {
            ctx.findings.add(entry.span(), format!("network: {error}"));
        }
    }
    // What cannot be read was said above; the deployment is not built then.
    NetworkPolicy::parse(allow.iter().map(|entry| entry.get_ref().as_str())).unwrap_or_default()
}

fn variables(ctx: &mut Context, function: &Text, raw: &Named<String>) -> BTreeMap<String, String> {
    for (name, value) in raw {
        let text = name.get_ref();
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            ctx.findings
                .add(name.span(), format!("variable name {text:?} must be letters, digits and _, no digit first"));
        }
        if RESERVED.contains(&text.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            ctx.findings.add(name.span(), format!("variable name {text} is reserved for the runtime"));
        }
        if value.contains('\0') {
            ctx.findings.add(name.span(), format!("variable {text} contains a zero byte"));
        }
    }
    let bytes: usize = raw.iter().map(|(name, value)| name.get_ref().len() + value.len()).sum();
    if bytes > limits::VARIABLES_BYTES_MAX {
        let limit = limits::VARIABLES_BYTES_MAX;
        let message =
            format!("variables of function {} have {bytes} bytes, at most {limit} are allowed", function.get_ref());
        ctx.findings.add(function.span(), message);
    }
    raw.iter().map(|(name, value)| (name.get_ref().clone(), value.clone())).collect()
}
