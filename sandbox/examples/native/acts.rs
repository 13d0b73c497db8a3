//! What the events of `tests/native.rs` ask for.

use super::{call, shown};
use nix::errno::Errno;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn act(event: &Value) -> Value {
    match event["act"].as_str().unwrap() {
        "calls" => calls(),
        "read" => json!(fs::read_to_string(text(event)).map_err(|error| error.kind().to_string())),
        "list" => json!(names(text(event)).map_err(|error| error.kind().to_string())),
        "search" => search(event["hidden"].as_array().unwrap()),
        "write" => shown(File::create(text(event)).and_then(|mut file| file.write_all(b"x")).map_err(errno)),
        "fill" => fill(),
        "keep" => keep(event["megabytes"].as_u64().unwrap() as usize),
        "keep_on" => keep_on(),
        "files" => files(),
        "threads" => threads(),
        "sockets" => sockets(),
        "connect" => connect(text(event).parse().unwrap()),
        "try_connect" => try_connect(text(event).parse().unwrap()),
        "datagram" => datagram(text(event).parse().unwrap()),
        "fast_open" => fast_open(text(event).parse().unwrap()),
        "race" => race(event["allowed"].as_u64().unwrap() as u16, event["denied"].as_u64().unwrap() as u16),
        other => panic!("no act {other}"),
    }
}

fn text(event: &Value) -> &str {
    event["at"].as_str().unwrap()
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn names(path: &str) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> =
        fs::read_dir(path)?.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    Ok(names)
}

/// How often the bytes are found in this process's own memory; each is given with all its bits turned.
fn search(hidden: &[Value]) -> Value {
    let hidden: Vec<u8> = hidden.iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut chunk = vec![0; 1 << 20];
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (mut at, end) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < end {
            let length = chunk.len().min(usize::try_from(end - at).unwrap());
            if memory.read_exact_at(&mut chunk[..length], at).is_ok() {
                let is_it = |window: &&[u8]| window.iter().zip(&hidden).all(|(byte, hidden)| byte ^ 0xff == *hidden);
                found += chunk[..length].windows(hidden.len()).filter(is_it).count();
            }
            at += length as u64;
        }
    }
    chunk.fill(0);
    json!(found)
}

/// Everything that must be refused, made directly.
fn calls() -> Value {
    let mut answers = Map::new();
    for (name, number, arguments) in FORBIDDEN {
        answers.insert((*name).to_owned(), shown(call(*number, arguments)));
    }
    Value::Object(answers)
}

/// Leaves a file of this size in /tmp.
fn keep(megabytes: usize) -> Value {
    let mut file = File::create("/tmp/kept").unwrap();
    let chunk = vec![1; 1 << 20];
    shown((0..megabytes).try_for_each(|_| file.write_all(&chunk)).map_err(errno))
}

/// The same, of all there is room for, and waits for what comes of it.
fn keep_on() -> Value {
    let answer = keep(400);
    std::thread::sleep(Duration::from_secs(15));
    answer
}

/// Bytes written to /tmp until it is full, and how that ended.
fn fill() -> Value {
    let mut file = File::create("/tmp/full").unwrap();
    let chunk = vec![1_u8; 1 << 20];
    let mut written = 0;
    loop {
        match file.write(&chunk) {
            Ok(length) => written += length,
            Err(error) => {
                fs::remove_file("/tmp/full").unwrap();
                return json!([written, format!("{:?}", errno(error))]);
            }
        }
    }
}

/// Empty files made in /tmp until no more may be, and how that ended.
fn files() -> Value {
    for count in 0_u64.. {
        if let Err(error) = File::create(format!("/tmp/{count}")) {
            return json!([count, format!("{:?}", errno(error))]);
        }
    }
    Value::Null
}

/// How many threads start beside this one, as small as they can be, and why no more do. They stay.
pub(crate) fn small_threads() -> Value {
    extern "C" fn wait(_: *mut libc::c_void) -> *mut libc::c_void {
        loop {
            // SAFETY: no descriptors are passed.
            unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        }
    }
    // SAFETY: attributes are set up by their own initialiser before anything reads them; the threads use
    // nothing of this function's.
    unsafe {
        let mut attributes = std::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setstacksize(&raw mut attributes, libc::PTHREAD_STACK_MIN);
        libc::pthread_attr_setguardsize(&raw mut attributes, 0);
        for count in 0_u64.. {
            let mut thread = std::mem::zeroed();
            let error = libc::pthread_create(&raw mut thread, &raw const attributes, wait, std::ptr::null_mut());
            if error != 0 {
                return json!([count, format!("{:?}", Errno::from_raw(error))]);
            }
        }
    }
    unreachable!("numbers do not end");
}

fn threads() -> Value {
    let started = Instant::now();
    let mut running = Vec::new();
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    while started.elapsed() < Duration::from_secs(10) {
        let wait = std::sync::Arc::clone(&wait);
        let life = move || wait.lock().unwrap().recv().is_ok();
        match std::thread::Builder::new().stack_size(64 * 1024).spawn(life) {
            Ok(thread) => running.push(thread),
            Err(error) => {
                let count = running.len();
                drop(stop);
                running.into_iter().for_each(|thread| assert!(!thread.join().unwrap()));
                return json!([count, format!("{:?}", errno(error))]);
            }
        }
    }
    json!([running.len(), "no end"])
}

fn sockets() -> Value {
    let mut opened = 0;
    loop {
        match call(libc::SYS_socket, &[2, 1, 0]) {
            Ok(_) => opened += 1,
            Err(error) => {
                call(libc::SYS_close_range, &[20, 1_900]).unwrap();
                return json!([opened, format!("{error:?}")]);
            }
        }
    }
}

/// Blocking: the word that the peer says.
fn connect(to: SocketAddr) -> Value {
    match TcpStream::connect(to) {
        Ok(mut stream) => {
            let mut word = String::new();
            stream.read_to_string(&mut word).unwrap();
            json!(word)
        }
        Err(error) => json!(format!("{:?}", errno(error))),
    }
}

/// Without waiting: how the attempt ended once the socket had news.
fn try_connect(to: SocketAddr) -> Value {
    let socket = call(libc::SYS_socket, &[2, 1 | 0o4000, 0]).unwrap().cast_unsigned();
    let address = sockaddr(to);
    let begun = call(libc::SYS_connect, &[socket, address.as_ptr() as u64, 16]);
    let mut wait = [socket | 4 << 32];
    call(libc::SYS_poll, &[wait.as_mut_ptr() as u64, 1, 5_000]).unwrap();
    let mut word = [0_u8; 16];
    let began = format!("{:?}", begun.err());
    call(libc::SYS_poll, &[[socket | 1 << 32].as_mut_ptr() as u64, 1, 5_000]).unwrap();
    let read = call(libc::SYS_read, &[socket, word.as_mut_ptr() as u64, 16]).unwrap_or(0);
    json!([began, String::from_utf8_lossy(&word[..usize::try_from(read).unwrap()])])
}

/// Sends unconnected, then hears the echo.
fn datagram(to: SocketAddr) -> Value {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    if let Err(error) = socket.send_to(b"hello", to) {
        return json!(format!("{:?}", errno(error)));
    }
    let mut word = [0; 16];
    let length = socket.recv(&mut word).unwrap();
    json!(String::from_utf8_lossy(&word[..length]))
}

fn fast_open(to: SocketAddr) -> Value {
    let socket = call(libc::SYS_socket, &[2, 1, 0]).unwrap().cast_unsigned();
    let address = sockaddr(to);
    let flags = u64::from(libc::MSG_FASTOPEN.cast_unsigned());
    shown(call(libc::SYS_sendto, &[socket, b"x".as_ptr() as u64, 1, flags, address.as_ptr() as u64, 16]))
}

/// Connects again and again while another thread changes the address under the kernel's eyes.
fn race(allowed: u16, denied: u16) -> Value {
    let address: Vec<AtomicU16> = [2_u16, allowed.to_be(), 0x007f, 0x0100, 0, 0, 0, 0].map(AtomicU16::new).into();
    let started = Instant::now();
    let mut connected = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while started.elapsed() < Duration::from_secs(2) {
                address[1].store(denied.to_be(), SeqCst);
                address[1].store(allowed.to_be(), SeqCst);
            }
        });
        while started.elapsed() < Duration::from_secs(2) {
            let socket = call(libc::SYS_socket, &[2, 1, 0]).unwrap().cast_unsigned();
            if call(libc::SYS_connect, &[socket, address.as_ptr() as u64, 16]).is_ok() {
                connected += 1;
            }
            call(libc::SYS_close, &[socket]).unwrap();
        }
    });
    json!(connected)
}

fn sockaddr(to: SocketAddr) -> [u8; 16] {
    let SocketAddr::V4(to) = to else { panic!("version 4 only") };
    let mut bytes = [0; 16];
    bytes[0] = 2;
    bytes[2..4].copy_from_slice(&to.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&to.ip().octets());
    bytes
}

/// A cell has its keeper as process 1 and its template, or the one environment without any, as 2.
const KEEPER: u64 = 1;
const TEMPLATE: u64 = 2;
const SIGCHLD: u64 = 17;
const NEW_USER: u64 = 0x1000_0000;

const FORBIDDEN: &[(&str, i64, &[u64])] = &[
    // other programs and processes
    ("execve", libc::SYS_execve, &[]),
    ("execveat", libc::SYS_execveat, &[]),
    #[cfg(target_arch = "x86_64")]
    ("fork", libc::SYS_fork, &[]),
    #[cfg(target_arch = "x86_64")]
    ("vfork", libc::SYS_vfork, &[]),
    ("clone", libc::SYS_clone, &[SIGCHLD]),
    ("clone into a user namespace", libc::SYS_clone, &[NEW_USER | SIGCHLD]),
    ("clone3", libc::SYS_clone3, &[]),
    ("fcntl of a signal", libc::SYS_fcntl, &[0, 10, 18]),
    ("ptrace", libc::SYS_ptrace, &[16, TEMPLATE]),
    ("process_vm_readv", libc::SYS_process_vm_readv, &[TEMPLATE]),
    ("process_vm_writev", libc::SYS_process_vm_writev, &[TEMPLATE]),
    ("process_madvise", libc::SYS_process_madvise, &[]),
    ("pidfd_open", libc::SYS_pidfd_open, &[TEMPLATE]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, &[]),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[]),
    ("kill the keeper", libc::SYS_kill, &[KEEPER, 9]),
    ("kill the template", libc::SYS_kill, &[TEMPLATE, 9]),
    ("kill everybody", libc::SYS_kill, &[u64::MAX, 9]),
    ("tkill", libc::SYS_tkill, &[TEMPLATE, 9]),
    ("tgkill", libc::SYS_tgkill, &[KEEPER, KEEPER, 9]),
    ("seccomp", libc::SYS_seccomp, &[]),
    ("capset", libc::SYS_capset, &[]),
    ("setsid", libc::SYS_setsid, &[]),
    ("setpgid", libc::SYS_setpgid, &[]),
    ("setrlimit", libc::SYS_setrlimit, &[]),
    ("wait4", libc::SYS_wait4, &[]),
    ("signalfd4", libc::SYS_signalfd4, &[]),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset, &[]),
    ("landlock_restrict_self", libc::SYS_landlock_restrict_self, &[]),
    ("sendmsg", libc::SYS_sendmsg, &[]),
    ("prctl", libc::SYS_prctl, &[4]),
    ("prlimit of another", libc::SYS_prlimit64, &[TEMPLATE, 7]),
    ("kcmp", libc::SYS_kcmp, &[]),
    // namespaces and mounts
    ("unshare", libc::SYS_unshare, &[NEW_USER]),
    ("setns", libc::SYS_setns, &[]),
    ("mount", libc::SYS_mount, &[]),
    ("umount2", libc::SYS_umount2, &[]),
    ("pivot_root", libc::SYS_pivot_root, &[]),
    ("chroot", libc::SYS_chroot, &[]),
    ("move_mount", libc::SYS_move_mount, &[]),
    ("open_tree", libc::SYS_open_tree, &[]),
    ("fsopen", libc::SYS_fsopen, &[]),
    ("fsmount", libc::SYS_fsmount, &[]),
    ("mount_setattr", libc::SYS_mount_setattr, &[]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, &[]),
    ("mknodat", libc::SYS_mknodat, &[]),
    // the kernel
    ("bpf", libc::SYS_bpf, &[]),
    ("io_uring_setup", libc::SYS_io_uring_setup, &[]),
    ("io_uring_enter", libc::SYS_io_uring_enter, &[]),
    ("perf_event_open", libc::SYS_perf_event_open, &[]),
    ("userfaultfd", libc::SYS_userfaultfd, &[]),
    ("keyctl", libc::SYS_keyctl, &[]),
    ("add_key", libc::SYS_add_key, &[]),
    ("request_key", libc::SYS_request_key, &[]),
    ("init_module", libc::SYS_init_module, &[]),
    ("finit_module", libc::SYS_finit_module, &[]),
    ("kexec_load", libc::SYS_kexec_load, &[]),
    ("reboot", libc::SYS_reboot, &[]),
    ("syslog", libc::SYS_syslog, &[]),
    ("swapon", libc::SYS_swapon, &[]),
    ("acct", libc::SYS_acct, &[]),
    ("quotactl", libc::SYS_quotactl, &[]),
    ("fanotify_init", libc::SYS_fanotify_init, &[]),
    ("settimeofday", libc::SYS_settimeofday, &[]),
    ("clock_settime", libc::SYS_clock_settime, &[]),
    ("sethostname", libc::SYS_sethostname, &[]),
    ("personality", libc::SYS_personality, &[]),
    #[cfg(target_arch = "x86_64")]
    ("iopl", libc::SYS_iopl, &[]),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt, &[]),
    ("memfd_create", libc::SYS_memfd_create, &[]),
    ("shmget", libc::SYS_shmget, &[]),
    ("msgget", libc::SYS_msgget, &[]),
    ("semget", libc::SYS_semget, &[]),
    ("mq_open", libc::SYS_mq_open, &[]),
    ("vmsplice", libc::SYS_vmsplice, &[]),
    // getting back what was given up
    ("capset", libc::SYS_capset, &[]),
    ("setuid", libc::SYS_setuid, &[0]),
    ("setresuid", libc::SYS_setresuid, &[0, 0, 0]),
    ("setgroups", libc::SYS_setgroups, &[]),
    ("raise a limit", libc::SYS_prlimit64, &[0, 7, 1]),
    ("seccomp", libc::SYS_seccomp, &[]),
    ("prctl dumpable", libc::SYS_prctl, &[4, 0]),
    ("prctl keepcaps", libc::SYS_prctl, &[8, 1]),
    // the network
    ("listen", libc::SYS_listen, &[]),
    ("accept", libc::SYS_accept, &[]),
    ("accept4", libc::SYS_accept4, &[]),
    ("sendmsg", libc::SYS_sendmsg, &[]),
    ("sendmsg where the control socket was", libc::SYS_sendmsg, &[1_999]),
    ("sendmmsg", libc::SYS_sendmmsg, &[]),
    ("recvmmsg", libc::SYS_recvmmsg, &[]),
    ("socket unix", libc::SYS_socket, &[1, 1, 0]),
    ("socket netlink", libc::SYS_socket, &[16, 3, 0]),
    ("socket packet", libc::SYS_socket, &[17, 3, 0]),
    ("socket vsock", libc::SYS_socket, &[40, 1, 0]),
    ("socket alg", libc::SYS_socket, &[38, 5, 0]),
    ("socket raw", libc::SYS_socket, &[2, 3, 1]),
    ("socket ping", libc::SYS_socket, &[2, 2, 1]),
    ("socket mptcp", libc::SYS_socket, &[2, 1, 262]),
    ("setsockopt of a device", libc::SYS_setsockopt, &[0, 1, 25]),
    ("setsockopt of a filter", libc::SYS_setsockopt, &[0, 1, 26]),
    ("setsockopt of a group", libc::SYS_setsockopt, &[0, 0, 35]),
    ("ioctl of interfaces", libc::SYS_ioctl, &[0, 0x8912]),
    ("ioctl that types", libc::SYS_ioctl, &[0, 0x5412]),
];
