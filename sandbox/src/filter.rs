//! The system calls that are allowed, as lists. Everything else fails with
//! `EPERM`. A template may fork and prepare its copies; its environments, which
//! are under its filter and one of their own, may not. Where programs are run,
//! an environment may start processes, and nothing else that is more.

use crate::code::Code;
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
    /// An environment's. Says nothing without its template's, under which it is.
    Environment { pid: u32 },
}

/// Adds the filter of `stage`, from here on, in this thread and its children.
pub(crate) fn enter(stage: Stage<'_>, code: &Code) -> io::Result<()> {
    listener::install(&program(stage, code)?).map_err(during("list of system calls"))
}

fn program(stage: Stage<'_>, code: &Code) -> io::Result<BpfProgram> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let (rules, unlisted, listed) = match stage {
        Stage::Template { controls } => (allowed_to_templates(controls, code)?, refuse, SeccompAction::Allow),
        Stage::Environment { .. } if code.has_programs() => (refused_to_programs()?, SeccompAction::Allow, refuse),
        Stage::Environment { pid } => (refused_to_environments(pid)?, SeccompAction::Allow, refuse),
    };
    let filter = SeccompFilter::new(rules, unlisted, listed, target).map_err(io::Error::other)?;
    BpfProgram::try_from(filter).map_err(io::Error::other)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn allowed_to_templates(controls: &[RawFd], code: &Code) -> io::Result<Rules> {
    let mut rules: Rules = calls::ALWAYS.iter().chain(calls::TEMPLATE).map(|call| (*call, Vec::new())).collect();
    if code.has_programs() {
        rules.extend(calls::PROGRAMS.iter().map(|call| (*call, Vec::new())));
    }
    rules.insert(libc::SYS_ioctl, any_of(1, calls::IOCTLS)?);
    rules.insert(libc::SYS_socket, sockets()?);
    rules.insert(libc::SYS_socketpair, vec![rule(vec![equal(0, libc::AF_UNIX)?])?]);
    rules.insert(libc::SYS_setsockopt, socket_options()?);
    rules.insert(libc::SYS_prctl, any_of(0, calls::PRCTLS_OF_TEMPLATES)?);
    rules.insert(libc::SYS_unshare, vec![rule(vec![equal(0, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?])?]);
    // A thread, or a fork: anything without new namespaces, whose end tells its parent nothing or the usual.
    let ends = [0, libc::SIGCHLD.cast_unsigned()];
    let clones = ends.map(|end| rule(vec![masked(0, NAMESPACES | EXIT_SIGNAL, end)?]));
    rules.insert(libc::SYS_clone, clones.into_iter().collect::<io::Result<_>>()?);
    rules.insert(libc::SYS_sendmsg, any_of(0, controls)?);
    Ok(rules)
}

/// An environment is under its template's filter as well, which refuses whatever is on no list: here
/// is only what a template may do and an environment may not. Most environments live for one
/// invocation, and a filter of the whole list takes the kernel longer to take over than all else
/// that keeps an environment in.
fn refused_to_environments(pid: u32) -> io::Result<Rules> {
    let mut rules = refused_to_all(calls::TEMPLATE)?;
    // Whatever is no thread.
    rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, libc::CLONE_THREAD.cast_unsigned(), 0)?])?]);
    let own = i32::try_from(pid).map_err(io::Error::other)?;
    rules.insert(libc::SYS_tgkill, vec![rule(vec![unequal(0, own)?])?]);
    // Another process's bounds, and setting any; this process may read its own.
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![unequal(0, 0)?])?, rule(vec![not_null(2)?])?]);
    Ok(rules)
}

/// The same where an environment is more than one process: those are in namespaces of their own, so they may
/// start and end each other, but not leave the group by which they are held back.
fn refused_to_programs() -> io::Result<Rules> {
    let templates: Vec<i64> = calls::TEMPLATE.iter().copied().filter(|call| !calls::PROGRAMS.contains(call)).collect();
    let mut rules = refused_to_all(&templates)?;
    // Another process's bounds; its own it may only lower.
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![unequal(0, 0)?])?]);
    // Memory that several processes share without a file is counted in none of them.
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS).cast_unsigned();
    rules.insert(libc::SYS_mmap, vec![rule(vec![masked(3, shared, shared)?])?]);
    Ok(rules)
}

fn refused_to_all(calls: &[i64]) -> io::Result<Rules> {
    let mut rules: Rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    rules.extend([libc::SYS_unshare, libc::SYS_sendmsg].map(|call| (call, Vec::new())));
    let others = calls::PRCTLS_OF_ENVIRONMENTS.iter().map(|option| unequal(0, *option)).collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_prctl, vec![rule(others)?]);
    // A signal of one's choice when something can be read: it would let a stopped process go on.
    rules.insert(libc::SYS_fcntl, any_of(1, calls::FCNTLS_REFUSED)?);
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

fn unequal(argument: u8, value: i32) -> io::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, Length::Dword, Compare::Ne, value).map_err(io::Error::other)
}

fn not_null(argument: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Length::Qword, Compare::Ne, 0).map_err(io::Error::other)
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

/// The bits of `clone`'s flags that are a signal.
const EXIT_SIGNAL: u32 = 0xff;

/// The bits of a socket's type that are no flags.
const SOCKET_KIND: u32 = 0xf;

#[cfg(test)]
mod tests;
