//! Where the processes of an environment run that has several: a custom runtime's programs, what they start, and an
//! extension.

use crate::extensions::{ask, extended, result};
use functions::{Function, FunctionConfig};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use selvedge_tests::custom::RUNS;
use selvedge_tests::{Stage, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// Reads where each thread of the environment may run, by the names of its processes.
const PLACES: &str = "
def places():
    found = []
    for process in filter(str.isdigit, os.listdir('/proc')):
        if os.getpgid(int(process)) == os.getpgrp():
            name = open(f'/proc/{process}/comm').read().strip()
            threads = map(int, os.listdir(f'/proc/{process}/task'))
            found += [[name, sorted(os.sched_getaffinity(thread))] for thread in threads]
    return found
";

/// An extension that waits for the end.
const WAITS: &str = r#"#!/usr/bin/python3
import http.client, os

connection = http.client.HTTPConnection(*os.environ["AWS_LAMBDA_RUNTIME_API"].split(":"))
path = "/2020-01-01/extension/"
connection.request("POST", path + "register", '{"events": ["SHUTDOWN"]}', {"Lambda-Extension-Name": "watcher"})
reply = connection.getresponse()
own = {"Lambda-Extension-Identifier": reply.headers["Lambda-Extension-Identifier"]}
reply.read()
connection.request("GET", path + "event/next", headers=own)
connection.getresponse().read()
"#;

/// Leaves a thread and a process behind, and what that has started.
const GROWS: &str = "
import threading
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
subprocess.Popen(['sh', '-c', 'sleep 600; true'])
return None";

/// For a moment, or until all may run on `COUNT` processors.
const WAITS_LONGER: &str = "
end = time.monotonic() + 0.25
while time.monotonic() < end and any(len(processors) < COUNT for _, processors in places()):
    time.sleep(0.005)
return places()";

/// Answers and goes on.
const LINGERS: &str = "call('POST', f'invocation/{id}/response', '1')\ntime.sleep(60)\nreturn NotImplemented";

#[tokio::test]
async fn a_household_runs_where_it_is_waited_for_alone_and_anywhere_beside_another() {
    let usual = sched_getaffinity(Pid::from_raw(0)).expect("a thread knows its processors");
    let processors: Vec<usize> = (0..CpuSet::count()).filter(|cpu| usual.is_set(*cpu).unwrap_or(false)).collect();
    let [first, .., last] = processors[..] else { return };
    let stage = Stage::new().await;
    let function = extended(&stage, RUNS, WAITS).await;
    assert_eq!(result(&ask(&function, GROWS).await), Value::Null);

    // An invocation is let go at the first look, with all that has begun since they were last looked for.
    let longer = WAITS_LONGER.replace("COUNT", &processors.len().to_string());
    wait_for("all to be let go", || async { all_are_on(&processors, &places(&function, &longer).await) }).await;
    for cpu in [first, last] {
        let mut only = CpuSet::new();
        only.set(cpu).expect("it is one of them");
        sched_setaffinity(Pid::from_raw(0), &only).expect("a thread may choose among its processors");
        // Only on a busy machine the first look is before the answer.
        let alone = || async { all_are_on(&[cpu], &places(&function, "return places()").await) };
        wait_for("all to be kept where they are waited for", alone).await;
    }
    sched_setaffinity(Pid::from_raw(0), &usual).expect("a thread may choose among its processors");

    let timeout = Duration::from_secs(60);
    let config = FunctionConfig { name: "other".to_owned(), timeout, ..stage.program(RUNS) };
    let other = stage.prepare(&config).await;
    assert_eq!(result(&ask(&other, LINGERS).await), 1);
    let beside = places(&function, "return places()").await;
    assert!(all_are_on(&processors, &beside).is_some(), "{beside}");
}

async fn places(function: &Function, script: &str) -> Value {
    result(&ask(function, &format!("{PLACES}{script}")).await)
}

/// Whether everybody is there, and may run on these processors only and on each of them.
fn all_are_on(processors: &[usize], places: &Value) -> Option<()> {
    let places = places.as_array()?;
    let count = |name: &str| places.iter().filter(|place| place[0] == name).count();
    let is_whole = count("bootstrap") == 2 && [count("watcher"), count("sh"), count("sleep")] == [1, 1, 1];
    (is_whole && places.iter().all(|place| place[1] == json!(processors))).then_some(())
}
