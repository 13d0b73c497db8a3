//! Debuggers of functions under development: breakpoints in the sources on disk,
//! limits that wait for them, targets that come and go, and who is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use environment::{Outcome, Runtime};
use functions::{
    CpuShare, Function, FunctionConfig, Functions, Inspection, Invocation, LogSink, NetworkPolicy, Options,
    PackageSource, SandboxDemand, Scaling, SnapStart,
};
use inspector::{Address, Server};
use selvedge_tests::debugger::Debugger;
use selvedge_tests::dev::Dev;
use selvedge_tests::edge::engines;
use selvedge_tests::{Ask, WAIT_MAX, free_port, program, viewer, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite;

/// What runs functions that can be debugged.
struct Workshop {
    functions: Arc<Functions>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    directory: TempDir,
}

impl Workshop {
    async fn open() -> Workshop {
        let directory = tempfile::tempdir().expect("temporary files can be made");
        let options = Options {
            engines: engines(),
            data_dir: directory.path().join("data"),
            environments_max: 4,
            cpu: CpuShare::ByMemory,
            tmp_bytes_max: None,
            sandbox: SandboxDemand::WhatThereIs,
            log: LogSink::Files,
        };
        let inspection = Inspection::default();
        let functions = Functions::start_inspected(options, inspection.clone()).await.expect("the zygote starts");
        let address = "0".parse::<Address>().expect("a port alone is an address");
        let server = Server::bind(address, inspection).await.expect("a port is free");
        let (address, (stop, stopped)) = (server.address(), watch::channel(false));
        tokio::spawn(server.serve(stopped));
        Workshop { functions, address, stop, directory }
    }

    /// Where a function's files are, without links.
    fn sources(&self, function: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("the directory is there").join(function)
    }

    fn write(&self, function: &str, file: &str, text: &str) {
        std::fs::create_dir_all(self.sources(function)).expect("the directory is writable");
        std::fs::write(self.sources(function).join(file), text).expect("the file is writable");
    }

    fn config(&self, name: &str) -> FunctionConfig {
        FunctionConfig {
            name: name.into(),
            version: "$LATEST".into(),
            package: PackageSource::Directory(self.directory.path().join(name)),
            layers: Vec::new(),
            handler: "index.handler".into(),
            runtime: Runtime::Nodejs24,
            interpreter: None,
            memory_mb: 128,
            timeout: TIMEOUT,
            tmp_mb: 512,
            network: NetworkPolicy::default(),
            variables: BTreeMap::new(),
            scaling: Scaling::default(),
            snap_start: SnapStart::default(),
            idempotent: false,
            key_value_stores: Vec::new(),
        }
    }

    async fn prepare(&self, function: &str) -> Arc<Function> {
        self.functions.prepare(&self.config(function)).await.expect("the package is usable")
    }

    /// A function of one file.
    async fn function(&self, name: &str, code: &str) -> Arc<Function> {
        self.write(name, "index.mjs", code);
        self.prepare(name).await
    }

    async fn targets(&self) -> Vec<Value> {
        let ask = Ask::get("/json/list").host(&self.address.to_string());
        let reply = viewer::ask(self.address, ask).await.expect("the inspector answers");
        serde_json::from_slice(&reply.body).expect("targets are JSON")
    }

    /// Where the one target of a function is.
    async fn socket(&self, function: &str) -> String {
        wait_for(&format!("the target of {function}"), || async {
            let found = self.targets().await.into_iter().find(|target| target["title"] == function)?;
            Some(found["webSocketDebuggerUrl"].as_str()?.to_owned())
        })
        .await
    }
}

fn invoke(function: &Arc<Function>, event: Value) -> JoinHandle<Invocation> {
    let function = Arc::clone(function);
    tokio::spawn(async move { function.invoke(Bytes::from(event.to_string())).await })
}

/// What comes within the time that a test waits.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_MAX, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn outcome(invocation: JoinHandle<Invocation>) -> Outcome {
    soon("the end of an invocation", invocation).await.expect("an invocation does not panic").outcome
}

async fn result(invocation: JoinHandle<Invocation>) -> Value {
    match outcome(invocation).await {
        Outcome::Result(bytes) => serde_json::from_slice(&bytes).expect("results are JSON"),
        other => panic!("{other:?}"),
    }
}

/// Long enough that an idle machine never meets it.
async fn longer_than_the_timeout() {
    tokio::time::sleep(TIMEOUT + Duration::from_millis(500)).await;
}

const TIMEOUT: Duration = Duration::from_secs(1);

const HELLO: &str = r#"let count = 0;

export const handler = async (event) => {
  const { name } = event;
  console.log("hello", name);
  count += 1;
  return { greeting: `hello ${name}`, count };
};
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakpoint_in_the_source_on_disk_stops_the_handler_for_longer_than_its_timeout() {
    let workshop = Workshop::open().await;
    let hello = workshop.function("hello", HELLO).await;
    let url = format!("file://{}", workshop.sources("hello").join("index.mjs").display());
    let mut debugger = Debugger::enable(&workshop.socket("hello").await).await;
    let parsed = debugger.event_where("Debugger.scriptParsed", |script| script["url"] == *url).await;
    let set = debugger.call("Debugger.setBreakpointByUrl", json!({ "url": url, "lineNumber": 5 })).await;
    assert_eq!(set["locations"][0]["scriptId"], parsed["scriptId"]);

    let invocation = invoke(&hello, json!({ "name": "you" }));
    let paused = debugger.event("Debugger.paused").await;
    let frame = &paused["callFrames"][0];
    assert_eq!(frame["functionName"], "handler");
    let location = &frame["location"];
    assert_eq!((&location["scriptId"], &location["lineNumber"]), (&parsed["scriptId"], &json!(5)));
    assert_eq!(paused["hitBreakpoints"], json!([set["breakpointId"]]));
    let said = debugger.event("Runtime.consoleAPICalled").await;
    assert_eq!((&said["type"], &said["args"][1]["value"]), (&json!("log"), &json!("you")));
    assert_eq!(said["stackTrace"]["callFrames"][0]["url"], url);
    let ask = |expression| json!({ "callFrameId": frame["callFrameId"], "expression": expression });
    let name = debugger.call("Debugger.evaluateOnCallFrame", ask("name")).await;
    assert_eq!(name["result"]["value"], "you");

    longer_than_the_timeout().await;
    debugger.call("Debugger.stepOver", json!({})).await;
    let paused = debugger.event("Debugger.paused").await;
    assert_eq!(paused["callFrames"][0]["location"]["lineNumber"], 6);
    let count = json!({ "callFrameId": paused["callFrames"][0]["callFrameId"], "expression": "count = 41 + count" });
    debugger.call("Debugger.evaluateOnCallFrame", count).await;
    debugger.call("Debugger.resume", json!({})).await;
    assert_eq!(result(invocation).await, json!({ "greeting": "hello you", "count": 42 }));
    // It is the same environment, and what was said is in the log as ever.
    debugger.call("Debugger.removeBreakpoint", json!({ "breakpointId": set["breakpointId"] })).await;
    assert_eq!(result(invoke(&hello, json!({ "name": "me" }))).await["count"], 43);
    workshop.functions.stop().await;
    let log = std::fs::read_to_string(workshop.directory.path().join("data/logs/hello.log")).unwrap();
    assert!(log.contains("\tINFO\thello you") && log.contains("\tINFO\thello me"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detaching_lets_a_stopped_handler_go_on_and_the_next_one_has_its_limits_again() {
    let workshop = Workshop::open().await;
    let code = "export const handler = async (event) => {\n  if (event.wait) await new Promise((done) => \
                setTimeout(done, 60_000));\n  debugger;\n  return 'done';\n};\n";
    let function = workshop.function("f", code).await;
    let socket = workshop.socket("f").await;
    let mut debugger = Debugger::enable(&socket).await;
    let invocation = invoke(&function, json!({}));
    assert_eq!(debugger.event("Debugger.paused").await["reason"], "other");
    longer_than_the_timeout().await;
    drop(debugger);
    assert_eq!(result(invocation).await, "done");

    let timed_out = outcome(invoke(&function, json!({ "wait": true }))).await;
    assert!(matches!(timed_out, Outcome::TimedOut { timeout_ms: 1_000 }), "{timed_out:?}");
    // What ended is another target's now.
    wait_for("another target", || async {
        let targets = workshop.targets().await;
        (targets.len() == 1 && targets[0]["webSocketDebuggerUrl"] != *socket).then_some(())
    })
    .await;
    assert_eq!(result(invoke(&function, json!({}))).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_waits_or_spins_can_be_looked_at() {
    let workshop = Workshop::open().await;
    let code = r#"export const handler = async (event) => {
  if (event.spin) {
    while (!globalThis.enough);
  } else {
    const ticks = setInterval(() => {}, 100);
    await new Promise((done) => { globalThis.release = done; });
    clearInterval(ticks);
  }
  return event;
};
"#;
    let function = workshop.function("f", code).await;
    let mut debugger = Debugger::enable(&workshop.socket("f").await).await;
    let spins = invoke(&function, json!({ "spin": true }));
    longer_than_the_timeout().await;
    debugger.call("Debugger.pause", json!({})).await;
    let paused = debugger.event("Debugger.paused").await;
    assert_eq!(paused["callFrames"][0]["functionName"], "handler");
    debugger.call("Runtime.evaluate", json!({ "expression": "globalThis.enough = true" })).await;
    debugger.call("Debugger.resume", json!({})).await;
    assert_eq!(result(spins).await, json!({ "spin": true }));

    let waits = invoke(&function, json!({}));
    longer_than_the_timeout().await;
    debugger.call("Runtime.evaluate", json!({ "expression": "release()" })).await;
    assert_eq!(result(waits).await, json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commonjs_is_debugged_from_its_first_line_and_its_stacks_follow_source_maps() {
    let workshop = Workshop::open().await;
    let module = "exports.handler = async (event) => { throw new Error(event); };\n//# sourceMappingURL=index.js.map\n";
    workshop.write("f", "index.js", module);
    let map = r#"{"version":3,"sources":["index.ts"],"names":[],"mappings":"AAwCA"}"#;
    workshop.write("f", "index.js.map", map);
    workshop.write("f", "index.ts", "");
    let function = workshop.prepare("f").await;
    let url = format!("file://{}", workshop.sources("f").join("index.js").display());
    let mut debugger = Debugger::enable(&workshop.socket("f").await).await;
    let parsed = debugger.event_where("Debugger.scriptParsed", |script| script["url"] == *url).await;
    assert_eq!(parsed["sourceMapURL"], "index.js.map");
    let at = json!({ "url": url, "lineNumber": 0, "columnNumber": module.find("throw").unwrap() });
    debugger.call("Debugger.setBreakpointByUrl", at.clone()).await;
    let invocation = invoke(&function, json!("no"));
    let location = &debugger.event("Debugger.paused").await["callFrames"][0]["location"];
    assert_eq!((&location["lineNumber"], &location["columnNumber"]), (&at["lineNumber"], &at["columnNumber"]));
    debugger.call("Debugger.resume", json!({})).await;
    match outcome(invocation).await {
        Outcome::Threw(error) => assert!(error.trace[1].contains("index.ts:41:"), "{:?}", error.trace),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_is_another_target_and_the_session_of_the_one_before_ends_as_with_node() {
    let workshop = Workshop::open().await;
    let before = workshop.function("f", "export const handler = async () => 1;\n").await;
    let socket = workshop.socket("f").await;
    let mut debugger = Debugger::enable(&socket).await;
    assert_eq!(result(invoke(&before, json!({}))).await, 1);
    let after = workshop.function("f", "export const handler = async () => 2;\n").await;
    drop(before);
    let (code, reason) = debugger.closed().await;
    assert_eq!((code, reason.as_str()), (1000, "the environment ended"));
    debugger.event("Runtime.executionContextDestroyed").await;
    let targets = workshop.targets().await;
    assert!(targets.len() == 1 && targets[0]["webSocketDebuggerUrl"] != *socket, "{targets:?}");
    let mut debugger = Debugger::enable(&workshop.socket("f").await).await;
    debugger.call("Debugger.pause", json!({})).await;
    let invocation = invoke(&after, json!({}));
    debugger.event("Debugger.paused").await;
    debugger.call("Debugger.resume", json!({})).await;
    assert_eq!(result(invocation).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_server_detaches_and_lets_go_on() {
    let workshop = Workshop::open().await;
    let function = workshop.function("f", "export const handler = async () => { debugger; return 1; };\n").await;
    let mut debugger = Debugger::enable(&workshop.socket("f").await).await;
    let invocation = invoke(&function, json!({}));
    debugger.event("Debugger.paused").await;
    workshop.stop.send_replace(true);
    assert_eq!(debugger.closed().await.0, 1001);
    assert_eq!(result(invocation).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_found_as_nodes_are_and_by_nobody_whom_a_page_sends() {
    let workshop = Workshop::open().await;
    let _hello = workshop.function("hello", HELLO).await;
    let _other = workshop.function("other", HELLO).await;
    let socket = workshop.socket("hello").await;
    let own = workshop.address.to_string();
    let get = async |path: &str, host: &str| {
        let reply = viewer::ask(workshop.address, Ask::get(path).host(host)).await.unwrap();
        (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
    };
    for path in ["/json", "/json/", "/json/list"] {
        let targets: Vec<Value> = serde_json::from_str(&get(path, &own).await.1).unwrap();
        let titles: Vec<&Value> = targets.iter().map(|target| &target["title"]).collect();
        assert_eq!(titles, ["hello", "other"], "{path}");
        let url = format!("file://{}", workshop.sources("hello").join("index.mjs").display());
        assert_eq!((&targets[0]["url"], &targets[0]["type"]), (&json!(url), &json!("node")));
    }
    let (status, version) = get("/json/version", "localhost:9229").await;
    let version: Value = serde_json::from_str(&version).unwrap();
    assert!(status == 200 && version["Browser"].as_str().unwrap().starts_with("node.js/v"), "{version}");
    assert_eq!(version["Protocol-Version"], "1.1");
    let id = socket.rsplit('/').next().unwrap();
    assert_eq!(get(&format!("/json/activate/{id}"), &own).await.0, 200);
    for (path, status) in [
        ("/json/activate/x", 404),
        ("/json/protocol", 404),
        ("/elsewhere", 404),
        ("/00000000-0000-4000-8000-000000000007", 404),
        ("/hello", 426),
        (&format!("/{id}"), 426),
    ] {
        assert_eq!(get(path, &own).await.0, status, "{path}");
    }
    for host in ["rebound.example.com", "rebound.example.com:9229", "127.0.0.1.example.com"] {
        for path in ["/json", "/json/version", &format!("/{id}")] {
            let (status, said) = get(path, host).await;
            assert!(status == 400 && said.contains("Host"), "{host} {path}: {status} {said}");
        }
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(socket.as_str()).unwrap();
        request.headers_mut().insert("host", host.parse().unwrap());
        match tokio_tungstenite::connect_async(request).await {
            Err(tungstenite::Error::Http(refused)) => assert_eq!(refused.status(), 400),
            other => panic!("{host} is let in: {:?}", other.map(drop)),
        }
    }
    // Nor does a page attach by itself, which knows a function's name.
    for (origin, status) in [("https://www.example.com", 403), ("http://127.0.0.1:9229", 403), ("null", 403)] {
        let ask = Ask::get("/hello").host(&own).header("origin", origin);
        assert_eq!(viewer::ask(workshop.address, ask).await.unwrap().status, status, "{origin}");
    }
    let mut by_name = Debugger::attach(&format!("ws://{own}/hello")).await;
    by_name.call("Runtime.enable", json!({})).await;
    let gone = format!("ws://{own}/00000000-0000-4000-8000-000000000007");
    match tokio_tungstenite::connect_async(gone).await {
        Err(tungstenite::Error::Http(refused)) => assert_eq!(refused.status(), 404),
        other => panic!("a target that never was: {:?}", other.map(drop)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_cannot_open_the_inspector_themselves() {
    let workshop = Workshop::open().await;
    let code = r#"import inspector from "node:inspector";
const attempts = {
  open: (port) => inspector.open(port, "127.0.0.1", false),
  connect: () => new inspector.Session().connect(),
  wait: () => inspector.waitForDebugger(),
};
export const handler = async ({ name, port }) => {
  try { attempts[name](port); return "done"; } catch (error) { return `refused: ${error.message}`; }
};
"#;
    let function = workshop.function("f", code).await;
    let port = free_port().port();
    for name in ["open", "connect", "wait"] {
        let said = result(invoke(&function, json!({ "name": name, "port": port }))).await;
        assert!(said.as_str().unwrap().starts_with("refused"), "{name}: {said}");
    }
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "a handler listens");
}

/// What `node inspect` says, up to `text`.
async fn until(node: &mut Child, text: &str) {
    let mut said = Vec::new();
    let out = node.stdout.as_mut().expect("it is piped");
    let read = async {
        while !String::from_utf8_lossy(&said).contains(text) {
            assert!(out.read_buf(&mut said).await.expect("it can be read") > 0, "it ended");
        }
    };
    let found = tokio::time::timeout(WAIT_MAX, read).await.is_ok();
    assert!(found, "no {text:?} in {}", String::from_utf8_lossy(&said));
}

async fn say(node: &mut Child, line: &str) {
    let input = node.stdin.as_mut().expect("it is piped");
    input.write_all(line.as_bytes()).await.expect("it listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_debugger_that_comes_with_node_attaches_and_stops() {
    let workshop = Workshop::open().await;
    let code = r#"export const handler = async ({ name }) => {
  let seen = false;
  while (!seen) {
    debugger;
    await new Promise((done) => setTimeout(done, 10));
  }
  return name;
};
"#;
    let function = workshop.function("f", code).await;
    workshop.socket("f").await;
    let mut node = tokio::process::Command::new("node")
        .args(["inspect", &workshop.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Node.js is installed");
    until(&mut node, "debug>").await;
    let invocation = invoke(&function, json!({ "name": "a name" }));
    until(&mut node, "index.mjs:4").await;
    say(&mut node, "exec name\n").await;
    until(&mut node, "'a name'").await;
    say(&mut node, "exec seen = true\n").await;
    until(&mut node, "true").await;
    say(&mut node, "cont\n").await;
    assert_eq!(result(invocation).await, "a name");
}

#[test]
fn serve_refuses_to_be_inspected() {
    for argument in ["--inspect", "--inspect=127.0.0.1:9229"] {
        let ended = Command::new(program("selvedge")).args(["serve", argument]).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(1) && said.contains("selvedge dev --inspect"), "{argument}: {said}");
    }
}

const REWRITE: &str = "interface Event { Records: { cf: { request: { uri: string } } }[] }

export const viewerRequest = async (event: Event) => {
  const { uri } = event.Records[0].cf.request;
  return { status: '200', body: `at ${uri}` };
};
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_stops_at_a_breakpoint_in_typescript_and_is_answered_when_it_goes_on() {
    let port = free_port().port();
    let dev = Dev::start(&[("index.ts", REWRITE)], &[&format!("--inspect={port}")]).await;
    dev.said(&format!("debuggers attach at 127.0.0.1:{port}")).await;
    let socket = format!("ws://127.0.0.1:{port}/viewer-request");
    let mut debugger = Debugger::enable(&socket).await;
    let is_it = |script: &Value| {
        script["url"].as_str().is_some_and(|url| url.starts_with("file:///") && url.ends_with("/index.ts"))
    };
    let parsed = debugger.event_where("Debugger.scriptParsed", is_it).await;
    let map = parsed["sourceMapURL"].as_str().unwrap().split_once(";base64,").unwrap().1;
    let map: Value = serde_json::from_slice(&STANDARD.decode(map).unwrap()).unwrap();
    assert_eq!((&map["sources"][0], &map["sourcesContent"][0]), (&json!("index.ts"), &json!(REWRITE)));
    // Where a debugger finds `return` with the map.
    let source = json!({ "scriptId": parsed["scriptId"] });
    let code = debugger.call("Debugger.getScriptSource", source).await["scriptSource"].as_str().unwrap().to_owned();
    let line = code.lines().position(|line| line.trim_start().starts_with("return")).unwrap();
    let at = json!({ "url": parsed["url"], "lineNumber": line });
    let set = debugger.call("Debugger.setBreakpointByUrl", at).await;

    let dev = Arc::new(dev);
    let asking = Arc::clone(&dev);
    let answer = tokio::spawn(async move { asking.get("/page").await });
    let paused = debugger.event("Debugger.paused").await;
    let frame = &paused["callFrames"][0];
    assert_eq!((&frame["functionName"], &frame["location"]["lineNumber"]), (&json!("viewerRequest"), &json!(line)));
    // Longer than a function in `dev` may take by default.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let uri = json!({ "callFrameId": frame["callFrameId"], "expression": "uri" });
    assert_eq!(debugger.call("Debugger.evaluateOnCallFrame", uri).await["result"]["value"], "/page");
    debugger.call("Debugger.resume", json!({})).await;
    let answer = soon("the answer", answer).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "at /page".to_owned()));

    // What is saved is another target, of the same name. Until then requests meet the one before.
    debugger.call("Debugger.removeBreakpoint", json!({ "breakpointId": set["breakpointId"] })).await;
    dev.save("index.ts", &REWRITE.replace("at $", "now at $"));
    soon("what was saved", dev.answers("/page", "now at /page")).await;
    assert_eq!(debugger.closed().await.0, 1000);
    let mut debugger = Debugger::enable(&socket).await;
    debugger.event_where("Debugger.scriptParsed", is_it).await;
    // Code that does not load is said, and mended.
    dev.save("index.ts", "export const viewerRequest = async () => { return ; } }");
    let page = wait_for("the page of the error", || async {
        let reply = dev.get("/").await;
        (reply.status == 503).then(|| reply.text())
    });
    let page = soon("the page of the error", page).await;
    assert!(page.contains("SyntaxError"), "{page}");
    dev.save("index.ts", REWRITE);
    soon("what was mended", dev.answers("/", "at /")).await;
}
