//! The sandbox seen from a handler: what it tries to read, write, start and
//! reach, and what an operator is told about machines that cannot give it all.

use selvedge_tests::edge::program;
use selvedge_tests::python::interpreters;
use selvedge_tests::{Answer, Ask, Edge, Origin, site, wait_for};
use std::process::{Command, Output};

/// Runs the body as a script that has `read`, `write` and `attempt`.
const RUNS: &str = r#"
import fs from 'node:fs'; import net from 'node:net'; import dgram from 'node:dgram'; import os from 'node:os';
import child from 'node:child_process'; import dns from 'node:dns/promises'; import http from 'node:http';
const AsyncFunction = (async () => {}).constructor;
const scope = { fs, net, dgram, os, child, dns, http, code: (error) => error.code ?? error.name };
export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const script = Buffer.from(request.body.data, 'base64').toString();
  let answer;
  try {
    answer = await new AsyncFunction(...Object.keys(scope), script)(...Object.values(scope));
  } catch (error) {
    answer = `${error.code ?? error.name}: ${error.message}`;
  }
  return { status: '200', body: String(JSON.stringify(answer)) };
};"#;

async fn edge(settings: &str) -> Edge {
    builder(settings).start().await
}

fn builder(settings: &str) -> selvedge_tests::edge::EdgeBuilder {
    let lines = "allowed_methods = \"all\"\nhooks.viewer-request = { function = \"f\", include_body = true }";
    Edge::builder()
        // A whole core, and time: what is tried here is not speed.
        .function_with("f", RUNS, &format!("timeout = \"30s\"\nmemory_mb = 1769\n{settings}"))
        .function("other", "export const secret = 'code of the other'; export const handler = async (e) => e;")
        .config(&site("http://192.0.2.1", lines))
}

async fn run(edge: &Edge, script: &str) -> String {
    let reply = edge.ask(Ask::post("/run", script.as_bytes().to_vec())).await;
    assert_eq!(reply.status, 200, "{script}: {}", edge.log("f"));
    reply.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_reads_its_own_code_and_nothing_else() {
    let edge = edge("environment = { MINE = \"own variable\" }").await;
    let own = run(&edge, "return fs.readFileSync('/var/task/index.mjs', 'utf8').length > 100").await;
    assert_eq!(own, "true");
    assert_eq!(
        run(&edge, "return [process.env.LAMBDA_TASK_ROOT, fs.readdirSync('/var/task')]").await,
        r#"["/var/task",["index.mjs"]]"#
    );
    let config = edge.path().join("selvedge.toml");
    let state = edge.path().join("state");
    let outside = ["/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/environ", "/root/.ssh/id_rsa"];
    let files = outside.iter().map(std::path::PathBuf::from).chain([
        config,
        program("selvedge"),
        edge.path().join("other/index.mjs"),
    ]);
    for file in files {
        let answer = run(&edge, &format!("return fs.readFileSync({file:?}, 'utf8')")).await;
        assert!(answer.starts_with("\"EACCES") || answer.starts_with("\"ENOENT"), "{}: {answer}", file.display());
    }
    for directory in [state.join("packages"), state.join("logs"), "/".into(), "/proc".into()] {
        let answer = run(&edge, &format!("return fs.readdirSync({directory:?})")).await;
        assert!(answer.starts_with("\"EACCES") || answer.starts_with("\"ENOENT"), "{}: {answer}", directory.display());
    }
    assert_eq!(run(&edge, "return Object.keys(process.env).filter((name) => !/^(AWS_|LAMBDA_|_HANDLER|LANG|TZ|PATH|TMPDIR|LD_LIBRARY_PATH|NODE_PATH)/.test(name))").await, r#"["MINE"]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_writes_to_tmp_and_nowhere_else() {
    let edge = edge("tmp_mb = 600").await;
    assert_eq!(run(&edge, "fs.writeFileSync('/tmp/a', 'x'); return [fs.readFileSync('/tmp/a', 'utf8'), os.tmpdir(), fs.realpathSync('/tmp/a')]").await,
        r#"["x","/tmp","/tmp/a"]"#);
    assert_eq!(run(&edge, "const s = fs.statfsSync('/tmp'); return s.bsize * s.blocks / 1048576").await, "600");
    for path in ["/var/task/x", "/x", "/etc/x", "/tmp/../x"] {
        let answer = run(&edge, &format!("fs.writeFileSync('{path}', 'x')")).await;
        assert!(["\"EACCES", "\"EROFS", "\"ENOENT"].iter().any(|error| answer.starts_with(error)), "{path}: {answer}");
    }
    let full = "const piece = Buffer.alloc(1 << 23); const file = fs.openSync('/tmp/full', 'w'); let count = 0;
        try { for (;;) fs.writeSync(file, piece); } catch (error) { count = fs.fstatSync(file).size; fs.unlinkSync('/tmp/full'); return [count >> 20, code(error)]; }";
    let answer = run(&edge, full).await;
    assert!(answer == r#"[599,"ENOSPC"]"# || answer == r#"[600,"ENOSPC"]"#, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_starts_and_ends_no_process() {
    let edge = edge("").await;
    for script in [
        "child.execSync('id')",
        "child.spawnSync('/bin/sh')",
        "child.fork('/var/task/index.mjs')",
        "process.kill(1, 9)",
        "process.kill(2, 'SIGKILL')",
        "process.abort()",
        "process.dlopen({}, '/tmp/x.node')",
        "const { Worker } = await import('node:worker_threads'); new Worker('0', { eval: true })",
    ] {
        let answer = run(&edge, script).await;
        assert!(answer.contains("not supported in an execution environment"), "{script}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_cannot_listen() {
    let edge = edge("").await;
    for script in
        ["net.createServer().listen(0)", "http.createServer().listen(8080)", "dgram.createSocket('udp4').bind(0)"]
    {
        let answer = run(&edge, script).await;
        assert!(answer.contains("not supported in an execution environment"), "{script}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_is_closed_to_a_handler_and_the_log_says_how_to_open_it() {
    let edge = edge("").await;
    let own = edge.http;
    let connect = |host: &str, port: u16| {
        format!(
            "return new Promise((done) => net.connect({port}, '{host}').on('connect', () => done('open')).on('error', (error) => done(code(error))))"
        )
    };
    for host in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "localhost", "169.254.169.254", "10.0.0.1", "::1"] {
        assert_eq!(run(&edge, &connect(host, own.port())).await, r#""EACCES""#, "{host}");
    }
    assert_eq!(
        run(&edge, &format!("return fetch('http://{own}/').then(() => 'open', (error) => 'failed')")).await,
        r#""failed""#
    );
    assert_eq!(run(&edge, &connect("192.0.2.1", 25)).await, r#""EACCES""#);
    let paths = "return Promise.all(['/var/run/docker.sock', '\\0selvedge', '/tmp/x'].map(async (path) => { try { return await new Promise((done, fail) => net.connect(path).on('connect', () => done('open')).on('error', fail)); } catch { return 'failed'; } }))";
    assert_eq!(run(&edge, paths).await, r#"["failed","failed","failed"]"#);
    edge.logged("f", &format!("network: {own} refused: loopback addresses are denied; to allow it, write allow = [\"{own}\"] in [functions.f.network]")).await;
    edge.logged("f", "port 25 is always blocked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_do_not_flood_the_log() {
    let edge = edge("").await;
    let script = "let refused = 0;
        for (let port = 1000; port < 1200; port++) await new Promise((done) => {
          net.connect(port, '127.0.0.1').on('error', (error) => { refused += error.code === 'EACCES'; done(); });
        });
        return refused";
    assert_eq!(run(&edge, script).await, "200");
    edge.logged("f", "network: more refusals follow and are not logged for a while").await;
    let lines = edge.log("f").lines().filter(|line| line.contains("network: ")).count();
    // 50 in each period of 10 s; a slow machine may need more than one.
    assert!((50..=100).contains(&lines), "{lines} lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_to_the_machine_is_refused_unless_allowed() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::new(200).body("from the origin"));
    let port = origin.url().rsplit(':').next().expect("a url has a port").to_owned();
    let fetch = format!("return fetch('http://localhost:{port}/a').then((reply) => reply.text(), () => 'failed')");
    let closed = edge("").await;
    assert_eq!(run(&closed, &fetch).await, r#""failed""#);
    let open = edge(&format!("network = {{ allow = [\"127.0.0.1:{port}\"] }}")).await;
    assert_eq!(run(&open, &fetch).await, r#""from the origin""#);
    let get = format!(
        "return new Promise((done, no) => http.get('http://127.0.0.1:{port}/a', (reply) => {{ let text = ''; reply.on('data', (part) => text += part).on('end', () => done(text)); }}).on('error', no))"
    );
    assert_eq!(run(&open, &get).await, r#""from the origin""#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_an_environment_are_bounded() {
    let origin = Origin::start().await;
    let address = origin.url().trim_start_matches("http://").to_owned();
    let (host, port) = address.rsplit_once(':').expect("a port");
    let edge = edge(&format!("network = {{ allow = [\"{address}\"] }}")).await;
    let script = format!(
        "const all = []; let failed;
        for (let count = 0; count < 1100 && !failed; count++) await new Promise((done) => {{
          const socket = net.connect({port}, '{host}').on('connect', done).on('error', (error) => {{ failed = code(error); done(); }});
          all.push(socket);
        }});
        const count = all.length; for (const socket of all) socket.destroy();
        return [failed, count > 900 && count < 1024]"
    );
    assert_eq!(run(&edge, &script).await, r#"["EMFILE",true]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_ends_with_a_killed_edge() {
    let edge = edge("").await;
    run(&edge, "return 1").await;
    let state = edge.path().join("state");
    let below = descendants(edge.pid().as_raw());
    assert!(below.len() >= 5, "zygote, keepers, templates, environment: {below:?} of {}", state.display());
    edge.signal(nix::sys::signal::Signal::SIGKILL);
    wait_for("the end of all processes", || async { below.iter().all(|pid| !lives(*pid)).then_some(()) }).await;
}

/// Processes whose line of parents leads to `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let all = std::fs::read_dir("/proc").expect("there is /proc");
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|child| std::iter::successors(parent(*child), |next| parent(*next)).any(|line| line == pid)).collect()
}

fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Runs the program where user and mount namespaces cannot be made.
const POOR_MACHINE: [&str; 5] = ["unshare", "--user", "--map-root-user", "sh", "-c"];
const POOR_SCRIPT: &str =
    "echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_mnt_namespaces && exec \"$0\" \"$@\"";

fn on_poor_machine(arguments: &[&str]) -> Output {
    let mut command = Command::new(POOR_MACHINE[0]);
    command.args(&POOR_MACHINE[1..]).arg(POOR_SCRIPT).arg(program("selvedge")).args(arguments);
    command.output().expect("unshare is part of every system")
}

#[test]
fn check_sandbox_prints_every_layer() {
    let output = Command::new(program("selvedge")).args(["check", "--sandbox"]).output().expect("selvedge was built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for layer in environment::Layer::ALL {
        let row =
            text.lines().find(|line| line.starts_with(layer.name())).unwrap_or_else(|| panic!("{layer:?}: {text}"));
        assert!(row.contains("applied") || !layer.is_required(), "{row}");
    }
    assert!(text.ends_with("the sandbox is whole\n") && output.status.success(), "{text}");
}

#[test]
fn check_sandbox_tries_what_the_machine_and_the_configuration_have() {
    let directory = tempfile::tempdir().expect("temporary files can be made");
    let (runtime, interpreter) = selvedge_tests::python::interpreters().swap_remove(0);
    let stated = directory.path().join("of-my-own");
    std::os::unix::fs::symlink(&interpreter, &stated).expect("writable");
    std::fs::create_dir(directory.path().join("f")).expect("writable");
    std::fs::write(directory.path().join("f/app.py"), "def handler(event, context):\n    pass\n").expect("writable");
    let (id, file) = (runtime.id(), directory.path().join("selvedge.toml"));
    let config = format!(
        "[runtimes]\n{id:?} = {stated:?}\n[functions.f]\ncode = \"f\"\nruntime = {id:?}\nhandler = \"app.handler\"\n"
    );
    std::fs::write(&file, config).expect("writable");
    let mut check = Command::new(program("selvedge"));
    let output = check.args(["check", "--sandbox", "--config"]).arg(&file).env("PATH", "/nowhere").output();
    let output = output.expect("selvedge was built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("for JavaScript, ") && first.ends_with(", custom runtimes"), "{text}");
    assert!(first.contains(&format!("{id} (")) && first.matches(", ").count() == 2, "{text}");
    assert!(text.ends_with("the sandbox is whole\n") && output.status.success(), "{text}");
}

#[test]
fn check_sandbox_says_what_a_machine_does_not_give_and_why() {
    let output = on_poor_machine(&["check", "--sandbox"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for layer in ["namespaces", "files", "tmp"] {
        let row = text.lines().find(|line| line.starts_with(layer)).unwrap_or_else(|| panic!("{layer}: {text}"));
        assert!(row.contains("MISSING") && row.contains("No space left on device"), "{row}");
    }
    assert!(text.lines().any(|line| line.starts_with("system-calls") && line.contains("applied")), "{text}");
    assert!(text.ends_with("the sandbox is not whole\n") && output.status.code() == Some(1), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_with_require_sandbox_starts_only_where_it_is_whole() {
    let directory = tempfile::tempdir().expect("temporary files can be made");
    let file = directory.path().join("selvedge.toml");
    std::fs::write(&file, format!("[server]\nhttp = [\"{}\"]\n", selvedge_tests::edge::free_port())).expect("writable");
    let output = on_poor_machine(&["serve", "--require-sandbox", "--config", file.to_str().expect("a path")]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the sandbox is not whole on this machine: namespaces ("), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    let edge = builder("").with("--require-sandbox").start().await;
    assert_eq!(run(&edge, "return 1").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_run_with_what_there_is_and_the_start_says_so() {
    let mut launcher = POOR_MACHINE.to_vec();
    launcher.push(POOR_SCRIPT);
    let edge = builder("").launched_by(&launcher).start().await;
    edge.said("sandbox: missing on this machine").await;
    assert_eq!(run(&edge, "fs.writeFileSync('/tmp/a', 'x'); return fs.readFileSync('/tmp/a', 'utf8')").await, r#""x""#);
    let passwd = run(&edge, "return fs.readFileSync('/etc/passwd', 'utf8')").await;
    assert!(passwd.starts_with("\"EACCES"), "{passwd}");
    let own = edge.http;
    let connect = format!(
        "return new Promise((done) => net.connect({}, '127.0.0.1').on('connect', () => done('open')).on('error', (error) => done(code(error))))",
        own.port()
    );
    assert_eq!(run(&edge, &connect).await, r#""EACCES""#);
}

fn python() -> selvedge_tests::edge::EdgeBuilder {
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let id = runtime.id();
    let code = "import os\n\n\ndef lambda_handler(event, context):\n    with open(os.environ['TMPDIR'] + '/a', 'w') as \
                file:\n        file.write('x')\n    return {'status': '200', 'body': 'alive'}\n";
    let function = format!("[runtimes]\n{id:?} = {interpreter:?}\n[functions.p]\ncode = \"p\"\nruntime = {id:?}\n");
    Edge::builder()
        .file("p/lambda_function.py", code)
        .config(&(function + &site("http://192.0.2.1", "hooks.viewer-request = \"p\"")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_functions_get_the_whole_sandbox_or_what_there_is() {
    let whole = python().with("--require-sandbox").start().await;
    assert_eq!(whole.get("/").await.text(), "alive", "{}", whole.log("p"));
    let mut launcher = POOR_MACHINE.to_vec();
    launcher.push(POOR_SCRIPT);
    let poor = python().launched_by(&launcher).start().await;
    poor.said("sandbox: missing on this machine").await;
    assert_eq!(poor.get("/").await.text(), "alive", "{}", poor.log("p"));
}

/// Reads and writes what is not its own, and what is.
const REACHES: &str = "import errno
import os


def attempt(act, *arguments):
    try:
        act(*arguments)
        return 'open'
    except OSError as error:
        return errno.errorcode[error.errno]


def lambda_handler(event, context):
    place, own, tmp = os.environ['PLACE'], os.path.dirname(__file__), os.environ['TMPDIR']
    answers = [
        attempt(open, place + '/selvedge.toml'),
        attempt(os.listdir, place),
        attempt(os.listdir, '/'),
        attempt(open, own + '/x', 'w'),
        attempt(open, own + '/lambda_function.py'),
        attempt(open, tmp + '/x', 'w'),
    ]
    return {'status': '200', 'body': ' '.join(answers)}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn landlock_alone_keeps_files_where_namespaces_cannot_be_made() {
    let checked = Command::new(program("selvedge")).args(["check", "--sandbox"]).output().expect("selvedge was built");
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    let is_landlock = |line: &str| line.starts_with("landlock") && line.contains("applied");
    if !text.lines().any(is_landlock) {
        return;
    }
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let id = runtime.id();
    let builder = Edge::builder().file("p/lambda_function.py", REACHES);
    let function = format!(
        "[runtimes]\n{id:?} = {interpreter:?}\n[functions.p]\ncode = \"p\"\nruntime = {id:?}\nenvironment = {{ PLACE = {:?} }}\n",
        builder.path()
    );
    let mut launcher = POOR_MACHINE.to_vec();
    launcher.push(POOR_SCRIPT);
    let site = site("http://192.0.2.1", "hooks.viewer-request = \"p\"");
    let edge = builder.config(&(function + &site)).launched_by(&launcher).start().await;
    let answer = edge.get("/").await.text();
    assert_eq!(answer, "EACCES EACCES EACCES EACCES open open", "{}", edge.log("p"));
}
