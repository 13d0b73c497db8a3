//! Thousands of environments are made and ended: nothing of them stays in the
//! edge, the zygote or the template. `make soak` does it with 100,000.

#![expect(clippy::print_stdout, reason = "the numbers are worth seeing")]

use nix::unistd::Pid;
use selvedge_tests::processes::{Held, Kind, below, held, zombies};
use selvedge_tests::{Edge, Origin, site, wait_for};
use std::fs;
use std::path::PathBuf;

const ANSWERS: &str = "import fs from 'node:fs';
export const handler = async () => {
  fs.writeFileSync('/tmp/left-behind', 'x'.repeat(1000));
  return { status: '200', body: 'alive' };
};";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_come_and_go_and_nothing_of_them_stays() {
    let origin = Origin::start().await;
    let edge = Edge::builder()
        .function_with("f", ANSWERS, "environment_idle_timeout = \"0s\"\nenvironments_burst = 100000")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await;
    ask(&edge, WARM_UP).await;
    let before = settled(&edge).await;
    ask(&edge, ENVIRONMENTS).await;
    let after = settled(&edge).await;
    println!("edge, zygote, template before: {before:?}\nafter: {after:?}");
    for (name, (before, after)) in ["edge", "zygote", "template"].iter().zip(before.iter().zip(&after)) {
        let grown = after.memory_kb.saturating_sub(before.memory_kb);
        // Two kilobytes for each environment would be more than this.
        assert!(grown < 4_000, "memory of the {name} grew by {grown} kB: {before:?} {after:?}");
        let opened = after.descriptors.saturating_sub(before.descriptors);
        assert!(opened <= 4, "descriptors of the {name}: {before:?} {after:?}");
        assert!(after.threads <= before.threads + 4, "threads of the {name}: {before:?} {after:?}");
    }
    wait_for("every ended process to be reaped", || async { (zombies(edge.pid()) == 0).then_some(()) }).await;
    wait_for("every private directory to be removed", || async { private(&edge).is_empty().then_some(()) }).await;
}

async fn ask(edge: &Edge, count: usize) {
    for _ in 0..count / AT_ONCE {
        let replies = futures_util::future::join_all((0..AT_ONCE).map(|_| edge.get("/"))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "{:?}", replies[0]);
    }
}

/// What edge, zygote and template hold once no environment is left.
async fn settled(edge: &Edge) -> [Held; 3] {
    wait_for("the end of every environment", || async {
        let only = |kind| <[Pid; 1]>::try_from(below(edge.pid(), kind)).ok();
        let ([zygote], [template]) = (only(Kind::Zygote)?, only(Kind::Template)?);
        below(edge.pid(), Kind::Environment).is_empty().then_some(())?;
        Some([held(edge.pid())?, held(zygote)?, held(template)?])
    })
    .await
}

/// Directories of environments below the data directory.
fn private(edge: &Edge) -> Vec<PathBuf> {
    let list = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let functions = list(edge.path().join("state/tmp")).flat_map(list);
    functions.flat_map(list).filter(|path| path.is_dir()).collect()
}

const AT_ONCE: usize = 4;
const WARM_UP: usize = 400;
const ENVIRONMENTS: usize = 2_000;
