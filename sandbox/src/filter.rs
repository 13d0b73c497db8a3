//! The system calls that are allowed, as lists. Everything else fails with
//! `EPERM`. A template may fork and prepare its copies; an environment may not.

use crate::failure::during;
use crate::listener;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;

mod calls;

/// Whose filter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage<'a> {
    /// A template's; its control sockets are the only ones that messages may be sent on.
    Template { controls: &'a [RawFd] },
    /// An environment's, on top of its template's.
    Environment { pid: u32 },
}

/// Allows only the list of `stage` from here on, in this thread and its children.
pub(crate) fn enter(stage: Stage<'_>) -> io::Result<()> {
    listener::install(&program(stage)?).map_err(during("list of system calls"))
}

fn program(stage: Stage<'_>) -> io::Result<BpfProgram> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules(stage)?, refuse, SeccompAction::Allow, target).map_err(io::Error::other)?;
    BpfProgram::try_from(filter).map_err(io::Error::other)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(stage: Stage<'_>) -> io::Result<Rules> {
    let mut rules: Rules = calls::ALWAYS.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_ioctl, any_of(1, calls::IOCTLS)?);
    rules.insert(libc::SYS_socket, sockets()?);
    rules.insert(libc::SYS_socketpair, vec![rule(vec![equal(0, libc::AF_UNIX)?])?]);
    rules.insert(libc::SYS_setsockopt, socket_options()?);
    match stage {
        Stage::Template { controls } => {
            rules.extend(calls::TEMPLATE.iter().map(|call| (*call, Vec::new())));
            rules.insert(libc::SYS_prctl, any_of(0, calls::PRCTLS_OF_TEMPLATES)?);
            rules.insert(libc::SYS_unshare, vec![rule(vec![equal(0, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?])?]);
            // A thread, or a fork: anything without new namespaces.
            rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, NAMESPACES, 0)?])?]);
            rules.insert(libc::SYS_sendmsg, any_of(0, controls)?);
        }
        Stage::Environment { pid } => {
            rules.insert(libc::SYS_prctl, any_of(0, calls::PRCTLS_OF_ENVIRONMENTS)?);
            let thread = libc::CLONE_THREAD.cast_unsigned();
            rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, NAMESPACES | thread, thread)?])?]);
            let own = i32::try_from(pid).map_err(io::Error::other)?;
            rules.insert(libc::SYS_tgkill, vec![rule(vec![equal(0, own)?])?]);
            // Reading the bounds of this process; setting them, or another's, is not.
            let reads = vec![equal(0, 0)?, zero(2)?];
            rules.insert(libc::SYS_prlimit64, vec![rule(reads)?]);
        }
    }
    Ok(rules)
}

/// IPv4 and IPv6, TCP and UDP.
fn sockets() -> io::Result<Vec<SeccompRule>> {
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (kind, own) in [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)] {
            for protocol in [0, own] {
                let kind = masked(1, SOCKET_KIND, kind.cast_unsigned())?;
                rules.push(rule(vec![equal(0, family)?, kind, equal(2, protocol)?])?);
            }
        }
    }
    Ok(rules)
}

fn socket_options() -> io::Result<Vec<SeccompRule>> {
    calls::SOCKET_OPTIONS.iter().map(|(level, option)| rule(vec![equal(1, *level)?, equal(2, *option)?])).collect()
}

fn any_of(argument: u8, values: &[i32]) -> io::Result<Vec<SeccompRule>> {
    values.iter().map(|value| rule(vec![equal(argument, *value)?])).collect()
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn equal(argument: u8, value: i32) -> io::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, Length::Dword, Compare::Eq, value).map_err(io::Error::other)
}

fn masked(argument: u8, mask: u32, value: u32) -> io::Result<SeccompCondition> {
    let compare = Compare::MaskedEq(mask.into());
    SeccompCondition::new(argument, Length::Dword, compare, value.into()).map_err(io::Error::other)
}

fn zero(argument: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Length::Qword, Compare::Eq, 0).map_err(io::Error::other)
}

/// Flags of `clone` that make namespaces, or trace.
const NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_PTRACE)
    .cast_unsigned();

/// The bits of a socket's type that are no flags.
const SOCKET_KIND: u32 = 0xf;
