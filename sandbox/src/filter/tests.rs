//! Filters as the kernel runs them: what the two of an environment say together.

use super::*;

/// One system call: its number and arguments.
#[derive(Clone, Copy, Debug)]
struct Call(i64, [u64; 6]);

/// What a filter answers to a call: runs the few instructions that such programs have.
fn answer(program: &BpfProgram, call: Call) -> u32 {
    let mut data = Vec::from(i32::try_from(call.0).unwrap().to_le_bytes());
    let architecture: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    data.extend(architecture.to_le_bytes());
    data.extend([0; 8]);
    call.1.iter().for_each(|argument| data.extend(argument.to_le_bytes()));
    let (mut at, mut register) = (0, 0_u32);
    loop {
        let instruction = &program[at];
        let code = u32::from(instruction.code);
        at += 1;
        match code & 7 {
            libc::BPF_LD => {
                let offset = instruction.k as usize;
                register = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            libc::BPF_ALU => register &= instruction.k,
            libc::BPF_JMP if code & 0xf0 == libc::BPF_JA => at += instruction.k as usize,
            libc::BPF_JMP => {
                let holds = match code & 0xf0 {
                    libc::BPF_JEQ => register == instruction.k,
                    libc::BPF_JGT => register > instruction.k,
                    libc::BPF_JGE => register >= instruction.k,
                    other => panic!("a jump that is not known here: {other}"),
                };
                at += usize::from(if holds { instruction.jt } else { instruction.jf });
            }
            libc::BPF_RET => return instruction.k,
            other => panic!("an instruction that is not known here: {other}"),
        }
    }
}

/// Whether a process under these filters may make the call.
fn may(programs: &[&BpfProgram], call: Call) -> bool {
    programs.iter().all(|program| answer(program, call) == libc::SECCOMP_RET_ALLOW)
}

const PID: u32 = 17;

#[test]
fn an_environment_may_do_what_is_listed_for_it_and_nothing_of_its_template() {
    let template = program(Stage::Template { controls: &[2_000] }, &Code::Text).unwrap();
    let environment = program(Stage::Environment { pid: PID }, &Code::Text).unwrap();
    let both = [&template, &environment];
    for number in 0..LAST {
        let call = Call(number, [0; 6]);
        let always = calls::ALWAYS.contains(&number);
        let with_zeroes = number == libc::SYS_prlimit64;
        assert_eq!(may(&both, call), always || with_zeroes, "call {number}");
        let only_templates = calls::TEMPLATE.contains(&number);
        assert_eq!(may(&[&template], call), always || only_templates || number == libc::SYS_clone, "call {number}");
    }
}

#[test]
fn arguments_decide_where_a_call_has_more_than_one_use() {
    let template = program(Stage::Template { controls: &[2_000] }, &Code::Text).unwrap();
    let environment = program(Stage::Environment { pid: PID }, &Code::Text).unwrap();
    let number = |value: i32| u64::from(value.cast_unsigned());
    let one = |call, first| Call(call, [first, 0, 0, 0, 0, 0]);
    let (thread, user) = (number(libc::CLONE_THREAD), number(libc::CLONE_NEWUSER));
    // The call, whether a template may make it, and an environment.
    for (call, of_template, of_environment) in [
        (one(libc::SYS_clone, thread), true, true),
        (one(libc::SYS_clone, number(libc::SIGCHLD)), true, false),
        (one(libc::SYS_clone, number(libc::SIGCONT)), false, false),
        (Call(libc::SYS_fcntl, [3, number(libc::F_GETFL), 0, 0, 0, 0]), true, true),
        (Call(libc::SYS_fcntl, [3, 10, number(libc::SIGCONT), 0, 0, 0]), true, false),
        (one(libc::SYS_clone, thread | user), false, false),
        (one(libc::SYS_clone, user), false, false),
        (one(libc::SYS_tgkill, PID.into()), true, true),
        (one(libc::SYS_tgkill, 1), true, false),
        (one(libc::SYS_prlimit64, 1), true, false),
        (Call(libc::SYS_prlimit64, [0, 7, 0, 1, 0, 0]), true, true),
        (Call(libc::SYS_prlimit64, [0, 7, 1 << 40, 0, 0, 0]), true, false),
        (one(libc::SYS_prctl, number(libc::PR_SET_NAME)), true, true),
        (one(libc::SYS_prctl, number(libc::PR_SET_DUMPABLE)), true, false),
        (one(libc::SYS_prctl, number(libc::PR_SET_SECCOMP)), false, false),
        (one(libc::SYS_unshare, user | number(libc::CLONE_NEWNS)), true, false),
        (one(libc::SYS_unshare, user), false, false),
        (one(libc::SYS_sendmsg, 2_000), true, false),
        (one(libc::SYS_sendmsg, 3), false, false),
        (Call(libc::SYS_ioctl, [0, 0x5421, 0, 0, 0, 0]), true, true),
        (Call(libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), false, false),
        (one(libc::SYS_socketpair, number(libc::AF_UNIX)), true, true),
        (Call(libc::SYS_socket, [number(libc::AF_INET), number(libc::SOCK_STREAM), 0, 0, 0, 0]), true, true),
        (Call(libc::SYS_socket, [number(libc::AF_NETLINK), number(libc::SOCK_RAW), 0, 0, 0, 0]), false, false),
    ] {
        assert_eq!(may(&[&template], call), of_template, "template: {call:?}");
        assert_eq!(may(&[&template, &environment], call), of_environment, "environment: {call:?}");
    }
}

#[test]
fn programs_may_start_and_end_each_other_and_nothing_else_is_more() {
    let code = Code::Programs(Vec::new());
    let template = program(Stage::Template { controls: &[2_000] }, &code).unwrap();
    let environment = program(Stage::Environment { pid: PID }, &code).unwrap();
    let both = [&template, &environment];
    for number in 0..LAST {
        let always = calls::ALWAYS.contains(&number) || calls::PROGRAMS.contains(&number);
        // Whatever is no new namespace.
        let with_zeroes = number == libc::SYS_clone;
        assert_eq!(may(&both, Call(number, [0; 6])), always || with_zeroes, "call {number}");
    }
    let number = |value: i32| u64::from(value.cast_unsigned());
    let map = |flags: i32| Call(libc::SYS_mmap, [0, 4096, 3, number(flags), 0, 0]);
    for (call, is_allowed) in [
        (map(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), true),
        (map(libc::MAP_SHARED), true),
        (map(libc::MAP_SHARED | libc::MAP_ANONYMOUS), false),
        (map(libc::MAP_SHARED_VALIDATE | libc::MAP_ANONYMOUS), false),
        (Call(libc::SYS_clone, [number(libc::SIGCHLD), 0, 0, 0, 0, 0]), true),
        (Call(libc::SYS_clone, [number(libc::SIGCONT), 0, 0, 0, 0, 0]), false),
        (Call(libc::SYS_fcntl, [3, 10, number(libc::SIGCONT), 0, 0, 0]), false),
        (Call(libc::SYS_clone, [number(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0, 0]), false),
        (Call(libc::SYS_prlimit64, [0, 7, 1 << 40, 0, 0, 0]), true),
        (Call(libc::SYS_prlimit64, [1, 7, 0, 0, 0, 0]), false),
        (Call(libc::SYS_prctl, [number(libc::PR_SET_CHILD_SUBREAPER), 1, 0, 0, 0, 0]), false),
        (Call(libc::SYS_sendmsg, [3, 0, 0, 0, 0, 0]), false),
    ] {
        assert_eq!(may(&both, call), is_allowed, "{call:?}");
    }
}

/// Beyond every call there is.
const LAST: i64 = 600;
