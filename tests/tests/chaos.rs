//! Environments, templates and the zygote are killed under load. What must not
//! be lost is counted: hits and hookless routes lose nothing, a hook loses the
//! invocation that ran in the killed process, an idempotent one only that of two
//! killed processes.

#![expect(clippy::print_stdout, reason = "the numbers are worth seeing")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use selvedge_tests::processes::{Kind, adopt_orphans, below};
use selvedge_tests::{Answer, Edge, Origin, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const ANSWERS: &str = "export const handler = async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  return { status: '200', body: 'alive' };
};";

/// What the viewers of one path saw.
#[derive(Default)]
struct Seen {
    /// Per viewer.
    answered: [AtomicUsize; VIEWERS],
    failed: AtomicUsize,
    other: AtomicUsize,
}

impl Seen {
    fn counts(&self) -> [usize; VIEWERS] {
        [0, 1].map(|viewer| self.answered[viewer].load(SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_processes_loses_only_what_ran_in_them() {
    adopt_orphans();
    let origin = Origin::start().await;
    origin.answer("/cached", Answer::fresh_for(3600, "from the origin"));
    let edge = Arc::new(start(&origin).await);
    let paths = ["/plain", "/cached", "/once", "/again"];
    assert_eq!(edge.get("/cached").await.status, 200);
    let stop = Arc::new(AtomicBool::new(false));
    let seen = paths.map(|_| Arc::new(Seen::default()));
    let mut viewers = Vec::new();
    for (path, seen) in paths.iter().zip(&seen) {
        for viewer in 0..VIEWERS {
            viewers.push(tokio::spawn(ask_on(Arc::clone(&edge), path, viewer, Arc::clone(seen), Arc::clone(&stop))));
        }
    }
    let kills = kill_for(&edge, &seen[3]).await;
    stop.store(true, SeqCst);
    for viewer in viewers {
        viewer.await.expect("a viewer does not panic");
    }
    let failed = seen.each_ref().map(|seen| seen.failed.load(SeqCst));
    println!("{kills} environments killed; failed of {paths:?}: {failed:?}");
    assert!(seen.iter().all(|seen| seen.other.load(SeqCst) == 0), "a status other than 200 and 503");
    assert_eq!((failed[0], failed[1]), (0, 0), "hookless routes and hits");
    assert!(failed[3] <= 1, "an idempotent hook fails only when its second run is killed, too: {}", failed[3]);
    assert!(failed[2] <= kills, "{} failed, {kills} environments were killed", failed[2]);
    assert!(kills >= 20, "only {kills} environments were killed");
    for path in paths {
        assert_eq!(edge.get(path).await.status, 200, "{path} afterwards");
    }
    let crashed = edge.terminal().matches("viewer-request=once:crashed").count();
    assert_eq!(crashed, failed[2], "every failure is one crashed invocation");
}

async fn start(origin: &Origin) -> Edge {
    let behaviors: String = [("/once", "viewer-request = \"once\""), ("/again", "viewer-request = \"again\"")]
        .map(|(path, hook)| {
            format!("[[distributions.site.behaviors]]\npath = \"{path}\"\norigin = \"o\"\nhooks.{hook}\n")
        })
        .concat();
    let url = origin.url();
    Edge::builder()
        .function("once", ANSWERS)
        .function_with("again", ANSWERS, "idempotent = true")
        .config(&format!(
            "[distributions.site]\ndomains = [\"*\"]\n[distributions.site.origins.o]\nurl = \"{url}\"\n{behaviors}\
             [[distributions.site.behaviors]]\npath = \"/plain\"\norigin = \"o\"\ncache = \"CachingDisabled\"\n\
             [distributions.site.default_behavior]\norigin = \"o\"\n"
        ))
        .start()
        .await
}

async fn ask_on(edge: Arc<Edge>, path: &'static str, viewer: usize, seen: Arc<Seen>, stop: Arc<AtomicBool>) {
    while !stop.load(SeqCst) {
        match edge.get(path).await.status {
            200 => {}
            503 => {
                seen.failed.fetch_add(1, SeqCst);
            }
            _ => {
                seen.other.fetch_add(1, SeqCst);
            }
        }
        seen.answered[viewer].fetch_add(1, SeqCst);
    }
}

/// Kills an environment every 100 ms, a template every second, the zygote half way. No environment
/// is killed before every invocation that the last kill may have repeated is over. Returns how many
/// environments were killed.
async fn kill_for(edge: &Edge, again: &Seen) -> usize {
    let (started, mut kills, mut zygote_killed, mut templates) = (Instant::now(), 0, false, Vec::new());
    let mut template_at = started + Duration::from_secs(1);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while kills < KILLS {
        ticks.tick().await;
        // Whatever lost its parent is below this process.
        kills += usize::from(kill_one(&below(Pid::this(), Kind::Environment), kills));
        // One that is new may be an environment that still has its template's name.
        let named = below(Pid::this(), Kind::Template);
        if Instant::now() >= template_at {
            templates.retain(|pid| named.contains(pid));
            kill_one(&templates, kills);
            template_at += Duration::from_secs(1);
        }
        templates = named;
        if kills > KILLS / 2 && !zygote_killed {
            zygote_killed = kill_one(&below(edge.pid(), Kind::Zygote), 0);
        }
        let before = again.counts();
        wait_for("two more answers for each viewer of the idempotent hook", || async {
            let now = again.counts();
            before.iter().zip(now).all(|(before, now)| now >= before + 2).then_some(())
        })
        .await;
    }
    kills
}

/// Whether one was there to be killed.
fn kill_one(found: &[Pid], choice: usize) -> bool {
    // An odd stride visits the processes of both functions.
    let chosen = found.get(choice.wrapping_mul(7) % found.len().max(1));
    chosen.is_some_and(|pid| kill(*pid, Signal::SIGKILL).is_ok())
}

const VIEWERS: usize = 2;
const KILLS: usize = 30;
