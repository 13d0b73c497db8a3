//! Breaking out from native level: the program `examples/native.rs` enters the
//! sandbox as the product does, under the PoP's own code, and makes the
//! forbidden calls itself, as a handler would that had broken out of V8.

#![expect(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use environment::{Outcome, Runtime};
use functions::{
    CpuShare, Engines, Function, FunctionConfig, Functions, LogSink, NetworkPolicy, Options, PackageSource,
    SandboxDemand, Scaling, SnapStart,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Pop {
    functions: Arc<Functions>,
    directory: TempDir,
}

impl Pop {
    async fn start() -> Pop {
        Pop::with_tmp(None).await
    }

    async fn with_tmp(tmp_bytes_max: Option<u64>) -> Pop {
        let directory = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
            std::fs::write(directory.path().join(name).join("index.js"), format!("code of {name}")).unwrap();
        }
        let options = Options {
            engines: Engines { javascript: program(), python: "".into(), custom: "".into() },
            data_dir: directory.path().join("data"),
            environments_max: 16,
            cpu: CpuShare::ByMemory,
            tmp_bytes_max,
            log: LogSink::Files,
            sandbox: SandboxDemand::Whole,
        };
        Pop { functions: Functions::start(options).await.unwrap(), directory }
    }

    fn config(&self, name: &str, allow: &[String]) -> FunctionConfig {
        FunctionConfig {
            name: name.into(),
            version: "1".into(),
            package: PackageSource::Directory(self.directory.path().join(name)),
            layers: Vec::new(),
            handler: "index.handler".into(),
            runtime: Runtime::Nodejs22,
            interpreter: None,
            memory_mb: 256,
            timeout: Duration::from_secs(20),
            tmp_mb: 512,
            network: NetworkPolicy::parse(allow.iter().map(String::as_str)).unwrap(),
            variables: BTreeMap::from([("SECRET".into(), format!("variable of {name}"))]),
            scaling: Scaling { environments_max: 4, ..Scaling::default() },
            snap_start: SnapStart::default(),
            idempotent: false,
            key_value_stores: Vec::new(),
        }
    }

    /// With a whole core: for what takes long at a share of one.
    fn busy(&self, name: &str) -> FunctionConfig {
        FunctionConfig { memory_mb: environment::limits::CORE_MB, ..self.config(name, &[]) }
    }

    async fn function(&self, allow: &[String]) -> Arc<Function> {
        self.functions.prepare(&self.config("one", allow)).await.unwrap()
    }

    async fn log(&self) -> String {
        self.functions.stop().await;
        std::fs::read_to_string(self.directory.path().join("data/logs/one.log")).unwrap()
    }
}

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("examples").join("native")
}

async fn act(function: &Function, event: Value) -> Value {
    match function.invoke(Bytes::from(event.to_string())).await.outcome {
        Outcome::Result(bytes) => serde_json::from_slice(&bytes).unwrap(),
        other => panic!("{event}: {other:?}"),
    }
}

/// Says `word` to whoever connects, and counts them.
fn peer(word: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
            // Whoever hangs up first is no matter.
            let _ = stream.unwrap().write_all(word.as_bytes());
        }
    });
    (address, count)
}

#[tokio::test]
async fn forbidden_system_calls_are_refused() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    let answers = act(&function, json!({"act": "calls"})).await;
    let answers = answers.as_object().unwrap();
    assert!(answers.len() > 80, "{} calls", answers.len());
    for (name, answer) in answers {
        // The C library is to fall back to `clone`, whose flags a filter can see.
        let expected = if name == "clone3" { "ENOSYS" } else { "EPERM" };
        assert_eq!(answer, expected, "{name}");
    }
}

#[tokio::test]
async fn an_environment_that_loads_its_own_code_is_in_the_same_sandbox() {
    let pop = Pop::start().await;
    let mut config = pop.config("one", &[]);
    config.handler = "index.unshared".into();
    let function = pop.functions.prepare(&config).await.unwrap();
    let answers = act(&function, json!({"act": "calls"})).await;
    for (name, answer) in answers.as_object().unwrap() {
        assert!(answer == "EPERM" || name == "clone3", "{name}: {answer}");
    }
    let (address, _) = peer("word");
    assert_eq!(act(&function, json!({"act": "connect", "at": address.to_string()})).await, "EACCES");
    assert_root(&act(&function, json!({"act": "list", "at": "/"})).await);
}

/// With landlock not even the names in it can be read.
fn assert_root(listed: &Value) {
    if listed["Err"].is_null() {
        assert_eq!(listed["Ok"], json!(["dev", "etc", "proc", "tmp", "usr", "var"]));
    }
}

#[tokio::test]
async fn nothing_of_the_machine_is_visible() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    let _other = pop.functions.prepare(&pop.config("two", &[])).await.unwrap();
    assert_root(&act(&function, json!({"act": "list", "at": "/"})).await);
    assert_eq!(act(&function, json!({"act": "list", "at": "/var/task"})).await["Ok"], json!(["index.js"]));
    let devices = act(&function, json!({"act": "list", "at": "/dev"})).await;
    if devices["Err"].is_null() {
        assert_eq!(devices["Ok"], json!(["null", "random", "urandom", "zero"]));
    }
    let users = act(&function, json!({"act": "read", "at": "/etc/passwd"})).await;
    assert!(!users["Ok"].as_str().unwrap().contains("root"), "{users}");
    let data = pop.directory.path().join("data");
    for path in
        ["/etc/shadow", "/root", "/proc/kcore", "/proc/sys/kernel/hostname", "/proc/1/environ", "/proc/2/mem", "/sys"]
    {
        let answer = act(&function, json!({"act": "read", "at": path})).await;
        assert!(answer["Err"].is_string(), "{path}: {answer}");
    }
    for path in [&data, &pop.directory.path().join("two"), &std::env::current_exe().unwrap()] {
        let answer = act(&function, json!({"act": "list", "at": path})).await;
        assert!(answer["Err"].is_string(), "{}: {answer}", path.display());
    }
    // Only itself, whatever else its namespace holds.
    let listed = act(&function, json!({"act": "list", "at": "/proc"})).await;
    let processes: Vec<&str> = listed["Ok"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    assert_eq!(processes.len(), 1, "{listed}");
}

#[tokio::test]
async fn another_functions_variables_are_not_even_left_in_memory() {
    let pop = Pop::start().await;
    let mut two = pop.config("two", &[]);
    // More and longer than what an allocator or the next function's own variables happen to cover.
    let secret = |count: usize| (format!("SECRET_{count}"), format!("{:64}variable of two", ""));
    two.variables.extend((0..100).map(secret));
    let _two = pop.functions.prepare(&two).await.unwrap();
    let mut unshared = two.clone();
    unshared.handler = "index.unshared".into();
    let unshared = pop.functions.prepare(&unshared).await.unwrap();
    act(&unshared, json!({"act": "list", "at": "/tmp"})).await;
    let function = pop.function(&[]).await;
    // Not in plain: the event is in the same memory.
    let hidden = |text: &str| text.bytes().map(|byte| byte ^ 0xff).collect::<Vec<u8>>();
    let own = act(&function, json!({"act": "search", "hidden": hidden("variable of one")})).await;
    assert!(own.as_u64().unwrap() > 0, "the search finds what is there");
    let found = act(&function, json!({"act": "search", "hidden": hidden("variable of two")})).await;
    assert_eq!(found, 0);
}

#[tokio::test]
async fn nothing_but_tmp_can_be_written() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    for path in ["/x", "/var/task/x", "/var/task/index.js", "/etc/hosts", "/dev/x", "/var/x", "/usr/x", "/proc/self/x"]
    {
        let answer = act(&function, json!({"act": "write", "at": path})).await;
        assert!(["EROFS", "EACCES", "ENOENT"].iter().any(|error| answer == *error), "{path}: {answer}");
    }
    assert_eq!(act(&function, json!({"act": "write", "at": "/tmp/x"})).await, "ok");
}

#[tokio::test]
async fn privileges_variables_and_descriptors_are_gone() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    let status = act(&function, json!({"act": "read", "at": "/proc/self/status"})).await;
    let status = status["Ok"].as_str().unwrap();
    for line in [
        "Uid:\t993\t993\t993\t993",
        "Gid:\t990\t990\t990\t990",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    assert_eq!(act(&function, json!({"act": "read", "at": "/proc/self/environ"})).await["Ok"], "");
    // The standard streams, its socket, the keeper's line, and the directory that is being read.
    let open = act(&function, json!({"act": "list", "at": "/proc/self/fd"})).await;
    let open = open["Ok"].as_array().unwrap();
    assert_eq!(open.len(), 6, "{open:?}");
}

#[tokio::test]
async fn a_full_tmp_says_so_at_its_quota_and_is_gone_with_its_environment() {
    let pop = Pop::start().await;
    let function = pop.functions.prepare(&pop.busy("one")).await.unwrap();
    let filled = act(&function, json!({"act": "fill"})).await;
    assert_eq!(filled, json!([512 << 20, "ENOSPC"]));
    assert_eq!(act(&function, json!({"act": "write", "at": "/tmp/mine"})).await, "ok");
    assert_eq!(act(&function, json!({"act": "list", "at": "/tmp"})).await["Ok"], json!(["mine"]));
    // Two at once: the second has an environment of its own.
    let (waits, other) =
        tokio::join!(act(&function, json!({"act": "fill"})), act(&function, json!({"act": "list", "at": "/tmp"})),);
    assert_eq!(waits[1], "ENOSPC");
    assert_eq!(other["Ok"], json!([]));
}

#[tokio::test]
async fn all_environments_together_are_bounded_in_tmp_and_the_largest_ends() {
    let pop = Pop::with_tmp(Some(300 << 20)).await;
    let (one, two) = (pop.busy("one"), pop.busy("two"));
    let (one, two) = (pop.functions.prepare(&one).await.unwrap(), pop.functions.prepare(&two).await.unwrap());
    let list = json!({"act": "list", "at": "/tmp"});
    assert_eq!(act(&one, json!({"act": "keep", "megabytes": 200})).await, "ok");
    assert_eq!(act(&one, list.clone()).await["Ok"], json!(["kept"]));
    assert_eq!(act(&two, json!({"act": "keep", "megabytes": 150})).await, "ok");
    let (log, patience) = (pop.directory.path().join("data/logs/one.log"), Instant::now() + Duration::from_secs(20));
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("tmp: environment ended")) {
        assert!(Instant::now() < patience, "the environment that holds most is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(act(&one, list.clone()).await["Ok"], json!([]));
    assert_eq!(act(&two, list).await["Ok"], json!(["kept"]));
    // In an invocation it is the end of that, with its reason.
    let ended = two.invoke(Bytes::from(json!({"act": "keep_on"}).to_string())).await.outcome;
    assert!(matches!(&ended, Outcome::Crashed { reason } if reason.contains("more than 300 MB in /tmp")), "{ended:?}");
    let log = pop.log().await;
    assert!(log.contains("tmp: environment ended: all environments together held more than 300 MB"), "{log}");
}

#[tokio::test]
async fn empty_files_in_tmp_are_bounded() {
    let pop = Pop::start().await;
    let function = pop.functions.prepare(&pop.busy("one")).await.unwrap();
    let made = act(&function, json!({"act": "files"})).await;
    assert_eq!(made[1], "ENOSPC");
    let count = made[0].as_u64().unwrap();
    assert!((32_000..=512 * 64).contains(&count), "{count} files");
}

#[tokio::test]
async fn threads_and_descriptors_are_bounded() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    let threads = act(&function, json!({"act": "threads"})).await;
    assert_eq!(threads, json!([environment::limits::THREADS_MAX - 1, "EAGAIN"]));
    let sockets = act(&function, json!({"act": "sockets"})).await;
    assert_eq!(sockets[1], "EMFILE");
    let count = sockets[0].as_u64().unwrap();
    assert!((1_000..1_024).contains(&count), "{count} sockets");
    // And it still works.
    assert_eq!(act(&function, json!({"act": "write", "at": "/tmp/x"})).await, "ok");
}

#[tokio::test]
async fn processes_and_threads_of_a_function_are_bounded() {
    let pop = Pop::start().await;
    // In the init phase, where a process may still start others.
    let config = FunctionConfig { handler: "index.threads".into(), memory_mb: 2_048, ..pop.config("one", &[]) };
    let function = pop.functions.prepare(&config).await.unwrap();
    let Outcome::InitFailed(error) = function.invoke(Bytes::from_static(b"{}")).await.outcome else {
        panic!("the init phase counts and fails");
    };
    let counted: (u64, String) = serde_json::from_str(&error.error_message).unwrap_or_else(|_| panic!("{error:?}"));
    assert_eq!(counted.1, "EAGAIN", "{}", error.error_message);
    let most = environment::limits::TASKS_MAX;
    assert!((most - 10..most).contains(&counted.0), "{} threads beside the first", counted.0);
}

#[tokio::test]
async fn loopback_is_refused_and_logged_unless_allowed() {
    let pop = Pop::start().await;
    let (address, count) = peer("word");
    let function = pop.function(&[]).await;
    for kind in ["connect", "datagram"] {
        assert_eq!(act(&function, json!({"act": kind, "at": address.to_string()})).await, "EACCES", "{kind}");
    }
    assert_eq!(act(&function, json!({"act": "try_connect", "at": address.to_string()})).await[0], "Some(EACCES)");
    assert_eq!(act(&function, json!({"act": "fast_open", "at": address.to_string()})).await, "EACCES");
    assert_eq!(act(&function, json!({"act": "connect", "at": "1.1.1.1:25"})).await, "EACCES");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let log = pop.log().await;
    let advice = format!("allow = [\"{address}\"] in [functions.one.network]");
    assert!(log.contains("loopback addresses are denied") && log.contains(&advice), "{log}");
    assert!(log.contains("port 25 is always blocked"), "{log}");
}

#[tokio::test]
async fn an_allowed_address_is_reached_waiting_or_not_and_by_datagram() {
    let pop = Pop::start().await;
    let (address, _) = peer("word");
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams = echo.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        let (length, from) = echo.recv_from(&mut bytes).unwrap();
        echo.send_to(&bytes[..length], from).unwrap();
    });
    let function = pop.function(&[address.to_string(), datagrams.to_string()]).await;
    assert_eq!(act(&function, json!({"act": "connect", "at": address.to_string()})).await, "word");
    let tried = act(&function, json!({"act": "try_connect", "at": address.to_string()})).await;
    assert!(tried[0] == "Some(EINPROGRESS)" || tried[0] == "None", "{tried}");
    assert_eq!(tried[1], "word");
    assert_eq!(act(&function, json!({"act": "datagram", "at": datagrams.to_string()})).await, "hello");
    assert_eq!(act(&function, json!({"act": "fast_open", "at": address.to_string()})).await, "EOPNOTSUPP");
}

#[tokio::test]
async fn an_address_that_changes_while_it_is_judged_gains_nothing() {
    let pop = Pop::start().await;
    let (allowed, _) = peer("allowed");
    let (denied, count) = peer("denied");
    let function = pop.function(&[allowed.to_string()]).await;
    let event = json!({"act": "race", "allowed": allowed.port(), "denied": denied.port()});
    let connected = act(&function, event).await;
    assert!(connected.as_u64().unwrap() > 10, "{connected} connections were made");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_process_ends_with_the_functions() {
    let pop = Pop::start().await;
    let function = pop.function(&[]).await;
    act(&function, json!({"act": "write", "at": "/tmp/x"})).await;
    let before = children("native");
    assert!(before.len() >= 3, "a zygote, a template and an environment: {before:?}");
    let keepers = children("selvedge-keeper");
    pop.functions.stop().await;
    drop(function);
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while before.iter().chain(&keepers).any(|pid| lives(*pid)) {
        assert!(std::time::Instant::now() < patience, "something lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Descendants of this process with this name.
fn children(name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if comm.trim() == name && descends(pid) {
            found.push(pid);
        }
    }
    found
}

fn descends(mut pid: u32) -> bool {
    while pid > 1 {
        if pid == std::process::id() {
            return true;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        pid = parent.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    }
    false
}
