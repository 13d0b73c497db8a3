//! `kill -9` of each process below the edge: one invocation at most is lost.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use selvedge_tests::{Edge, Origin, site, wait_for};
use std::fs;

const SLEEPS: &str = "export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  if (request.uri === '/slow') {
    console.log('sleeping');
    await new Promise((resolve) => setTimeout(resolve, 20000));
  }
  return { status: '200', body: 'alive' };
};";

async fn edge(origin: &Origin) -> Edge {
    Edge::builder()
        .function_with("f", SLEEPS, "timeout = \"30s\"")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await
}

/// Children of a process, now.
fn children(parent: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, after_name)) = stat.rsplit_once(')') else { continue };
        let mut fields = after_name.split_whitespace();
        let (state, ppid) = (fields.next(), fields.next());
        if state != Some("Z") && ppid == Some(parent.to_string().as_str()) {
            let pid = entry.file_name().to_string_lossy().parse().expect("stat is below a pid");
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

/// Every process below the edge, level by level: zygote, templates, environments.
fn levels(edge: &Edge) -> Vec<Vec<Pid>> {
    let mut levels = vec![children(edge.pid())];
    while let Some(last) = levels.last().filter(|level| !level.is_empty()) {
        let next = last.iter().flat_map(|pid| children(*pid)).collect();
        levels.push(next);
    }
    levels.pop();
    levels
}

async fn alive_again(edge: &Edge) {
    wait_for("an answer after the kill", || async {
        let reply = edge.get("/alive").await;
        assert!([200, 503].contains(&reply.status), "{}", reply.status);
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_environment_costs_the_invocation_it_ran() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let slow = edge.get("/slow");
    let killer = async {
        edge.logged("f", "sleeping").await;
        let levels = levels(&edge);
        for pid in levels.last().expect("an environment runs") {
            kill(*pid, Signal::SIGKILL).expect("the environment runs");
        }
    };
    let (reply, ()) = tokio::join!(slow, killer);
    assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"));
    assert_eq!(edge.stages("/slow", 0).await, ["viewer-request:crashed"]);
    assert_eq!(edge.get("/alive").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_template_is_replaced() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    assert_eq!(edge.get("/alive").await.status, 200);
    let levels = levels(&edge);
    assert!(levels.len() >= 2, "expected a zygote and a template: {levels:?}");
    for pid in &levels[1] {
        kill(*pid, Signal::SIGKILL).expect("the template runs");
    }
    alive_again(&edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_zygote_is_replaced() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    assert_eq!(edge.get("/alive").await.status, 200);
    for pid in &levels(&edge)[0] {
        kill(*pid, Signal::SIGKILL).expect("the zygote runs");
    }
    alive_again(&edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_leaves_no_process_behind() {
    let origin = Origin::start().await;
    let mut edge = edge(&origin).await;
    assert_eq!(edge.get("/alive").await.status, 200);
    let below: Vec<Pid> = levels(&edge).concat();
    assert!(!below.is_empty());
    edge.signal(Signal::SIGKILL);
    edge.ended().await;
    wait_for("the end of every process below the edge", || async { below.iter().all(|pid| gone(*pid)).then_some(()) })
        .await;
}

fn gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_edge_with_success() {
    let origin = Origin::start().await;
    let mut edge = edge(&origin).await;
    assert_eq!(edge.get("/alive").await.status, 200);
    edge.signal(Signal::SIGTERM);
    assert_eq!(edge.ended().await, Some(0));
}
