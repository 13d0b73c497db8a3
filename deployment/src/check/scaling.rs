//! Checks of the keys about execution environments: how many, how long, how they
//! start, and how much of the processor they get.

use environment::{Language, Runtime, limits};
use functions::{CpuShare, FunctionConfig, Scaling, SnapStart};
use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use crate::raw::{Named, RawFunction, Text};

pub(super) fn scaling(ctx: &mut Context, raw: &RawFunction) -> Scaling {
    let default = Scaling::default();
    let many = 1..=limits::ENVIRONMENTS_MAX;
    let idle = Duration::ZERO..=limits::IDLE_MAX;
    let template_idle = limits::TEMPLATE_IDLE_MIN..=limits::TEMPLATE_IDLE_MAX;
    let (own, burst) = (raw.environments_max.as_ref(), raw.environments_burst.as_ref());
    let environments_max = ctx.number("environments_max", own, default.environments_max, many);
    let provisioned = ctx.number("provisioned", raw.provisioned.as_ref(), 0, 0..=limits::ENVIRONMENTS_MAX);
    if let Some(written) = raw.provisioned.as_ref().filter(|_| provisioned > environments_max) {
        let message = format!("provisioned is {provisioned}, more than environments_max ({environments_max})");
        ctx.findings.add(written.span(), message);
    }
    let (idle_key, template_key) = (raw.environment_idle_timeout.as_ref(), raw.template_idle_timeout.as_ref());
    Scaling {
        environments_max,
        burst: ctx.number("environments_burst", burst, default.burst, 1..=1_000_000),
        provisioned,
        idle_max: ctx.duration("environment_idle_timeout", idle_key, default.idle_max, idle),
        template_idle_max: ctx.duration(
            "template_idle_timeout",
            template_key,
            default.template_idle_max,
            template_idle,
        ),
    }
}

/// Snapshot start and provisioned environments exclude each other (AWS: "Improving startup
/// performance with Lambda SnapStart", limitations).
pub(super) fn snap_start(ctx: &mut Context, raw: &RawFunction, runtime: Runtime) -> SnapStart {
    if runtime.language() == Language::Custom {
        return without_copies(ctx, raw, runtime);
    }
    let Some(written) = &raw.snap_start else { return SnapStart::default() };
    match written.get_ref().as_str() {
        "on" => {
            if let Some(provisioned) = raw.provisioned.as_ref().filter(|count| *count.get_ref() > 0) {
                let message = "snap_start = \"on\" and provisioned exclude each other: remove one of them";
                ctx.findings.add(provisioned.span(), message);
            }
            SnapStart::Always
        }
        "off" => {
            if let Some(template) = &raw.template_idle_timeout {
                let message = "template_idle_timeout has no effect with snap_start = \"off\": remove one of them";
                ctx.findings.add(template.span(), message);
            }
            SnapStart::Never
        }
        other => {
            let message =
                format!("snap_start is {other:?}, it must be \"on\" or \"off\"; leave it out to copy where possible");
            ctx.findings.add(written.span(), message);
            SnapStart::default()
        }
    }
}

/// A custom runtime is programs, which start anew in each environment.
fn without_copies(ctx: &mut Context, raw: &RawFunction, runtime: Runtime) -> SnapStart {
    let id = runtime.id();
    if let Some(written) = raw.snap_start.as_ref().filter(|written| written.get_ref() != "off") {
        let message = format!(
            "snap_start is {:?}, and programs of runtime {id} cannot be copied: remove it; \
             provisioned environments are started ahead",
            written.get_ref()
        );
        ctx.findings.add(written.span(), message);
    }
    if let Some(template) = &raw.template_idle_timeout {
        let message =
            format!("template_idle_timeout has no effect with runtime {id}, which has no template: remove it");
        ctx.findings.add(template.span(), message);
    }
    SnapStart::Never
}

pub(super) fn cpu(ctx: &mut Context, raw: Option<&Text>) -> CpuShare {
    let Some(written) = raw else { return CpuShare::ByMemory };
    match written.get_ref().as_str() {
        "by-memory" => CpuShare::ByMemory,
        "unlimited" => CpuShare::Unlimited,
        other => {
            ctx.findings.add(written.span(), format!("cpu is {other:?}, it must be \"by-memory\" or \"unlimited\""));
            CpuShare::ByMemory
        }
    }
}

/// All provisioned environments must find a place.
pub(super) fn provisioned_fit(
    ctx: &mut Context,
    raw: &Named<RawFunction>,
    functions: &BTreeMap<String, FunctionConfig>,
    environments_max: usize,
) {
    let total: usize = functions.values().map(|function| function.scaling.provisioned).sum();
    let last = raw.values().rev().find_map(|function| function.provisioned.as_ref());
    if let Some(last) = last.filter(|_| total > environments_max) {
        let message = format!(
            "provisioned is {total} in all functions together, more than environments_max of [server] ({environments_max})"
        );
        ctx.findings.add(last.span(), message);
    }
}
