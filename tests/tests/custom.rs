//! Custom runtimes as their programs, an operator and an attacker see them: the
//! Runtime API, limits that hold for all processes of an environment, and what
//! its sandbox leaves.

use environment::{ErrorPayload, Outcome};
use functions::{CpuShare, Function, FunctionConfig, Invocation, Scaling};
use selvedge_tests::custom::{RUNS, copy, example, put_awslambdaric, put_bootstrap};
use selvedge_tests::{Answer, Edge, Origin, Stage, program, site, wait_for};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

async fn ask(function: &Function, event: &str) -> Invocation {
    function.invoke(json!(event).to_string().into()).await
}

fn result(invocation: &Invocation) -> Value {
    match &invocation.outcome {
        Outcome::Result(bytes) => serde_json::from_slice(bytes).expect("results are JSON"),
        other => panic!("{other:?}"),
    }
}

async fn run(function: &Function, script: &str) -> Value {
    result(&ask(function, script).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_in_shell_and_rust_are_functions() {
    let origin = Origin::start().await;
    origin.answer("/other", Answer::new(200).body("from the origin"));
    let config = site(&origin.url(), "hooks.viewer-request = \"shell\"");
    let behaviors = "[[distributions.site.behaviors]]\npath = \"/hello\"\norigin = \"o\"\nhooks.viewer-request = \"rust\"\n\
                     [[distributions.site.behaviors]]\npath = \"/other\"\norigin = \"o\"\nhooks.origin-request = \"rust\"\n";
    let functions = "[functions.shell]\ncode = \"shell\"\nruntime = \"provided.al2023\"\nmemory_mb = 1769\n\
                     [functions.rust]\ncode = \"rust\"\nruntime = \"provided.al2023\"\nhandler = \"hello\"\n";
    let builder = Edge::builder();
    for name in ["shell", "rust"] {
        std::fs::create_dir(builder.path().join(name)).expect("writable");
    }
    copy(&example("shell"), &builder.path().join("shell"));
    let compiled = std::fs::read(program("bootstrap")).expect("the example is built");
    put_bootstrap(&builder.path().join("rust"), &compiled);
    let edge = builder.config(&format!("{functions}{config}{behaviors}")).start().await;

    assert_eq!(edge.get("/a/page").await.text(), "hello from a shell, /a/page");
    assert_eq!(edge.get("/b").await.text(), "hello from a shell, /b");
    edge.logged("shell", "answering /a/page").await;
    assert_eq!(edge.get("/hello").await.text(), "hello from Rust");
    assert_eq!(edge.get("/other").await.text(), "from the origin");
    assert_eq!(origin.requests().last().expect("a request").header("x-handled-by"), "Rust");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_s_own_client_runs_a_handler() {
    let stage = Stage::new().await;
    let mut config = stage.program("");
    put_awslambdaric(config.package.path());
    let code = "
import logging, os
print('while loading')


def handler(event, context):
    print('printed')
    logging.getLogger().warning('warned')
    if event == 'raise':
        raise ValueError('no')
    return [event, context.function_name, context.memory_limit_in_mb, context.log_group_name,
            context.invoked_function_arn, 0 < context.get_remaining_time_in_millis() <= 10000, os.getcwd()]
";
    std::fs::write(config.package.path().join("app.py"), code).expect("writable");
    config.handler = "app.handler".to_owned();
    let function = stage.prepare(&config).await;
    let good = ask(&function, "event").await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f:1";
    assert_eq!(result(&good), json!(["event", "f", "128", "/aws/lambda/us-east-1.f", arn, true, "/var/task"]));
    assert!(good.init.is_some(), "the first invocation started the program");
    let bad = ask(&function, "raise").await;
    let Outcome::Threw(error) = &bad.outcome else { panic!("{:?}", bad.outcome) };
    assert_eq!((error.error_type.as_str(), error.error_message.as_str()), ("ValueError", "no"));
    assert!(error.trace[0].contains("/var/task/app.py") && bad.init.is_none(), "{error:?}");
    let log = stage.log().await;
    let (before, ours) = log.split_once(&format!("START RequestId: {}", good.id)).expect("its START line");
    assert!(before.contains("while loading\n"), "{log}");
    let lines: Vec<&str> = ours.lines().skip(1).collect();
    assert_eq!(lines[0], "printed", "{log}");
    assert!(lines[1].starts_with("[WARNING]\t") && lines[1].ends_with(&format!("{}\twarned", good.id)), "{log}");
    assert_eq!(lines[2], format!("END RequestId: {}", good.id));
    assert!(lines[3].starts_with("REPORT ") && lines[3].contains("Init Duration: "), "{log}");
    let report = log.lines().filter(|line| line.starts_with("REPORT ")).nth(1).expect("two invocations");
    assert!(!report.contains("Init Duration"), "{log}");
    assert!(log.contains("[ERROR] ValueError: no\r"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_comes_with_lambda_s_headers() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let answer =
        run(&function, "return [id, dict(headers), int(headers['Lambda-Runtime-Deadline-Ms']) - time.time() * 1000]")
            .await;
    let headers = &answer[1];
    assert_eq!(headers["Lambda-Runtime-Invocation-Id"], answer[0]);
    assert_eq!(headers["Content-Type"], "application/json");
    assert_eq!(headers["Lambda-Runtime-Invoked-Function-Arn"], "arn:aws:lambda:us-east-1:000000000000:function:f:1");
    let trace = headers["Lambda-Runtime-Trace-Id"].as_str().expect("a trace");
    assert!(trace.starts_with("Root=1-") && trace.ends_with(";Sampled=0"), "{trace}");
    let left = answer[2].as_f64().expect("milliseconds");
    assert!((5_000.0..=10_000.0).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_of_turn_or_unknown_is_refused_as_lambda_does() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let other = "3fb1a7f4-0000-4000-8000-000000000000";
    for (request, status, kind) in [
        ("'GET', 'invocation/next'", 403, "InvalidStateTransition"),
        ("'POST', 'init/error', '{}'", 403, "InvalidStateTransition"),
        (&format!("'POST', 'invocation/{other}/response', '1'"), 400, "InvalidRequestID"),
        (&format!("'POST', 'invocation/{other}/error', '{{}}'"), 400, "InvalidRequestID"),
        (
            "'POST', f'invocation/{id}/response', '1', {'Lambda-Runtime-Invocation-Id': 'another'}",
            400,
            "InvalidInvocationId",
        ),
        ("'GET', 'restore/next'", 403, "InvalidStateTransition"),
        ("'GET', 'nothing'", 404, "NotFound"),
        ("'GET', f'invocation/{id}/response'", 405, "MethodNotAllowed"),
    ] {
        let answer =
            run(&function, &format!("status, _, body = call({request})\nreturn [status, json.loads(body)]")).await;
        assert_eq!((answer[0].as_i64(), &answer[1]["errorType"]), (Some(status), &json!(kind)), "{request}: {answer}");
    }
    let twice = "call('POST', f'invocation/{id}/response', '\"first\"')
status, _, body = call('POST', f'invocation/{id}/response', '\"second\"')
print(status, body)
return NotImplemented";
    assert_eq!(run(&function, twice).await, "first");
    let log = stage.log().await;
    assert!(log.contains("403 {\"errorMessage\":\"State transition from ResponseSent"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_streamed_and_bounded() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let stream = |parts: &str, trailers: &str| {
        format!(
            "stream = socket.create_connection((host, int(port)))
stream.sendall(f'POST /2018-06-01/runtime/invocation/{{id}}/response HTTP/1.1\\r\\nHost: x\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'.encode())
for part in {parts}:
    stream.sendall(b'%x\\r\\n%s\\r\\n' % (len(part), part))
    time.sleep(0.01)
stream.sendall(b'0\\r\\n{trailers}\\r\\n')
print(stream.recv(100).split(b'\\r\\n')[0])
return NotImplemented"
        )
    };
    assert_eq!(run(&function, &stream("[b'[1', b',2', b']']", "")).await, json!([1, 2]));
    let trailers = "Lambda-Runtime-Function-Error-Type: Own.Error\\r\\nLambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJtaWR3YXkifQ==\\r\\n";
    let failed = ask(&function, &stream("[b'[1']", trailers)).await;
    let Outcome::Threw(error) = &failed.outcome else { panic!("{:?}", failed.outcome) };
    assert_eq!((error.error_type.as_str(), error.error_message.as_str()), ("Own.Error", "midway"));

    let large =
        "print(call('POST', f'invocation/{id}/response', '\"' + 'x' * (7 << 20) + '\"')[0])\nreturn NotImplemented";
    let outcome = ask(&function, large).await.outcome;
    assert!(matches!(outcome, Outcome::ResultTooLarge { bytes, .. } if bytes > 7 << 20), "{outcome:?}");
    let again = ask(&function, "return 1").await;
    assert!(result(&again) == 1 && again.init.is_none(), "the environment goes on");
    let log = stage.log().await;
    assert!(log.contains("202 Accepted") && log.contains("\n413\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_what_the_program_says() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let fail = "call('POST', f'invocation/{id}/error', '{\"errorType\": \"T\", \"errorMessage\": \"m\", \"stackTrace\": [\"a\", \"b\"]}')\nreturn NotImplemented";
    let Outcome::Threw(error) = ask(&function, fail).await.outcome else { panic!("an error") };
    let trace = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(error, ErrorPayload { error_type: "T".to_owned(), error_message: "m".to_owned(), trace });
    let header = "call('POST', f'invocation/{id}/error', 'plain text', {'Lambda-Runtime-Function-Error-Type': 'Own.Kind'})\nreturn NotImplemented";
    let Outcome::Threw(error) = ask(&function, header).await.outcome else { panic!("an error") };
    assert_eq!((error.error_type.as_str(), error.error_message.as_str()), ("Own.Kind", "plain text"));
    assert!(ask(&function, "return 1").await.init.is_none(), "the environment goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_cannot_start_says_why() {
    for (bootstrap, kind, message) in [
        ("#!/bin/sh\nexit 3\n", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("#!/bin/sh\nexit 0\n", "Runtime.ExitError", "Runtime exited without providing a reason"),
        ("#!/bin/sh\nkill -SEGV $$\n", "Runtime.ExitError", "Runtime exited with error: signal 11"),
        ("#!/no/such/interpreter\n", "Runtime.InvalidEntrypoint", "fork/exec /var/task/bootstrap: "),
        (
            "#!/bin/sh\ncurl -sS http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error -H 'Lambda-Runtime-Function-Error-Type: Own.Init' -d '{\"errorMessage\": \"no key\"}'\nexit 1\n",
            "Own.Init",
            "no key",
        ),
        (
            "#!/bin/sh\ncurl -sS http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error -d '{\"errorType\": \"Own.Stays\", \"errorMessage\": \"stays\"}'\nsleep 60\n",
            "Own.Stays",
            "stays",
        ),
    ] {
        let stage = Stage::new().await;
        let function = stage.prepare(&stage.program(bootstrap)).await;
        let began = Instant::now();
        let Outcome::InitFailed(error) = ask(&function, "").await.outcome else { panic!("{bootstrap}") };
        assert_eq!(error.error_type, kind, "{bootstrap}: {error:?}");
        assert!(error.error_message.starts_with(message), "{bootstrap}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{bootstrap}");
        let log = stage.log().await;
        assert!(log.contains(message) && log.contains("INIT_REPORT") && log.contains(kind), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_costs_its_invocation_only() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    for (script, reason) in [
        ("os._exit(4)", "exit status 4"),
        ("os._exit(0)", "exit status 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV); time.sleep(9)", "signal 11"),
        // The first process of the environment, which is not the program's own.
        ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(9)", "signal 9"),
        ("os.kill(-1, signal.SIGKILL); time.sleep(9)", "signal 9"),
    ] {
        let ended = ask(&function, script).await;
        let Outcome::Crashed { reason: said } = &ended.outcome else { panic!("{script}: {:?}", ended.outcome) };
        assert_eq!(said, reason, "{script}");
        let next = ask(&function, "return 1").await;
        assert!(result(&next) == 1 && next.init.is_some(), "{script}: another environment");
    }
    let log = stage.log().await;
    assert!(log.contains("Error: Runtime exited with error: exit status 4\nRuntime.ExitError\n"), "{log}");
    assert!(log.contains("Error: Runtime exited without providing a reason\nRuntime.ExitError\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_processes_of_an_environment_end_at_its_deadline() {
    let stage = Stage::new().await;
    let function = stage.prepare(&FunctionConfig { timeout: Duration::from_secs(1), ..stage.program(RUNS) }).await;
    let mark = format!("7{}", std::process::id());
    let script = format!(
        "subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM HUP INT; sleep {mark} & sleep {mark}; wait'])\nsubprocess.run(['/usr/bin/sleep', '{mark}'])"
    );
    let began = Instant::now();
    let outcome = ask(&function, &script).await.outcome;
    assert_eq!(outcome, Outcome::TimedOut { timeout_ms: 1_000 });
    assert!(began.elapsed() < Duration::from_millis(2_000), "{:?}", began.elapsed());
    wait_for("the end of its processes", || async { processes_with(&mark).is_empty().then_some(()) }).await;
    assert_eq!(run(&function, "return 1").await, 1);
    assert!(!stage.log().await.contains("stack"), "nobody knows a program's stack");
}

/// Processes of this machine that have this word in their command.
fn processes_with(word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("there is /proc").filter_map(Result::ok);
    let commands = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(word)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_that_of_all_processes_together() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let children = |count: u32| {
        format!(
            "code = 'import time; held = b\"x\" * (40 << 20); print(1, flush=True); time.sleep(2)'
children = [subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) for _ in range({count})]
return [child.stdout.readline().decode() for child in children]"
        )
    };
    let fits = ask(&function, &children(1)).await;
    assert_eq!(result(&fits), json!(["1\n"]));
    let outcome = ask(&function, &children(5)).await.outcome;
    assert!(matches!(outcome, Outcome::ExceededMemory { memory_mb: 128, used_mb } if used_mb > 128), "{outcome:?}");
    // What waits is not looked at.
    let one = ask(
        &function,
        "held = b'x' * (60 << 20)\nuntil = time.time() + 0.2\nwhile time.time() < until: pass\nreturn 1",
    )
    .await;
    assert!((60..=110).contains(&one.memory_used_mb), "{} MB", one.memory_used_mb);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processor_s_share_is_that_of_all_processes_together() {
    let stage = Stage::with(CpuShare::ByMemory).await;
    let function = stage.runs().await;
    let script = "code = 'while True: pass'
children = [subprocess.Popen([sys.executable, '-S', '-c', code]) for _ in range(3)]
time.sleep(3)
[child.kill() for child in children]
[child.wait() for child in children]
times = os.times()
return times.children_user + times.children_system";
    assert_eq!(run(&function, "return 1").await, 1);
    let used = run(&function, script).await.as_f64().expect("seconds");
    // 128 MB are 0.072 of a core; 100 ms are free, and looks take a moment.
    assert!((0.05..=0.7).contains(&used), "{used} s of processor time in 3 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_processes_that_nobody_waits_for_counts_where_there_are_control_groups() {
    if !functions::cpu_keeping().starts_with("a control group") {
        return;
    }
    let stage = Stage::with(CpuShare::ByMemory).await;
    let function = stage.runs().await;
    let script = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)
ended, says = os.pipe()
until, count = time.time() + 3, 0
while time.time() < until:
    if os.fork() == 0:
        while time.process_time() < 0.02: pass
        os.write(says, b'x')
        os._exit(0)
    os.read(ended, 1)
    count += 1
return count * 0.02";
    let used = run(&function, script).await.as_f64().expect("seconds");
    assert!((0.05..=0.7).contains(&used), "{used} s of processor time in 3 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_processes_of_an_environment_have_the_weight_of_its_share() {
    let stage = Stage::with(CpuShare::ByMemory).await;
    // The second invocation looks at the processes of the first.
    let scaling = Scaling { environments_max: 1, ..Scaling::default() };
    let config = FunctionConfig { memory_mb: 885, scaling, ..stage.program(RUNS) };
    let function = stage.prepare(&config).await;
    let script = "import textwrap
code = textwrap.dedent('''
import os, time
until = time.time() + 0.4
while time.time() < until: pass
print(os.getpriority(os.PRIO_PROCESS, 0), flush=True)
time.sleep(60)
''')
children = [subprocess.Popen([sys.executable, '-S', '-c', code], stdout=subprocess.PIPE) for _ in range(2)]
return [int(child.stdout.readline()) for child in children]";
    let own = run(&function, "return os.getpriority(os.PRIO_PROCESS, 0)").await;
    let busy = run(&function, script).await;
    let expected = own.as_i64().map(|own| own + 3);
    // As root, or with a limit of nice values, they are lighter while they compute.
    let is_possible = nix::unistd::geteuid().is_root();
    let expected = if is_possible { expected } else { own.as_i64() };
    assert_eq!(busy, json!([expected, expected]));
    let after = "return [int(line.split()[18]) for line in (open(f'/proc/{pid}/stat').read() for pid in os.listdir('/proc') if pid.isdigit() and pid != '1')]";
    let after = run(&function, after).await;
    assert!(after.as_array().is_some_and(|all| all.len() >= 4 && all.iter().all(|nice| *nice == own)), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_an_idle_environment_stand_still() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let script = "subprocess.Popen(['/bin/sh', '-c', 'while :; do echo x >>/tmp/ticks; sleep 0.01; done'])
time.sleep(0.3)
return os.path.getsize('/tmp/ticks')";
    let before = run(&function, script).await.as_u64().expect("ticks");
    assert!(before > 10, "{before} ticks");
    let size = "return os.path.getsize('/tmp/ticks')";
    let first = run(&function, size).await.as_u64().expect("ticks");
    tokio::time::sleep(Duration::from_millis(700)).await;
    let then = run(&function, size).await.as_u64().expect("ticks");
    assert!(then - first < 30, "{} ticks while nothing was asked", then - first);
    let on = run(&function, &format!("time.sleep(0.3)\n{size}")).await.as_u64().expect("ticks");
    assert!(on > then + 10, "it goes on with the next invocation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioned_environments_have_started_before_they_are_asked() {
    let stage = Stage::new().await;
    let scaling = Scaling { provisioned: 1, ..Scaling::default() };
    let function = stage.prepare(&FunctionConfig { scaling, ..stage.program(RUNS) }).await;
    let first = ask(&function, "return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']").await;
    assert_eq!(result(&first), "provisioned-concurrency");
    assert!(first.init.is_none(), "{:?}", first.init);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_run_side_by_side_each_with_its_own_api() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let slow = |word: &str| {
        format!("time.sleep(0.5)\nopen('/tmp/{word}', 'w').close()\nreturn [sorted(os.listdir('/tmp')), os.getpid()]")
    };
    let (one, two) = (slow("one"), slow("two"));
    let (one, two) = tokio::join!(ask(&function, &one), ask(&function, &two));
    assert!(one.init.is_some() && two.init.is_some());
    assert_eq!((&result(&one)[0], &result(&two)[0]), (&json!(["one"]), &json!(["two"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_has_its_own_code_its_tmp_the_machine_s_programs_and_nothing_else() {
    let stage = Stage::new().await;
    let state = stage.directory.path().join("state");
    let function = stage.runs().await;
    let names = run(&function, "return sorted(name for name in os.environ if name != 'LC_CTYPE')").await;
    let expected = [
        "AWS_DEFAULT_REGION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "LD_LIBRARY_PATH",
        "MINE",
        "PATH",
        "TMPDIR",
        "TZ",
        "_HANDLER",
    ];
    assert_eq!(names, json!(expected));
    assert_eq!(
        run(&function, "return [os.environ['_HANDLER'], os.environ['MINE'], os.getcwd()]").await,
        json!(["any.thing", "own", "/var/task"])
    );
    for path in [
        "/etc/shadow",
        "/root/.ssh",
        "/proc/1/environ",
        "/proc/kcore",
        "/home",
        "/var/lib",
        "/sys",
        "/usr/local",
        "/usr/src",
        "/run",
        "/dev/zero",
        "/dev/shm",
    ] {
        let answer = run(&function, &format!("return os.path.exists({path:?}) and open({path:?}).read()")).await;
        assert!(answer == json!(false) || answer == json!("EACCES") || answer == json!("EISDIR"), "{path}: {answer}");
    }
    for path in [state.join("packages"), state.join("logs"), std::env::current_exe().expect("a path")] {
        assert_eq!(run(&function, &format!("return os.path.exists({path:?})")).await, false, "{}", path.display());
    }
    for path in ["/var/task/x", "/x", "/etc/x", "/usr/bin/x", "/var/task/bootstrap", "/dev/x"] {
        let answer = run(&function, &format!("open({path:?}, 'a')")).await;
        assert!(["EACCES", "EROFS", "EPERM"].iter().any(|error| answer == *error), "{path}: {answer}");
    }
    // What is written can be read, and not started.
    let script = "open('/tmp/p', 'w').write('#!/bin/sh\\n')\nos.chmod('/tmp/p', 0o755)\nreturn subprocess.run(['/tmp/p']).returncode";
    assert_eq!(run(&function, script).await, "EACCES");
    let shell = "return subprocess.run(['/bin/sh', '-c', 'echo $0 $(id -u) | tee /dev/stderr; cat < /dev/fd/0 | wc -c'], capture_output=True, text=True, input='four').stdout";
    assert_eq!(run(&function, shell).await, "/bin/sh 993\n4\n");
    // Only its own processes, whatever else its namespace holds.
    let listed = run(&function, "return sorted(name for name in os.listdir('/proc') if name.isdigit())").await;
    assert!(listed.as_array().is_some_and(|list| list.len() <= 3), "{listed}");
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_may_not_ask_the_system_for_is_refused() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let answers = run(&function, FORBIDDEN).await;
    let answers = answers.as_object().expect("an answer for each");
    assert!(answers.len() > 60, "{} calls", answers.len());
    for (name, answer) in answers {
        assert!(answer == "EPERM" || (name == "clone3" && answer == "ENOSYS"), "{name}: {answer}");
    }
    // Children have no more than their parent.
    let child = "return subprocess.run([sys.executable, '-c', 'import os; os.setsid()'], capture_output=True, text=True).stderr.splitlines()[-1]";
    assert!(run(&function, child).await.as_str().is_some_and(|line| line.contains("PermissionError")));
    assert_eq!(run(&function, "os.kill(1, signal.SIGKILL)").await, "EPERM");
}

/// Each system call by its number on x86-64; `1` is the first process of the namespaces.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN: &str = "
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
calls = {
    'mmap shared': (9, 0, 4096, 3, 0x21, -1, 0), 'clone user': (56, 0x10000011, 0, 0, 0, 0),
    'clone pid': (56, 0x20000011, 0, 0, 0, 0), 'clone net': (56, 0x40000011, 0, 0, 0, 0), 'clone3': (435, 0, 0), 'clone with another signal': (56, 18, 0, 0, 0, 0), 'fcntl of a signal': (72, 0, 10, 18),
    'fcntl of a notice': (72, 0, 1026, 2),
    'ptrace': (101, 16, 1, 0, 0), 'process_vm_readv': (310, 1, 0, 0, 0, 0, 0), 'process_vm_writev': (311, 1, 0, 0, 0, 0, 0),
    'pidfd_open': (434, 1, 0), 'pidfd_getfd': (438, 0, 0, 0), 'pidfd_send_signal': (424, 0, 9, 0, 0),
    'seccomp': (317, 0, 0, 0), 'capset': (126, 0, 0), 'setsid': (112,), 'setpgid': (109, 0, 0),
    'landlock': (444, 0, 0, 0), 'sendmsg': (46, 1, 0, 0), 'sendmmsg': (307, 1, 0, 0, 0), 'recvmmsg': (299, 1, 0, 0, 0, 0),
    'subreaper': (157, 36, 1, 0, 0, 0), 'dumpable': (157, 4, 0, 0, 0, 0), 'keepcaps': (157, 8, 1, 0, 0, 0),
    'ptracer': (157, 0x59616d61, 1, 0, 0, 0), 'prlimit of another': (302, 1, 7, 0, 0),
    'raise a limit': (302, 0, 6, (ctypes.c_ulong * 2)(9999, 9999), 0), 'setns': (308, 0, 0), 'unshare': (272, 0x10000000),
    'mount': (165, 0, 0, 0, 0, 0), 'umount2': (166, 0, 0), 'pivot_root': (155, 0, 0), 'chroot': (161, 0),
    'move_mount': (429, 0, 0, 0, 0, 0), 'open_tree': (428, 0, 0, 0), 'fsopen': (430, 0, 0), 'fsmount': (432, 0, 0, 0),
    'mount_setattr': (442, 0, 0, 0, 0, 0), 'open_by_handle_at': (304, 0, 0, 0), 'mknodat': (259, 0, 0, 0, 0),
    'bpf': (321, 0, 0, 0), 'io_uring_setup': (425, 0, 0), 'io_uring_enter': (426, 0, 0, 0, 0, 0, 0),
    'perf_event_open': (298, 0, 0, 0, 0, 0), 'userfaultfd': (323, 0), 'keyctl': (250, 0, 0, 0, 0, 0),
    'add_key': (248, 0, 0, 0, 0, 0), 'request_key': (249, 0, 0, 0, 0), 'init_module': (175, 0, 0, 0),
    'finit_module': (313, 0, 0, 0), 'kexec_load': (246, 0, 0, 0, 0), 'reboot': (169, 0, 0, 0, 0), 'syslog': (103, 3, 0, 0),
    'swapon': (167, 0, 0), 'acct': (163, 0), 'quotactl': (179, 0, 0, 0, 0), 'fanotify_init': (300, 0, 0),
    'settimeofday': (164, 0, 0), 'clock_settime': (227, 0, 0), 'sethostname': (170, 0, 0), 'personality': (135, 8),
    'iopl': (172, 3), 'modify_ldt': (154, 0, 0, 0), 'memfd_create': (319, 0, 0), 'shmget': (29, 0, 4096, 0o1600),
    'msgget': (68, 0, 0o1600), 'semget': (64, 0, 1, 0o1600), 'mq_open': (240, 0, 0, 0, 0), 'vmsplice': (278, 0, 0, 0, 0),
    'setuid': (105, 0), 'setresuid': (117, 0, 0, 0), 'setgroups': (116, 0, 0), 'socket unix': (41, 1, 1, 0), 'socket netlink': (41, 16, 3, 0), 'socket packet': (41, 17, 3, 0),
    'socket vsock': (41, 40, 1, 0), 'socket raw': (41, 2, 3, 1), 'setsockopt of a device': (54, 0, 1, 25, 0, 0),
    'ioctl of interfaces': (16, 0, 0x8912, 0), 'ioctl that types': (16, 0, 0x5412, 0),
}
answers = {}
for name, (number, *arguments) in calls.items():
    answer = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, ctypes.Array) else ctypes.c_long(a) for a in arguments])
    answers[name] = errno.errorcode[ctypes.get_errno()] if answer < 0 else 'ok'
return answers";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_an_environment_are_bounded() {
    let stage = Stage::new().await;
    let function = stage.prepare(&FunctionConfig { memory_mb: 2048, ..stage.program(RUNS) }).await;
    let script = "pids = []
try:
    while len(pids) < 1000:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        pids.append(pid)
except OSError as error:
    failed = errno.errorcode[error.errno]
[os.kill(pid, 9) for pid in pids]
[os.waitpid(pid, 0) for pid in pids]
return [failed, len(pids)]";
    let answer = run(&function, script).await;
    assert_eq!(answer[0], "EAGAIN");
    assert!((200..256).contains(&answer[1].as_u64().expect("a number")), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_reach_their_runtime_api_and_what_their_policy_allows() {
    let stage = Stage::new().await;
    let function = stage.runs().await;
    let connect = |host: &str, port: u16| format!("socket.create_connection(({host:?}, {port}), 5)\nreturn 'open'");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").port();
    for (host, port) in [
        ("127.0.0.1", own),
        ("127.0.0.1", 9002),
        ("::1", 9001),
        ("127.0.0.2", 9001),
        ("10.0.0.1", 80),
        ("169.254.169.254", 80),
        ("192.0.2.1", 25),
    ] {
        assert_eq!(run(&function, &connect(host, port)).await, "EACCES", "{host}:{port}");
    }
    let curl = format!(
        "return subprocess.run(['curl', '-sS', 'http://127.0.0.1:{own}/'], capture_output=True, text=True).returncode"
    );
    assert_eq!(run(&function, &curl).await, 7);
    // In the spelling of sockets for both versions of IP, and without waiting.
    let both = "made = socket.socket(socket.AF_INET6)\nmade.connect(('::ffff:127.0.0.1', 9001))\nmade.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\nreturn made.recv(12).decode()";
    assert_eq!(run(&function, both).await, "HTTP/1.0 404");
    let later = "import select\nmade = socket.socket()\nmade.setblocking(False)\ncode = made.connect_ex(('127.0.0.1', 9001))\nselect.select([], [made], [], 5)\nreturn [errno.errorcode[code], made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]";
    assert_eq!(run(&function, later).await, json!(["EINPROGRESS", 0]));
    // A datagram there is no connection to it.
    assert_eq!(run(&function, "socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9001))").await, "EACCES");
    let log = stage.log().await;
    assert!(log.contains(&format!("network: 127.0.0.1:{own} refused: loopback addresses are denied")), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_is_held_by_nothing_that_its_programs_do_to_its_api() {
    let stage = Stage::new().await;
    let function = stage.prepare(&FunctionConfig { timeout: Duration::from_secs(2), ..stage.program(RUNS) }).await;
    let flood = "held = []
for _ in range(150):
    made = socket.create_connection((host, int(port)))
    made.sendall(b'POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 999999999\\r\\n\\r\\n')
    held.append(made)
for _ in range(50):
    made = socket.create_connection((host, int(port)))
    made.sendall(b'\\x00\\xff garbage\\r\\n\\r\\n')
return len(held)";
    assert_eq!(run(&function, flood).await, 150);
    assert_eq!(run(&function, "return 1").await, 1);
    // Never asks again: it has answered, and the environment is over at the deadline.
    let silent = "call('POST', f'invocation/{id}/response', '1')\ntime.sleep(60)";
    let answered = function.invoke_whole(json!(silent).to_string().into()).await;
    assert!(result(&answered) == 1 && answered.duration >= Duration::from_secs(2), "{answered:?}");
    let next = ask(&function, "return 1").await;
    assert!(result(&next) == 1 && next.init.is_some(), "another environment");
    assert!(stage.log().await.contains(&format!("{} Task timed out after 2.00 seconds", answered.id)));
}

#[test]
fn check_refuses_what_a_custom_runtime_cannot_have() {
    let root = tempfile::tempdir().expect("temporary files can be made");
    let check = |table: &str| {
        let config = format!("[functions.f]\ncode = \"code\"\nruntime = \"provided.al2023\"\n{table}\n");
        std::fs::write(root.path().join("selvedge.toml"), config).expect("writable");
        let file = root.path().join("selvedge.toml");
        let output = Command::new(program("selvedge")).arg("check").arg("--config").arg(file).output();
        let output = output.expect("selvedge starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let package: PathBuf = root.path().join("code");
    std::fs::create_dir(&package).expect("writable");
    let (passes, said) = check("");
    assert!(
        !passes && said.contains("bootstrap is missing: a custom runtime's package has an executable file"),
        "{said}"
    );
    std::fs::write(package.join("bootstrap"), "#!/bin/sh\n").expect("writable");
    let (passes, said) = check("");
    assert!(!passes && said.contains("bootstrap is not executable"), "{said}");
    put_bootstrap(&package, b"#!/bin/sh\n");
    assert!(check("").0 && check("handler = \"any\"").0 && check("snap_start = \"off\"").0);
    let (passes, said) = check("snap_start = \"on\"");
    assert!(!passes && said.contains("programs of runtime provided.al2023 cannot be copied"), "{said}");
    let (passes, said) = check("template_idle_timeout = \"5s\"");
    assert!(!passes && said.contains("which has no template"), "{said}");
    let (passes, said) = check("handler = \"two words\"");
    assert!(!passes && said.contains("without spaces"), "{said}");
    let (passes, said) = check("[server]\nstrict_aws = true");
    assert!(!passes && said.contains("strict_aws: runtime provided.al2023"), "{said}");
}
