//! Every folder of `tests/hostile` as a play: a handler breaks what it can, the
//! viewer gets the documented answer in time, the log says what happened, and
//! the next requests to this function and to another are served.

use libtest_mimic::{Arguments, Trial};
use selvedge_tests::custom::put_bootstrap;
use selvedge_tests::hostile::{Hostile, hostile_cases};
use selvedge_tests::lateness::Lateness;
use selvedge_tests::python::interpreters;
use selvedge_tests::{Edge, Origin, wait_for};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let trials = hostile_cases().into_iter().map(|case| {
        Trial::test(case.name.clone(), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(play(case));
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// From the limit to the viewer: the environment, the PoP, its log and the viewer wake one after the other.
const WAKE_UPS: u128 = 4;
const NEIGHBOUR: &str = "export const handler = async () => ({ status: '200', body: 'unharmed' });";

async fn play(case: Hostile) {
    let origin = Origin::start().await;
    let edge = edge(&case, &origin).await;
    if !case.about.cold {
        assert_eq!(edge.get("/before").await.text(), "alive");
    }
    let lateness = Lateness::watch();
    let started = Instant::now();
    let reply = edge.get("/hostile").await;
    let took = started.elapsed().as_millis();
    let late = lateness.end().as_millis() * WAKE_UPS;

    let about = &case.about;
    assert_eq!((reply.status, reply.cache()), (about.status, about.x_cache.as_str()), "took {took} ms");
    assert_eq!(edge.stages("/hostile", 0).await, [format!("viewer-request:{}", about.outcome)]);
    holds(&edge, &about.log).await;
    if let Some((earliest, latest)) = about.ends_ms {
        let latest = u128::from(latest) + late;
        assert!((u128::from(earliest)..=latest).contains(&took), "took {took} ms; a busy machine may have cost {late}");
    }
    if let Some(bytes_max) = about.log_bytes_max {
        assert!(edge.log("hostile").len() <= bytes_max, "the log has {} bytes", edge.log("hostile").len());
    }

    let neighbour = edge.get("/neighbour").await;
    assert_eq!((neighbour.status, neighbour.text().as_str()), (200, "unharmed"));
    let next = edge.get("/next").await;
    assert_eq!(next.status, about.next);
    if next.status == 200 {
        assert_eq!(next.text(), "alive");
    }
    holds(&edge, &about.next_log).await;
}

async fn edge(case: &Hostile, origin: &Origin) -> Edge {
    let mut builder = Edge::builder().function("neighbour", NEIGHBOUR);
    for entry in std::fs::read_dir(&case.dir).expect("the case is a folder") {
        let path = entry.expect("its files can be listed").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let content = std::fs::read_to_string(&path).expect("a case's files are text");
        builder = builder.file(&format!("hostile/{name}"), &content);
        if name == "bootstrap" {
            put_bootstrap(&builder.path().join("hostile"), content.as_bytes());
        }
    }
    for number in 0..case.about.files {
        builder = builder.file(&format!("hostile/files/{}/{}", number / 1_000, number % 1_000), "");
    }
    let (settings, runtimes) = language(case, origin);
    let config = format!(
        "{runtimes}[functions.hostile]\ncode = \"hostile\"\nhandler = \"handler.handler\"\n{settings}\n\
         [distributions.site]\ndomains = [\"*\"]\n[distributions.site.origins.o]\nurl = \"{url}\"\n\
         [distributions.site.default_behavior]\norigin = \"o\"\nhooks.viewer-request = \"hostile\"\n\
         [[distributions.site.behaviors]]\npath = \"/neighbour\"\norigin = \"o\"\nhooks.viewer-request = \"neighbour\"\n",
        url = origin.url(),
    );
    if case.about.files > 0 {
        builder = builder.patient(Duration::from_secs(90));
    }
    builder.config(&config).start().await
}

/// The function's settings, and the table that names its interpreter if it has one.
fn language(case: &Hostile, origin: &Origin) -> (String, String) {
    let settings = case.about.settings.replace("{origin}", origin.url().trim_start_matches("http://"));
    if case.dir.join("bootstrap").is_file() {
        return (format!("{settings}\nruntime = \"provided.al2023\""), String::new());
    }
    if !case.dir.join("handler.py").is_file() {
        return (settings, String::new());
    }
    let (runtime, path) = interpreters().swap_remove(0);
    let id = runtime.id();
    (format!("{settings}\nruntime = {id:?}"), format!("[runtimes]\n{id:?} = {path:?}\n"))
}

/// Returns once the hostile function's log holds these texts, one after the other.
async fn holds(edge: &Edge, texts: &[String]) {
    let what = format!("{texts:#?} in the log:\n{}", edge.log("hostile"));
    wait_for(&what, || async {
        let log = edge.log("hostile");
        let mut rest = log.as_str();
        for text in texts {
            rest = rest.split_once(text.as_str())?.1;
        }
        Some(())
    })
    .await;
}
