//! Invocations end to end with a runtime written for these tests
//! (`runtime.py`): real processes, the real protocols, no engine.

#![expect(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use environment::{Outcome, Runtime};
use functions::{
    CpuShare, Engines, Function, FunctionConfig, Functions, Invocation, LogSink, NetworkPolicy, Options, PackageSource,
    SandboxDemand, Scaling, SnapStart,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Pop {
    functions: Arc<Functions>,
    directory: TempDir,
}

impl Pop {
    async fn start(environments_max: usize) -> Pop {
        Pop::with(environments_max, CpuShare::ByMemory).await
    }

    async fn with(environments_max: usize, cpu: CpuShare) -> Pop {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("code")).unwrap();
        std::fs::write(directory.path().join("code/index.js"), "").unwrap();
        let options = Options {
            engines: Engines {
                javascript: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime.py"),
                python: "".into(),
                custom: "".into(),
            },
            data_dir: directory.path().join("data"),
            environments_max,
            cpu,
            tmp_bytes_max: None,
            log: LogSink::Files,
            sandbox: SandboxDemand::WhatThereIs,
        };
        Pop { functions: Functions::start(options).await.unwrap(), directory }
    }

    fn config(&self, export: &str) -> FunctionConfig {
        FunctionConfig {
            name: "f".into(),
            version: "1".into(),
            package: PackageSource::Directory(self.directory.path().join("code")),
            layers: Vec::new(),
            handler: format!("index.{export}"),
            runtime: Runtime::Nodejs22,
            interpreter: None,
            memory_mb: 128,
            timeout: Duration::from_secs(3),
            tmp_mb: 512,
            network: NetworkPolicy::default(),
            variables: BTreeMap::new(),
            scaling: Scaling { environments_max: 10, ..Scaling::default() },
            snap_start: SnapStart::default(),
            idempotent: false,
            key_value_stores: Vec::new(),
        }
    }

    async fn function(&self, export: &str) -> Arc<Function> {
        self.functions.prepare(&self.config(export)).await.unwrap()
    }

    async fn log(&self) -> String {
        self.functions.stop().await;
        std::fs::read_to_string(self.directory.path().join("data/logs/f.log")).unwrap()
    }
}

async fn act(function: &Function, event: Value) -> Invocation {
    function.invoke(Bytes::from(event.to_string())).await
}

fn result(invocation: &Invocation) -> Value {
    match &invocation.outcome {
        Outcome::Result(bytes) => serde_json::from_slice(bytes).unwrap(),
        other => panic!("expected a result, got {other:?}"),
    }
}

/// A file that environments wait for: they say that they are there, and go on when it is.
struct Gate(std::path::PathBuf);

impl Gate {
    fn new(pop: &Pop, name: &str) -> Gate {
        Gate(pop.directory.path().join(name))
    }

    fn event(&self) -> Value {
        json!({"act": "hold", "gate": self.0})
    }

    async fn held(&self) {
        let started = Instant::now();
        while !self.0.with_extension("held").exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "nobody waits for {}", self.0.display());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

/// Asks until `accept` does; the processes need a moment.
async fn answer_until(function: &Function, accept: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let invocation = act(function, json!({"act": "answer"})).await;
        if let Outcome::Result(bytes) = &invocation.outcome {
            let value = serde_json::from_slice(bytes).unwrap();
            if accept(&value) {
                return value;
            }
        }
        assert!(started.elapsed() < Duration::from_secs(10), "last: {invocation:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_environment_is_made_once_and_used_again() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let first = act(&function, json!({"act": "answer"})).await;
    let second = act(&function, json!({"act": "answer"})).await;
    assert!(first.init.is_some() && second.init.is_none());
    assert_eq!(result(&first)["pid"], result(&second)["pid"]);
    assert_eq!(result(&second)["count"], 2);
    let log = pop.log().await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "module loaded");
    assert!(lines[1].starts_with("INIT_REPORT Init Duration: "), "{log}");
    let lines = &lines[1..];
    assert_eq!(lines[1], format!("START RequestId: {} Version: 1", first.id));
    assert_eq!(lines[2], "a line");
    assert_eq!(lines[3], format!("END RequestId: {}", first.id));
    assert!(lines[4].contains("\tRestore Duration: "), "{log}");
    assert!(!lines[8].contains("Restore Duration") && lines[8].contains("Memory Size: 128 MB"), "{log}");
}

#[tokio::test]
async fn concurrent_invocations_have_environments_of_their_own() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let gates: Vec<Gate> = (0..5).map(|nth| Gate::new(&pop, &format!("gate{nth}"))).collect();
    let runs = futures_util::future::join_all(gates.iter().map(|gate| act(&function, gate.event())));
    // None may go on before all five run.
    let opener = async {
        for gate in &gates {
            gate.held().await;
        }
        gates.iter().for_each(Gate::open);
    };
    let (runs, ()) = tokio::join!(runs, opener);
    for invocation in runs {
        assert_eq!(invocation.outcome, Outcome::Result(Bytes::from_static(b"null")));
    }
}

#[tokio::test]
async fn a_thrown_error_keeps_the_environment() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let thrown = act(&function, json!({"act": "throw"})).await;
    assert!(matches!(&thrown.outcome, Outcome::Threw(error) if error.error_message == "no"), "{thrown:?}");
    assert!(act(&function, json!({"act": "answer"})).await.init.is_none());
}

#[tokio::test]
async fn a_timeout_kills_the_environment_and_is_logged() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.timeout = Duration::from_secs(1);
    let function = pop.functions.prepare(&config).await.unwrap();
    let before = result(&act(&function, json!({"act": "answer"})).await);
    let late = act(&function, json!({"act": "sleep", "s": 20})).await;
    assert_eq!(late.outcome, Outcome::TimedOut { timeout_ms: 1000 });
    assert!(late.duration < Duration::from_millis(1300), "{late:?}");
    let after = act(&function, json!({"act": "answer"})).await;
    assert_ne!(result(&after)["pid"], before["pid"]);
    let log = pop.log().await;
    assert!(log.contains(&format!("{} Task timed out after 1.00 seconds\n", late.id)), "{log}");
    assert!(log.contains("\tStatus: timeout\n"), "{log}");
}

#[tokio::test]
async fn memory_over_the_limit_kills_the_environment() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.timeout = Duration::from_secs(20);
    let function = pop.functions.prepare(&config).await.unwrap();
    let grown = act(&function, json!({"act": "grow"})).await;
    assert!(matches!(grown.outcome, Outcome::ExceededMemory { memory_mb: 128, used_mb } if used_mb > 128), "{grown:?}");
}

#[tokio::test]
async fn every_crash_costs_one_invocation_and_says_why() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    for (event, expected) in [("exit", "exit status 3"), ("die", "signal 11"), ("nonsense", "protocol: ")] {
        let crashed = act(&function, json!({"act": event})).await;
        match &crashed.outcome {
            Outcome::Crashed { reason } => assert!(reason.starts_with(expected), "{event}: {reason}"),
            other => panic!("{event}: {other:?}"),
        }
        result(&act(&function, json!({"act": "answer"})).await);
    }
}

#[tokio::test]
async fn an_environment_that_left_while_idle_is_not_used() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    assert_eq!(act(&function, json!({"act": "leave"})).await.outcome, Outcome::Result(Bytes::from_static(b"null")));
    answer_until(&function, |value| value["count"] == 1).await;
}

#[tokio::test]
async fn an_environment_that_says_it_ends_is_not_used_again() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let thrown = act(&function, json!({"act": "uncaught"})).await;
    assert!(matches!(&thrown.outcome, Outcome::Threw(error) if error.error_message == "uncaught"), "{thrown:?}");
    assert_eq!(result(&act(&function, json!({"act": "answer"})).await)["count"], 1);
}

#[tokio::test]
async fn a_zygote_that_dies_is_started_again() {
    let pop = Pop::start(10).await;
    let function = pop.function("unshared").await;
    let before = result(&act(&function, json!({"act": "answer"})).await);
    kill(&before["parent"]);
    assert_eq!(result(&act(&function, json!({"act": "answer"})).await)["pid"], before["pid"]);
    kill(&before["pid"]);
    let after = answer_until(&function, |value| value["pid"] != before["pid"]).await;
    assert_ne!(after["parent"], before["parent"]);
}

#[tokio::test]
async fn large_results_are_refused_and_large_events_pass() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let large = act(&function, json!({"act": "large"})).await;
    assert!(matches!(large.outcome, Outcome::ResultTooLarge { bytes: 6_291_457, limit: 6_291_456 }), "{large:?}");
    let filler = "x".repeat(3 * 1024 * 1024);
    let answer = act(&function, json!({"act": "large-event", "filler": filler})).await;
    assert_eq!(result(&answer), json!(3 * 1024 * 1024));
    assert!(answer.init.is_none());
    let too_large = "x".repeat(17 * 1024 * 1024);
    let refused = act(&function, json!({"act": "large-event", "filler": too_large})).await;
    assert!(matches!(refused.outcome, Outcome::Threw(_)), "{}", refused.outcome.label());
}

#[tokio::test]
async fn a_failed_init_phase_is_an_outcome_and_tried_again() {
    let pop = Pop::start(10).await;
    let kinds =
        [("throws", "Runtime.ImportModuleError"), ("exits", "Runtime.ExitError"), ("grows", "Runtime.OutOfMemory")];
    for (export, kind) in kinds {
        let function = pop.function(export).await;
        for _ in 0..2 {
            let failed = act(&function, json!({"act": "answer"})).await;
            assert!(
                matches!(&failed.outcome, Outcome::InitFailed(error) if error.error_type == kind),
                "{export}: {failed:?}"
            );
        }
    }
    let log = pop.log().await;
    assert_eq!(log.matches("INIT_REPORT").count(), 9, "{log}");
    assert!(log.contains("Error: Runtime exited with error: exit status 7\n"), "{log}");
}

#[tokio::test]
async fn an_init_phase_over_10_s_is_ended() {
    let pop = Pop::start(10).await;
    let started = Instant::now();
    let function = pop.function("hangs").await;
    let took = started.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_millis(10_500)).contains(&took), "{took:?}");
    drop(function);
    let log = pop.log().await;
    assert!(log.contains("Sandbox.Timedout: init phase timed out after 10.00 seconds\n"), "{log}");
    assert!(log.contains("\tPhase: init\tStatus: timeout\n"), "{log}");
}

#[tokio::test]
async fn what_a_copy_does_first_is_restore_duration_and_not_the_handlers_time() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("restores_slowly");
    config.timeout = Duration::from_secs(1);
    let function = pop.functions.prepare(&config).await.unwrap();
    let first = act(&function, json!({"act": "answer"})).await;
    assert_eq!(result(&first)["count"], 1);
    assert!(first.init.unwrap() >= Duration::from_millis(1500), "{first:?}");
    assert!(first.duration < Duration::from_secs(1), "{first:?}");
    assert!(act(&function, json!({"act": "answer"})).await.init.is_none());
    let log = pop.log().await;
    let (_, rest) = log.split_once("\tRestore Duration: ").unwrap();
    let restore_ms: f64 = rest.split_once(" ms").unwrap().0.parse().unwrap();
    assert!(restore_ms >= 1500.0, "{log}");
}

#[tokio::test]
async fn a_copy_killed_before_it_is_ready_is_made_again() {
    let pop = Pop::start(10).await;
    let function = pop.function("restore_dies_once").await;
    let first = act(&function, json!({"act": "answer"})).await;
    assert_eq!(result(&first)["count"], 1);
    assert_eq!(pop.log().await.matches("START RequestId: ").count(), 1);
}

#[tokio::test]
async fn a_function_that_cannot_be_copied_loads_in_every_environment() {
    let pop = Pop::start(10).await;
    let function = pop.function("unshared").await;
    let first = act(&function, json!({"act": "answer"})).await;
    assert_eq!(result(&first)["count"], 1);
    assert!(act(&function, json!({"act": "answer"})).await.init.is_none());
    let log = pop.log().await;
    assert!(
        log.contains("init phase cannot be shared, each environment loads the function itself: open handles"),
        "{log}"
    );
    assert!(log.contains("\tInit Duration: "));
}

#[tokio::test]
async fn an_invocation_whose_caller_left_runs_to_its_end() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.environments_max = 1;
    let function = pop.functions.prepare(&config).await.unwrap();
    let before = result(&act(&function, json!({"act": "answer"})).await);
    let gate = Gate::new(&pop, "gate");
    tokio::select! {
        ended = act(&function, gate.event()) => panic!("ended before its gate was open: {ended:?}"),
        () = gate.held() => {}
    }
    gate.open();
    let after = result(&act(&function, json!({"act": "answer"})).await);
    assert_eq!((&after["pid"], &after["count"]), (&before["pid"], &json!(3)));
    let log = pop.log().await;
    assert_eq!(log.matches("START").count(), log.matches("REPORT RequestId").count(), "{log}");
}

#[tokio::test]
async fn a_template_that_dies_is_built_again() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let before = result(&act(&function, json!({"act": "answer"})).await);
    kill(&before["parent"]);
    kill(&before["pid"]);
    let after = answer_until(&function, |value| value["pid"] != before["pid"]).await;
    assert_ne!(after["parent"], before["parent"]);
}

#[tokio::test]
async fn the_queue_throttles_when_no_environment_becomes_free() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.environments_max = 1;
    config.timeout = Duration::from_secs(1);
    let function = pop.functions.prepare(&config).await.unwrap();
    let (busy, waiting) =
        tokio::join!(act(&function, json!({"act": "sleep", "s": 20})), act(&function, json!({"act": "answer"})));
    assert_eq!(busy.outcome.label(), "timed-out");
    assert!(["throttled", "ok"].contains(&waiting.outcome.label()), "{waiting:?}");
    let gate = Gate::new(&pop, "gate");
    let opener = async {
        gate.held().await;
        gate.open();
    };
    let (held, waiting, ()) =
        tokio::join!(act(&function, gate.event()), act(&function, json!({"act": "answer"})), opener);
    assert_eq!(held.outcome.label(), "ok");
    assert_eq!(result(&waiting)["count"], 2);
    pop.functions.stop().await;
    assert_eq!(act(&function, json!({"act": "answer"})).await.outcome.label(), "throttled");
}

#[tokio::test]
async fn provisioned_environments_are_warm_before_traffic_and_replaced_when_they_die() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.provisioned = 2;
    let function = pop.functions.prepare(&config).await.unwrap();
    let runs = (0..2).map(|_| act(&function, json!({"act": "sleep", "s": 0.1})));
    for invocation in futures_util::future::join_all(runs).await {
        assert!(invocation.init.is_none(), "{invocation:?}");
    }
    let first = result(&act(&function, json!({"act": "answer"})).await);
    // With the template: what replaces the environment must not depend on it.
    kill(&first["parent"]);
    kill(&first["pid"]);
    // A third one would have been made by an invocation: two at once find both there already.
    let started = Instant::now();
    loop {
        let warm = (0..2).map(|_| act(&function, json!({"act": "sleep", "s": 0.02})));
        let warm = futures_util::future::join_all(warm).await;
        if warm.iter().all(|invocation| invocation.outcome.label() == "ok" && invocation.init.is_none()) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{warm:?}");
    }
}

#[tokio::test]
async fn provisioned_environments_are_replaced_without_any_traffic() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.provisioned = 1;
    config.scaling.environments_max = 1;
    let function = pop.functions.prepare(&config).await.unwrap();
    let first = act(&function, json!({"act": "answer"})).await;
    kill(&result(&first)["pid"]);
    let children = || std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", result(&first)["parent"]));
    let started = Instant::now();
    while children().unwrap().trim().is_empty() || is_running(&result(&first)["pid"]) {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = answer_until(&function, |value| value["pid"] != result(&first)["pid"]).await;
    assert_eq!(second["count"], 1);
}

#[tokio::test]
async fn an_environment_without_idle_time_runs_one_invocation() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.idle_max = Duration::ZERO;
    let function = pop.functions.prepare(&config).await.unwrap();
    let (one, two) = (act(&function, json!({"act": "answer"})).await, act(&function, json!({"act": "answer"})).await);
    assert_ne!(result(&one)["pid"], result(&two)["pid"]);
    assert_eq!((result(&two)["count"].as_i64(), two.init.is_some()), (Some(1), true));
}

#[tokio::test]
async fn an_idle_template_is_retired_and_built_on_demand() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.scaling.idle_max = Duration::from_millis(100);
    config.scaling.template_idle_max = Duration::from_millis(300);
    let function = pop.functions.prepare(&config).await.unwrap();
    let first = result(&act(&function, json!({"act": "answer"})).await);
    let started = Instant::now();
    while [&first["pid"], &first["parent"]].iter().any(|pid| is_running(pid)) {
        assert!(started.elapsed() < Duration::from_secs(10), "{first}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = act(&function, json!({"act": "answer"})).await;
    assert_ne!(result(&second)["parent"], first["parent"]);
    let log = pop.log().await;
    let last = log.lines().last().unwrap();
    assert!(last.contains("\tInit Duration: ") && !last.contains("Restore Duration"), "{log}");
}

#[tokio::test]
async fn init_is_told_once_ahead_of_invocations() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    act(&function, json!({"act": "answer"})).await;
    let log = pop.log().await;
    assert_eq!(log.matches("Init Duration: ").count(), 1, "{log}");
    assert!(log.contains("INIT_REPORT Init Duration: ") && log.contains("\tPhase: init\tStatus: success\n"), "{log}");
}

#[tokio::test]
async fn snap_start_off_loads_in_every_environment_and_on_insists() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.snap_start = SnapStart::Never;
    let off = pop.functions.prepare(&config).await.unwrap();
    result(&act(&off, json!({"act": "answer"})).await);
    let mut config = pop.config("unshared");
    config.snap_start = SnapStart::Always;
    let on = pop.functions.prepare(&config).await.unwrap();
    let refused = act(&on, json!({"act": "answer"})).await;
    assert!(
        matches!(&refused.outcome, Outcome::InitFailed(error) if error.error_type == "Runtime.SnapStartError"),
        "{refused:?}"
    );
    let log = pop.log().await;
    assert!(log.lines().next().unwrap().starts_with("START"), "no template was built: {log}");
    assert!(log.contains("the init phase cannot be shared: open handles"), "{log}");
}

#[tokio::test]
async fn a_spinning_handler_gets_its_share_of_a_core() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.timeout = Duration::from_secs(10);
    let function = pop.functions.prepare(&config).await.unwrap();
    let spun = act(&function, json!({"act": "spin", "s": 3})).await;
    let cpu = result(&spun)["cpu"].as_f64().unwrap();
    // 128 / 1,769 of 3 s is 0.217, and the burst 0.1; the rest is how precise the looks are.
    assert!(cpu > 0.05 && cpu < 0.36, "{cpu} s of CPU time in 3 s");
    assert!(spun.duration < Duration::from_secs(5), "{spun:?}");
    // It runs again afterwards.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", result(&spun)["pid"])).unwrap();
    assert!(!stat.contains(") T "), "{stat}");
    let next = act(&function, json!({"act": "answer"})).await;
    assert_eq!(result(&next)["pid"], result(&spun)["pid"]);
}

#[tokio::test]
async fn a_stopped_handler_still_ends_at_its_timeout() {
    let pop = Pop::start(10).await;
    let mut config = pop.config("handler");
    config.timeout = Duration::from_secs(1);
    let function = pop.functions.prepare(&config).await.unwrap();
    act(&function, json!({"act": "answer"})).await;
    let late = act(&function, json!({"act": "spin", "s": 20})).await;
    assert_eq!(late.outcome, Outcome::TimedOut { timeout_ms: 1000 });
    assert!(late.duration >= Duration::from_secs(1) && late.duration < Duration::from_millis(1300), "{late:?}");
}

#[tokio::test]
async fn with_unlimited_cpu_nobody_is_stopped() {
    let pop = Pop::with(10, CpuShare::Unlimited).await;
    let function = pop.function("handler").await;
    let spun = act(&function, json!({"act": "spin", "s": 1})).await;
    let cpu = result(&spun)["cpu"].as_f64().unwrap();
    assert!(cpu > 0.2, "{cpu} s of CPU time in 1 s");
}

#[tokio::test]
async fn a_silent_lost_invocation_runs_again_when_the_function_is_idempotent() {
    let pop = Pop::start(10).await;
    let mark = |name: &str| pop.directory.path().join(name).display().to_string();
    let mut config = pop.config("handler");
    config.idempotent = true;
    let idempotent = pop.functions.prepare(&config).await.unwrap();
    let again = act(&idempotent, json!({"act": "die-once", "mark": mark("a")})).await;
    assert_eq!(result(&again), json!(true));
    let spoke = act(&idempotent, json!({"act": "die-once", "mark": mark("b"), "speaks": true})).await;
    assert_eq!(spoke.outcome.label(), "crashed");
    let twice = act(&idempotent, json!({"act": "die"})).await;
    assert_eq!(twice.outcome.label(), "crashed");
    let other = pop.function("handler").await;
    let once = act(&other, json!({"act": "die-once", "mark": mark("c")})).await;
    assert_eq!(once.outcome.label(), "crashed");
    let log = pop.log().await;
    assert_eq!(log.matches(&format!("START RequestId: {}", again.id)).count(), 2, "{log}");
    assert_eq!(log.matches(&format!("START RequestId: {}", spoke.id)).count(), 1, "{log}");
    assert_eq!(log.matches(&format!("START RequestId: {}", twice.id)).count(), 2, "{log}");
}

#[tokio::test]
async fn an_invocation_that_no_environment_took_runs_in_another() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let first = result(&act(&function, json!({"act": "answer"})).await);
    // Stopped, it takes no event; then it dies with the event unread.
    let pid = pid(&first["pid"]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let asked = act(&function, json!({"act": "answer"}));
    let killer = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    let (answered, ()) = tokio::join!(asked, killer);
    assert_eq!(result(&answered)["count"], 1);
}

#[tokio::test]
async fn the_same_function_is_prepared_once() {
    let pop = Pop::start(10).await;
    let (one, two) = (pop.function("handler").await, pop.function("handler").await);
    let first = result(&act(&one, json!({"act": "answer"})).await);
    drop(one);
    assert_eq!(result(&act(&two, json!({"act": "answer"})).await)["pid"], first["pid"]);
}

#[tokio::test]
async fn packages_without_a_function_are_removed_and_those_of_another_process_stay() {
    let pop = Pop::start(10).await;
    let packages = pop.directory.path().join("data/packages");
    let there = || std::fs::read_dir(&packages).unwrap().count();
    let function = pop.function("handler").await;
    let other = Options {
        engines: Engines {
            javascript: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime.py"),
            python: "".into(),
            custom: "".into(),
        },
        data_dir: pop.directory.path().join("data"),
        environments_max: 1,
        cpu: CpuShare::ByMemory,
        tmp_bytes_max: None,
        log: LogSink::Files,
        sandbox: SandboxDemand::WhatThereIs,
    };
    // It cleans up when it starts, as any process on this data directory does.
    Functions::start(other.clone()).await.unwrap().stop().await;
    assert_eq!(there(), 1);
    assert_eq!(result(&act(&function, json!({"act": "answer"})).await)["count"], 1);
    drop(function);
    let started = Instant::now();
    while there() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "the package stays");
        Functions::start(other.clone()).await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn dropping_a_function_ends_its_processes() {
    let pop = Pop::start(10).await;
    let function = pop.function("handler").await;
    let answer = result(&act(&function, json!({"act": "answer"})).await);
    drop(function);
    let started = Instant::now();
    while [&answer["pid"], &answer["parent"]].iter().any(|pid| is_running(pid)) {
        assert!(started.elapsed() < Duration::from_secs(5), "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_runtime_that_does_not_start_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_path_buf();
    let options = |runtime_binary: &str| Options {
        engines: Engines { javascript: runtime_binary.into(), python: "".into(), custom: "".into() },
        data_dir: data_dir.clone(),
        environments_max: 1,
        cpu: CpuShare::ByMemory,
        tmp_bytes_max: None,
        log: LogSink::Files,
        sandbox: SandboxDemand::WhatThereIs,
    };
    let missing = Functions::start(options("/nowhere/selvedge-js")).await.unwrap_err();
    assert!(missing.to_string().starts_with("cannot start /nowhere/selvedge-js: "), "{missing}");
    let ended = Functions::start(options("/bin/false")).await.unwrap_err();
    assert!(ended.to_string().contains("exit status: 1"), "{ended}");
}

fn pid(pid: &Value) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap())
}

fn kill(process: &Value) {
    nix::sys::signal::kill(pid(process), nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn is_running(pid: &Value) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
