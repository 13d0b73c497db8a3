//! Control groups as an operator delegates them: what the kernel is told of an
//! environment that spins, what it does, and what stays. Where none is
//! delegated the edge says so, which is all there is to see then.

use nix::sys::signal::{Signal, kill};
use selvedge_tests::processes::{Kind, below};
use selvedge_tests::{Edge, program, site, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SPINS: &str = "export const handler = async (event) => {
  const end = Date.now() + Number(event.Records[0].cf.request.uri.slice(1));
  while (Date.now() < end);
  return { status: '200', body: 'spun' };
};";

/// 128 MB of 1,769, and what an environment may use besides.
const SHARE: f64 = 128.0 / 1_769.0;
const BURST: f64 = 0.1;

async fn edge() -> Edge {
    Edge::builder()
        .function_with("f", SPINS, "memory_mb = 128\ntimeout = \"20s\"")
        .config(&site("http://192.0.2.1", "hooks.viewer-request = \"f\""))
        .start()
        .await
}

/// The group that was delegated to the edge, if one was.
async fn delegated(edge: &Edge) -> Option<PathBuf> {
    edge.said("cpu: an environment gets memory_mb / 1769 of a core").await;
    let terminal = edge.terminal();
    let line = terminal.lines().find(|line| line.contains("memory_mb / 1769"))?;
    let Some((_, rest)) = line.split_once("by a control group in ") else {
        assert!(line.contains("by being stopped ("), "{line}");
        return None;
    };
    Some(rest.split_whitespace().next()?.into())
}

fn environments(delegated: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(delegated).expect("the group is there").flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"environment-")))
        .collect()
}

fn read(group: &Path, file: &str) -> String {
    fs::read_to_string(group.join(file)).unwrap_or_else(|error| panic!("{}/{file}: {error}", group.display()))
}

fn statistic(group: &Path, name: &str) -> u64 {
    let text = read(group, "cpu.stat");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim().parse().expect("it is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spinning_environment_is_held_by_a_control_group_and_leaves_none() {
    let edge = edge().await;
    let Some(delegated) = delegated(&edge).await else { return };
    let pop = delegated.join("selvedge.pop");
    assert!(read(&pop, "cgroup.procs").lines().any(|pid| pid == edge.pid().to_string()), "the edge is in {pop:?}");
    assert_eq!(read(&pop, "cpu.weight").trim(), "1000");
    let spins = edge.get("/6000");
    let watches = async {
        let group = wait_for("a group that is held", || async {
            environments(&delegated).pop().filter(|group| read(group, "cpu.max").trim() == "7235 100000")
        })
        .await;
        assert_eq!(read(&group, "cpu.weight").trim(), "7");
        let (began, before) = (Instant::now(), statistic(&group, "usage_usec"));
        let throttled = statistic(&group, "nr_throttled") + 10;
        wait_for("the kernel to hold it ten times", || async {
            (statistic(&group, "nr_throttled") >= throttled).then_some(())
        })
        .await;
        let (took, used) = (began.elapsed(), Duration::from_micros(statistic(&group, "usage_usec") - before));
        let most = took.as_secs_f64() * SHARE * 1.5 + BURST;
        assert!(used.as_secs_f64() < most, "{used:?} of processor time in {took:?}");
        group
    };
    let (reply, group) = tokio::join!(spins, watches);
    assert_eq!(reply.text(), "spun");
    wait_for("an idle environment that is not held", || async {
        read(&group, "cpu.max").starts_with("max ").then_some(())
    })
    .await;
    for environment in below(edge.pid(), Kind::Environment) {
        kill(environment, Signal::SIGKILL).expect("it runs");
    }
    assert_eq!(edge.get("/0").await.text(), "spun");
    wait_for("the end of the group", || async { (!group.exists()).then_some(()) }).await;
    assert_eq!(environments(&delegated), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_beside_a_running_edge_takes_nothing_from_it() {
    let edge = edge().await;
    let Some(delegated) = delegated(&edge).await else { return };
    // As a container's `exec` does it: into the group of the container's first process.
    let join = format!("echo $$ >{}/selvedge.pop/cgroup.procs && exec \"$0\" \"$@\"", delegated.display());
    let mut check = Command::new("sh");
    check.args(["-c", &join]).arg(program("selvedge")).args(["check", "--sandbox"]);
    // It stays there: scripts/vm.sh gives every program a group of its own.
    let output = check.env_remove("SELVEDGE_VM_GROUPS").output();
    let text = String::from_utf8_lossy(&output.expect("a shell is there").stdout).into_owned();
    assert!(
        text.contains(&format!("a control group for each environment that uses more, in {}", delegated.display())),
        "{text}"
    );
    assert_eq!(read(&delegated, "cgroup.subtree_control").trim(), "cpu");
    assert!(read(&delegated.join("selvedge.pop"), "cgroup.procs").lines().any(|pid| pid == edge.pid().to_string()));
}
