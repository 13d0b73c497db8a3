//! Installs system-call filters, and the one whose calls the PoP answers: where
//! a socket comes from and where it leads.
#![allow(unsafe_code)]

use crate::failure::during;
use crate::fork::adopt;
use seccompiler::sock_filter;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

/// Whether new processes are made by permission: where user code can ask the system for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forks {
    Asked,
    Unasked,
}

/// Whether programs may ask for a socket to listen; no list has it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    Asked,
    Never,
}

/// Adds a filter to this thread.
pub(crate) fn install(program: &[sock_filter]) -> io::Result<()> {
    seccomp(program, 0).map(|_| ())
}

/// Whether this kernel can answer calls of a filter with descriptors (Linux 5.14).
pub(crate) fn is_supported() -> bool {
    let Ok(name) = nix::sys::utsname::uname() else { return false };
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14)
}

/// The calls that answer "not known here": `clone3`, whose flags no filter can see (the C library
/// then uses `clone`), and all that are newer than the lists.
pub(crate) fn refuse_the_unknown() -> io::Result<()> {
    install(&program(&[], Forks::Unasked)).map_err(during("list of unknown system calls"))
}

/// The same, and sends the network calls of this process and its copies to the returned listener, and where
/// they are to be asked for, forks.
pub(crate) fn listen(forks: Forks, listening: Listening) -> io::Result<OwnedFd> {
    let mut network = vec![libc::SYS_socket, libc::SYS_connect, libc::SYS_bind];
    if listening == Listening::Asked {
        network.push(libc::SYS_listen);
    }
    let descriptor = seccomp(&program(&network, forks), libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
        .map_err(during("network listener"))?;
    Ok(adopt(descriptor))
}

fn seccomp(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<RawFd> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    // The kernel only reads through the pointer.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the program is a live slice of `struct sock_filter`, its length is given.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match RawFd::try_from(answer) {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `asked`, and with them `sendto` with an address, to the listener.
fn program(asked: &[i64], forks: Forks) -> Vec<sock_filter> {
    let mut program = vec![
        load(OFFSET_ARCHITECTURE),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(OFFSET_NUMBER),
        jump(libc::BPF_JGE, FIRST_UNKNOWN, 1, 0),
        jump(libc::BPF_JEQ, number(libc::SYS_clone3), 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
    ];
    for call in asked {
        program.extend([jump(libc::BPF_JEQ, number(*call), 0, 1), answer(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    if !asked.is_empty() {
        program.extend([
            jump(libc::BPF_JEQ, number(libc::SYS_sendto), 0, 5),
            load(OFFSET_ADDRESS),
            jump(libc::BPF_JEQ, 0, 0, 2),
            load(OFFSET_ADDRESS + 4),
            jump(libc::BPF_JEQ, 0, 1, 0),
            answer(libc::SECCOMP_RET_USER_NOTIF),
        ]);
    }
    if forks == Forks::Asked {
        program.extend([
            load(OFFSET_NUMBER),
            jump(libc::BPF_JEQ, number(libc::SYS_clone), 0, 3),
            load(OFFSET_FLAGS),
            jump(libc::BPF_JSET, libc::CLONE_THREAD.cast_unsigned(), 1, 0),
            answer(libc::SECCOMP_RET_USER_NOTIF),
        ]);
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(compare: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(libc::BPF_JMP | compare | libc::BPF_K, value, if_true, if_false)
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes of instructions are short"), jt, jf, k }
}

fn number(call: i64) -> u32 {
    u32::try_from(call).expect("numbers of system calls are small and positive")
}

/// Of `struct seccomp_data`; the address of `sendto` is its fifth argument, the flags of `clone` its first.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_FLAGS: u32 = 16;
const OFFSET_ADDRESS: u32 = 16 + 4 * 8;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The first number after `mount_setattr`, the newest call that is used here on any architecture.
const FIRST_UNKNOWN: u32 = 450;
