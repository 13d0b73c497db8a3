//! Extensions from layers: what they are told of invocations and of the end, and
//! what their failures cost.

use environment::Outcome;
use functions::{Function, FunctionConfig, Invocation, PackageSource};
use selvedge_tests::custom::{RUNS, put_bootstrap};
use selvedge_tests::{Stage, program};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A function of a custom runtime with a layer that has one extension.
pub(crate) async fn extended(stage: &Stage, bootstrap: &str, extension: &str) -> Arc<Function> {
    let layer = stage.directory.path().join("layer");
    put_bootstrap(&layer.join("extensions"), extension.as_bytes());
    let file = layer.join("extensions/bootstrap");
    std::fs::rename(file, layer.join("extensions/watcher")).expect("the extension can be renamed");
    let layers = vec![PackageSource::Directory(layer)];
    let (timeout, variables) = (Duration::from_secs(2), [].into());
    stage.prepare(&FunctionConfig { layers, timeout, variables, ..stage.program(bootstrap) }).await
}

pub(crate) async fn ask(function: &Function, event: &str) -> Invocation {
    function.invoke(json!(event).to_string().into()).await
}

pub(crate) fn result(invocation: &Invocation) -> Value {
    match &invocation.outcome {
        Outcome::Result(bytes) => serde_json::from_slice(bytes).expect("results are JSON"),
        other => panic!("{other:?}"),
    }
}

/// An extension that writes what it is told into the log; `TOLD` and `HEARD` stand for what it does then.
const WATCHES: &str = r#"#!/usr/bin/python3
import http.client, json, os, sys, time

host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = http.client.HTTPConnection(host, int(port))


def call(method, path, body=None, headers={}):
    connection.request(method, "/2020-01-01/extension/" + path, body, headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read().decode()


status, headers, body = call("POST", "register", '{"events": ["INVOKE", "SHUTDOWN"]}', {"Lambda-Extension-Name": "watcher"})
print("registered", status, body, flush=True)
own = {"Lambda-Extension-Identifier": headers["Lambda-Extension-Identifier"]}
while True:
    status, headers, body = call("GET", "event/next", headers=own)
    event = json.loads(body)
    print("told", status, body, "Lambda-Extension-Event-Identifier" in headers, flush=True)
    TOLD
    if event["eventType"] == "SHUTDOWN":
        break
"#;

fn watches(told: &str) -> String {
    WATCHES.replace("TOLD", told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_is_told_of_invocations_and_of_the_end() {
    let stage = Stage::new().await;
    let function = extended(&stage, RUNS, &watches("pass")).await;
    let invocation = ask(&function, "print('in the handler')\nreturn headers['Lambda-Runtime-Trace-Id']").await;
    let trace = result(&invocation);
    let id = invocation.id;
    let log = stage.log().await;
    let about = r#"registered 200 {"functionName":"f","functionVersion":"1","handler":"any.thing"}"#;
    assert!(log.contains(about), "{log}");
    let told = log.lines().find(|line| line.starts_with("told 200 {\"eventType\":\"INVOKE\"")).expect("told of it");
    assert!(told.ends_with("} True"), "{told}");
    let told: Value = serde_json::from_str(&told["told 200 ".len()..told.len() - " True".len()]).expect("JSON");
    assert_eq!((&told["requestId"], &told["tracing"]["value"]), (&json!(id.to_string()), &trace));
    assert_eq!(told["invokedFunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:1");
    assert!(told["deadlineMs"].is_u64(), "{told}");
    let (before, after) = log.split_once(&format!("END RequestId: {id}")).expect("its END");
    assert!(before.contains("in the handler"), "{log}");
    assert!(after.contains(r#""eventType":"SHUTDOWN","shutdownReason":"spindown""#), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_is_told_why_its_environment_ends() {
    for (script, outcome, reason) in [("time.sleep(60)", "timed-out", "timeout"), ("os._exit(3)", "crashed", "failure")]
    {
        let stage = Stage::new().await;
        let function = extended(&stage, RUNS, &watches("pass")).await;
        let began = Instant::now();
        assert_eq!(ask(&function, script).await.outcome.label(), outcome);
        assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for extensions");
        let next = ask(&function, "return 1").await;
        assert!(next.init.is_some() && result(&next) == 1, "another environment");
        let log = stage.log().await;
        assert!(log.contains(&format!("\"SHUTDOWN\",\"shutdownReason\":\"{reason}\"")), "{reason}: {log}");
        assert!(log.contains(r#""SHUTDOWN","shutdownReason":"spindown""#), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_is_over_when_its_extensions_have_done() {
    let stage = Stage::new().await;
    let function = extended(&stage, RUNS, &watches("time.sleep(1)")).await;
    let began = Instant::now();
    let invocation = ask(&function, "return 1").await;
    let took = began.elapsed() - invocation.init.expect("a new environment");
    assert!(result(&invocation) == 1 && took < Duration::from_millis(900), "the answer does not wait: {took:?}");
    // Until then its environment is not free.
    let next = ask(&function, "return 2").await;
    assert!(result(&next) == 2 && next.init.is_some(), "{next:?}");
    let whole = function.invoke_whole(json!("return 3").to_string().into()).await;
    assert!(result(&whole) == 3 && whole.duration >= Duration::from_secs(1), "{whole:?}");
    let again = ask(&function, "return 4").await;
    assert!(again.init.is_none(), "it is free again");
    let log = stage.log().await;
    let report = log.lines().find(|line| line.starts_with(&format!("REPORT RequestId: {}", invocation.id)));
    let report = report.expect("the end of the PoP waits for it");
    let duration = report.split_once("Duration: ").and_then(|(_, rest)| rest.split(' ').next());
    assert!(duration.and_then(|ms| ms.parse().ok()) >= Some(1000.0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extensions_have_what_the_invocation_s_timeout_leaves() {
    let hangs = Stage::new().await;
    let function = extended(&hangs, RUNS, &watches("time.sleep(60)")).await;
    let answered = ask(&function, "return 1").await;
    assert_eq!(result(&answered), 1);
    let whole = function.invoke_whole(json!("return 1").to_string().into()).await;
    assert!(result(&whole) == 1 && whole.duration >= Duration::from_secs(2), "{whole:?}");
    // One that does not end is ended.
    let began = Instant::now();
    let log = hangs.log().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(log.contains(&format!("{} Task timed out after 2.00 seconds", answered.id)), "{log}");
    let report = log.lines().find(|line| line.starts_with(&format!("REPORT RequestId: {}", answered.id)));
    assert!(report.is_some_and(|report| report.ends_with("Status: timeout")), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_fails_fails_the_environment() {
    for (extension, kind, message) in [
        ("#!/bin/sh\nexit 4\n".to_owned(), "Extension.Crash", "extension watcher ended: exit status 4"),
        ("#!/no/such\n".to_owned(), "Extension.LaunchError", "fork/exec /opt/extensions/watcher: "),
        (
            WATCHES.replace("while True:", "call('POST', 'init/error', '{\"errorMessage\": \"no key\"}', {**own, 'Lambda-Extension-Function-Error-Type': 'Own.Init'})\nwhile True:"),
            "Own.Init",
            "no key",
        ),
    ] {
        let stage = Stage::new().await;
        let function = extended(&stage, RUNS, &extension).await;
        let Outcome::InitFailed(error) = ask(&function, "return 1").await.outcome else { panic!("{kind}") };
        assert_eq!(error.error_type, kind, "{error:?}");
        assert!(error.error_message.starts_with(message), "{error:?}");
    }
    let stage = Stage::new().await;
    let later = "call('POST', 'exit/error', '{\"errorMessage\": \"no more\"}', {**own, 'Lambda-Extension-Function-Error-Type': 'Own.Exit'})";
    let function = extended(&stage, RUNS, &watches(later)).await;
    let outcome = ask(&function, "time.sleep(1)\nreturn 1").await.outcome;
    assert!(matches!(outcome, Outcome::Crashed { .. }), "{outcome:?}");
    assert!(stage.log().await.contains("extension watcher: Own.Exit: no more"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_extensions_api_refuses_it_names() {
    let stage = Stage::new().await;
    // The runtime registers an extension of its own before it asks for events.
    let probes = "
def extension(method, path, body=None, headers={}):
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    return [reply.status, json.loads(reply.read() or b'{}').get('errorType')]


register = '/2020-01-01/extension/register'
named = lambda name: {'Lambda-Extension-Name': name}
before = [
    extension('POST', register, '{}'),
    extension('POST', register, '{\"events\": [\"SHUTDOWN\"]}', named('own')),
    extension('POST', register, '{\"events\": [\"START\"]}', named('own')),
    extension('POST', register, 'no', named('own')),
    extension('POST', register, '{\"events\": []}', named('watcher')),
    extension('GET', '/2020-01-01/extension/event/next'),
    extension('GET', '/2020-01-01/extension/event/next', None, {'Lambda-Extension-Identifier': 'x'}),
    extension('GET', '/2020-01-01/extension/event/next', None, {'Lambda-Extension-Identifier': '3fb1a7f4-0000-4000-8000-000000000000'}),
]

if __name__ == \"__main__\":
";
    let bootstrap = RUNS.replace("\nif __name__ == \"__main__\":\n", probes);
    let function = extended(&stage, &bootstrap, &watches("pass")).await;
    let answer = result(&ask(&function, "return before + [extension('POST', register, '{}', named('late'))]").await);
    let expected = json!([
        [403, "Extension.InvalidExtensionName"],
        [403, "ShutdownEventNotSupportedForInternalExtension"],
        [403, "Extension.InvalidEventType"],
        [400, "InvalidRequestFormat"],
        [403, "Extension.AlreadyRegistered"],
        [403, "Extension.MissingExtensionIdentifier"],
        [403, "Extension.InvalidExtensionIdentifier"],
        [403, "Extension.UnknownExtensionIdentifier"],
        [403, "Extension.RegistrationClosed"],
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn functions_without_processes_have_no_extensions() {
    let root = tempfile::tempdir().expect("temporary files can be made");
    std::fs::create_dir(root.path().join("code")).expect("writable");
    std::fs::write(root.path().join("code/index.mjs"), "").expect("writable");
    put_bootstrap(&root.path().join("layer/extensions"), b"#!/bin/sh\n");
    let config = "[functions.f]\ncode = \"code\"\nlayers = [\"layer\"]\n";
    std::fs::write(root.path().join("selvedge.toml"), config).expect("writable");
    let file = root.path().join("selvedge.toml");
    let output = Command::new(program("selvedge")).arg("check").arg("--config").arg(file).output();
    let output = output.expect("selvedge starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("extensions are processes, which only functions of"), "{said}");
}
