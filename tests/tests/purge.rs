//! `selvedge purge` against a running edge.

use nix::sys::signal::Signal;
use selvedge_tests::{Answer, Ask, Edge, Origin, program, site, wait_for};
use std::process::Output;
use tokio::process::Command;

async fn purge(edge: &Edge, items: &[&str]) -> Output {
    let mut command = Command::new(program("selvedge"));
    command.current_dir(edge.path()).arg("purge").args(items).output().await.expect("selvedge runs")
}

async fn purged(edge: &Edge, items: &[&str]) {
    let output = purge(edge, items).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn edge(origin: &Origin, distribution: &str) -> Edge {
    let behavior = "cache = { query = \"all\", headers = [\"x-kind\"] }";
    let config = site(&origin.url(), behavior).replace("domains =", &format!("{distribution}\ndomains ="));
    Edge::builder().config(&config).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_is_fetched_again_at_once_and_the_rest_is_not() {
    let origin = Origin::start().await;
    for path in ["/a", "/a/b", "/c"] {
        origin.answer(path, Answer::fresh_for(600, "x").header("etag", "\"e\""));
    }
    let edge = edge(&origin, "").await;
    let all = ["/a", "/a?q=1", "/a/b", "/c"];
    let caches = async || {
        let mut caches = Vec::new();
        for target in all {
            caches.push(edge.get(target).await.cache().to_owned());
        }
        caches
    };
    caches().await;
    assert_eq!(caches().await, ["Hit"; 4]);
    purged(&edge, &["/a"]).await;
    assert_eq!(caches().await, ["Miss", "Hit", "Hit", "Hit"]);
    // It is fetched, not asked about.
    assert_eq!(origin.last().header("if-none-match"), "");
    purged(&edge, &["/a?*", "/nothing"]).await;
    assert_eq!(caches().await, ["Hit", "Miss", "Hit", "Hit"]);
    purged(&edge, &["/a*"]).await;
    assert_eq!(caches().await, ["Miss", "Miss", "Miss", "Hit"]);
    assert_eq!(caches().await, ["Hit"; 4]);
    purged(&edge, &["/*"]).await;
    assert_eq!(caches().await, ["Miss"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_reaches_every_variant_and_every_tagged_response() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x").header("x-tags", "news, Product:TV"));
    origin.answer("/b", Answer::fresh_for(600, "x").header("x-tags", "news"));
    let edge = edge(&origin, "cache_tag_header = \"x-tags\"").await;
    let variants = async || {
        let mut caches = Vec::new();
        for kind in ["one", "two"] {
            caches.push(edge.ask(Ask::get("/a").header("x-kind", kind)).await.cache().to_owned());
        }
        caches.push(edge.get("/b").await.cache().to_owned());
        caches
    };
    variants().await;
    purged(&edge, &["/a"]).await;
    assert_eq!(variants().await, ["Miss", "Miss", "Hit"]);
    purged(&edge, &["#product:tv"]).await;
    assert_eq!(variants().await, ["Miss", "Miss", "Hit"]);
    purged(&edge, &["#news"]).await;
    assert_eq!(variants().await, ["Miss", "Miss", "Miss"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let origin = Origin::start().await;
    let (open, gate) = tokio::sync::watch::channel(false);
    origin.answer("/a", Answer::fresh_for(600, "old").after(gate));
    origin.answer("/a", Answer::fresh_for(600, "new"));
    let edge = edge(&origin, "").await;
    let address = edge.http;
    let early = tokio::spawn(async move { selvedge_tests::viewer::ask(address, Ask::get("/a")).await });
    wait_for("the origin is asked", || async { (origin.count("/a") == 1).then_some(()) }).await;
    purged(&edge, &["/a"]).await;
    open.send(true).expect("the origin waits");
    assert_eq!(early.await.expect("the viewer does not panic").expect("there is an answer").text(), "old");
    let reply = edge.get("/a").await;
    assert_eq!((reply.cache(), reply.text().as_str()), ("Miss", "new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_cannot_be_done_says_why() {
    let origin = Origin::start().await;
    let mut edge = edge(&origin, "").await;
    for (items, reason) in [
        (&["a.html"][..], "must start with / or #"),
        (&["#news"][..], "has no cache_tag_header"),
        (&["--distribution", "shop", "/a"][..], "\"shop\" is not served here"),
    ] {
        let output = purge(&edge, items).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(reason), "{said}");
    }
    edge.signal(Signal::SIGTERM);
    edge.ended().await;
    let output = purge(&edge, &["/a"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("no edge is running on"), "{said}");
}
