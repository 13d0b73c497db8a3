//! The Telemetry API and the Logs API as an extension uses them: it listens in
//! its environment, subscribes, and is sent what happens there.

use crate::extensions::{ask, extended, result};
use environment::Outcome;
use functions::{Function, Invocation};
use selvedge_tests::Stage;
use selvedge_tests::custom::RUNS;
use serde_json::{Value, json};

/// An extension that keeps what it is sent in `/tmp/events` and writes it into the log at the end. `SUBSCRIBE` stands
/// for the requests that it makes, `LISTEN` for how it listens, `TAKE` for what it does with a batch first.
const RECEIVES: &str = r#"#!/usr/bin/python3
import http.client, http.server, json, os, socket, socketserver, threading, time

host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
own = {}


def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(host, int(port))
    connection.request(method, path, body, {**own, **headers})
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read().decode()


def keep(events):
    with open("/tmp/events", "a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        TAKE
        keep([{**event, "by": [self.command, self.path]} for event in json.loads(body)])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            keep([{**json.loads(line), "by": ["line", ""]}])


def listen(kind=http.server.ThreadingHTTPServer, handler=Receiver):
    server = kind(("sandbox.localdomain", 8080), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def subscribe(path, destination, **more):
    body = {"types": ["platform", "function", "extension"], "buffering": {"timeoutMs": 25}, "destination": destination, **more}
    status, headers, answer = call("PUT", path, json.dumps(body))
    return [status, json.loads(answer)]


open("/tmp/events", "w").close()
status, headers, body = call("POST", "/2020-01-01/extension/register", '{"events": ["INVOKE", "SHUTDOWN"]}', {"Lambda-Extension-Name": "watcher"})
own["Lambda-Extension-Identifier"] = headers["Lambda-Extension-Identifier"]
http_way = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/telemetry"}
LISTEN
SUBSCRIBE
while True:
    status, headers, body = call("GET", "/2020-01-01/extension/event/next")
    event = json.loads(body)
    if event["eventType"] == "SHUTDOWN":
        break
    print("said by the extension", flush=True)
    time.sleep(0.2)
time.sleep(0.5)
for line in open("/tmp/events").readlines():
    print("EVENT", line.rstrip(), flush=True)
"#;

fn receives(listen: &str, subscribe: &str, take: &str) -> String {
    RECEIVES.replace("LISTEN", listen).replace("SUBSCRIBE", subscribe).replace("TAKE", take)
}

/// An invocation with what the extension does in it: the next one finds the same environment.
async fn whole(function: &Function, script: &str) -> Invocation {
    function.invoke_whole(json!(script).to_string().into()).await
}

/// What the extension was sent, in order.
fn events(log: &str) -> Vec<Value> {
    let texts = log.lines().filter_map(|line| line.strip_prefix("EVENT "));
    texts.map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["record"]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_is_sent_what_it_subscribes_to() {
    let stage = Stage::new().await;
    let subscribe = "subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-12-13')";
    let function = extended(&stage, RUNS, &receives("listen()", subscribe, "pass")).await;
    let first = whole(&function, "print('said by the function')\nreturn headers['Lambda-Runtime-Trace-Id']").await;
    let trace = json!({"type": "X-Amzn-Trace-Id", "value": result(&first)});
    let fails = "call('POST', f'invocation/{id}/error', '{\"errorType\": \"Own.Kind\"}')\nreturn NotImplemented";
    let second = whole(&function, fails).await;
    assert!(matches!(second.outcome, Outcome::Threw(_)), "{:?}", second.outcome);
    let ids = [first.id.to_string(), second.id.to_string()];
    let log = stage.log().await;
    let events = events(&log);
    assert!(events.iter().all(|event| event["by"] == json!(["POST", "/telemetry"])), "{log}");
    let times: Vec<&str> = events.iter().filter_map(|event| event["time"].as_str()).collect();
    assert!(
        times.len() == events.len() && times.is_sorted() && times[0].len() == "2022-10-12T00:00:15.064Z".len(),
        "{log}"
    );
    let platform: Vec<&str> =
        events.iter().filter_map(|event| event["type"].as_str()?.strip_prefix("platform.")).collect();
    let expected = [
        "initStart",
        "telemetrySubscription",
        "initRuntimeDone",
        "extension",
        "initReport",
        "start",
        "runtimeDone",
        "report",
        "start",
        "runtimeDone",
        "report",
    ];
    assert_eq!(platform, expected, "{log}");
    let start = json!({
        "initializationType": "on-demand", "phase": "init", "functionName": "f", "functionVersion": "1",
        "instanceMaxMemory": 128 << 20,
    });
    assert_eq!(of(&events, "platform.initStart"), [&start]);
    let done = json!({"initializationType": "on-demand", "phase": "init", "status": "success"});
    assert_eq!(of(&events, "platform.initRuntimeDone"), [&done]);
    assert!(of(&events, "platform.initReport")[0]["metrics"]["durationMs"].as_f64() > Some(1.0), "{log}");
    let types = ["platform", "function", "extension"];
    let subscribed = json!({"name": "watcher", "state": "Subscribed", "types": types});
    assert_eq!(of(&events, "platform.telemetrySubscription"), [&subscribed]);
    let ready = json!({"name": "watcher", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]});
    assert_eq!(of(&events, "platform.extension"), [&ready]);
    assert_eq!(of(&events, "platform.start")[0], &json!({"requestId": ids[0], "version": "1", "tracing": trace}));
    let done = of(&events, "platform.runtimeDone");
    assert_eq!(
        (&done[0]["requestId"], &done[0]["status"], &done[0]["tracing"]),
        (&json!(ids[0]), &json!("success"), &trace)
    );
    assert_eq!(done[0]["metrics"]["producedBytes"], result(&first).to_string().len());
    let spans: Vec<&Value> = done[0]["spans"].as_array().expect("spans").iter().map(|span| &span["name"]).collect();
    assert_eq!(spans, ["responseLatency", "responseDuration", "runtimeOverhead"]);
    assert_eq!((&done[1]["status"], &done[1]["errorType"]), (&json!("error"), &json!("Own.Kind")));
    let reports = of(&events, "platform.report");
    let metrics = &reports[0]["metrics"];
    assert_eq!((&reports[0]["requestId"], &metrics["memorySizeMB"]), (&json!(ids[0]), &json!(128)));
    // The extension's 0.2 s are part of it.
    assert!(metrics["durationMs"].as_f64() >= Some(200.0) && metrics["initDurationMs"].is_f64(), "{metrics}");
    assert!(metrics["billedDurationMs"].is_u64() && metrics["maxMemoryUsedMB"].is_u64(), "{metrics}");
    let report = log.lines().find_map(|line| line.strip_prefix(&format!("REPORT RequestId: {}\tDuration: ", ids[0])));
    let logged = report.and_then(|rest| rest.split(' ').next()).and_then(|ms| ms.parse::<f64>().ok());
    let logged = logged.expect("its REPORT");
    assert!((metrics["durationMs"].as_f64().unwrap_or_default() - logged).abs() < 0.02, "{metrics}, {logged}");
    assert_eq!((&reports[1]["status"], reports[1]["metrics"].get("initDurationMs")), (&json!("error"), None));
    assert_eq!(of(&events, "function"), ["said by the function"]);
    assert_eq!(of(&events, "extension")[..2], ["said by the extension"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_api_sends_what_it_did_by_http_or_as_lines() {
    for (listen, way, version, by, kinds) in [
        (
            "listen()",
            "{**http_way, 'method': 'PUT'}",
            "2020-08-15",
            json!(["PUT", "/telemetry"]),
            &["logsSubscription", "extension", "start", "end", "report"][..],
        ),
        (
            "listen(socketserver.ThreadingTCPServer, Lines)",
            "{'protocol': 'TCP', 'port': 8080}",
            "2021-03-18",
            json!(["line", ""]),
            &["logsSubscription", "extension", "start", "runtimeDone", "end", "report"][..],
        ),
    ] {
        let stage = Stage::new().await;
        let subscribe = format!("subscribe('/2020-08-15/logs', {way}, schemaVersion='{version}')");
        let function = extended(&stage, RUNS, &receives(listen, &subscribe, "pass")).await;
        let invocation = ask(&function, "print('said by the function')\nreturn 1").await;
        assert_eq!(result(&invocation), 1);
        let log = stage.log().await;
        let events = events(&log);
        assert!(!events.is_empty() && events.iter().all(|event| event["by"] == by), "{log}");
        let platform: Vec<&str> =
            events.iter().filter_map(|event| event["type"].as_str()?.strip_prefix("platform.")).collect();
        assert_eq!(platform, kinds, "{log}");
        assert_eq!(of(&events, "platform.end"), [&json!({"requestId": invocation.id.to_string()})]);
        assert_eq!(of(&events, "function"), ["said by the function"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_and_a_crash_are_told_as_such() {
    for (script, status) in [("time.sleep(60)", "timeout"), ("os._exit(3)", "failure")] {
        let stage = Stage::new().await;
        let subscribe = "subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-07-01')";
        let function = extended(&stage, RUNS, &receives("listen()", subscribe, "pass")).await;
        let invocation = ask(&function, script).await;
        let log = stage.log().await;
        let events = events(&log);
        let done = of(&events, "platform.runtimeDone");
        assert_eq!(done.len(), 1, "{log}");
        assert_eq!(
            (&done[0]["requestId"], &done[0]["status"]),
            (&json!(invocation.id.to_string()), &json!(status)),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_sent_again_or_counted() {
    let stage = Stage::new().await;
    // Nobody listens at first, and the first batch that is not small is refused, slowly.
    let subscribe = "subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-12-13', types=['function', 'platform'])\ntime.sleep(0.3)\nlisten()";
    let take = "
        if len(body) > 100000 and not os.path.exists('/tmp/refused'):
            open('/tmp/refused', 'w').close()
            time.sleep(1)
            self.send_response(500)
            self.send_header('Content-Length', '0')
            return self.end_headers()";
    let function = extended(&stage, RUNS, &receives("pass", subscribe, take)).await;
    let floods = "for number in range(1000): print(f'{number:04}', 'x' * 1000)\ntime.sleep(0.2)\nreturn 1";
    assert_eq!(result(&whole(&function, floods).await), 1);
    let waits = "until = time.time() + 1.7
while time.time() < until and 'logsDropped' not in open('/tmp/events').read():
    time.sleep(0.05)
return os.path.exists('/tmp/refused')";
    assert_eq!(result(&whole(&function, waits).await), true);
    let log = stage.log().await;
    let events = events(&log);
    assert_eq!(of(&events, "platform.initStart").len(), 1, "sent again until it was taken, and once: {log}");
    let lines: Vec<&str> = of(&events, "function").iter().filter_map(|line| line.as_str()).collect();
    assert!(lines.is_sorted() && lines[0].starts_with("0000 ") && lines.len() < 1000, "{} lines", lines.len());
    let dropped = of(&events, "platform.logsDropped");
    let records: u64 = dropped.iter().filter_map(|dropped| dropped["droppedRecords"].as_u64()).sum();
    let bytes: u64 = dropped.iter().filter_map(|dropped| dropped["droppedBytes"].as_u64()).sum();
    assert!(records + lines.len() as u64 >= 1000 && bytes > records * 1000, "{} lines, {dropped:?}", lines.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_subscribed_to_is_refused_by_name() {
    let stage = Stage::new().await;
    let subscribe = "
answers = [
    subscribe('/2022-07-01/telemetry', http_way),
    subscribe('/2022-07-01/telemetry', {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain'}, schemaVersion='2022-12-13', types=[]),
    subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-12-13', buffering={'maxItems': 1}),
    subscribe('/2020-08-15/logs', http_way, schemaVersion='2022-12-13'),
    [call('PUT', '/2022-07-01/telemetry', '{}', {'Lambda-Extension-Identifier': 'x'})[0], 0],
    [call('GET', '/2022-07-01/telemetry')[0], 0],
    subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-07-01'),
    subscribe('/2022-07-01/telemetry', http_way, schemaVersion='2022-07-01'),
    subscribe('/2020-08-15/logs', http_way),
]
print('ANSWERS', json.dumps(answers), flush=True)
def late():
    while not os.path.exists('/tmp/late'):
        time.sleep(0.02)
    versions = [('/2022-07-01/telemetry', '2022-07-01'), ('/2020-08-15/logs', '2020-08-15')]
    print('LATE', json.dumps([subscribe(path, http_way, schemaVersion=version) for path, version in versions]), flush=True)
threading.Thread(target=late, daemon=True).start()";
    let function = extended(&stage, RUNS, &receives("listen()", subscribe, "pass")).await;
    let _ = whole(&function, "open('/tmp/late', 'w').close()\ntime.sleep(1)\nreturn 1").await;
    let log = stage.log().await;
    let said = |word: &str| -> Value {
        let line = log.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{word}: {log}"));
        serde_json::from_str(line).expect("JSON")
    };
    let error = |kind: &str, message: &str| json!({"errorType": kind, "errorMessage": message});
    let expected = json!([
        [400, error("ValidationError", "schemaVersion is null, it must be 2022-07-01, 2022-12-13 or 2025-01-29")],
        [400, error("ValidationError", "types should not be empty; URI port is not provided")],
        [400, error("ValidationError", "buffering.maxItems is 1, it must be 1000 to 10000")],
        [400, error("Logs.ValidationError", "schemaVersion is \"2022-12-13\", it must be 2020-08-15 or 2021-03-18")],
        [403, 0],
        [405, 0],
        [200, "OK"],
        [200, "OK"],
        [403, error("Logs.AlreadySubscribed", "this extension has subscribed with the other API")],
    ]);
    assert_eq!(said("ANSWERS"), expected);
    let closed = |name: &str| {
        json!([403, error(&format!("{name}.SubscriptionClosed"), &format!("{name} API subscription is closed"))])
    };
    assert_eq!(said("LATE"), json!([closed("Telemetry"), closed("Logs")]));
}
