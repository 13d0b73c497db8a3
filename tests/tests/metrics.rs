//! What operators read of each behavior: `selvedge metrics`, and the page for Prometheus.

use futures_util::future::join_all;
use parking_lot::Mutex;
use selvedge_tests::{Answer, Ask, Edge, Origin, WAIT_MAX, free_port, program, site, viewer, wait_for};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The page, once it has all of these lines.
async fn page(address: SocketAddr, lines: &[&str]) -> String {
    let last = Mutex::new(String::new());
    let has = |line: &&&str| last.lock().lines().any(|other| other == **line);
    let found = timeout(WAIT_MAX, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Ok(reply) = viewer::ask(address, Ask::get("/metrics")).await {
                *last.lock() = reply.text();
                if lines.iter().all(|line| has(&line)) {
                    return;
                }
            }
        }
    });
    let found = found.await;
    let missing: Vec<&&str> = lines.iter().filter(|line| !has(line)).collect();
    assert!(found.is_ok(), "{missing:#?} in\n{}", last.lock());
    last.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_counted_by_what_the_cache_did() {
    let origin = Origin::start().await;
    let stale = |control: &str| Answer::new(200).header("cache-control", control).header("age", "60").body("12345");
    origin.answer("/hit", Answer::fresh_for(600, "0123456789"));
    origin.answer("/pass", Answer::new(200).header("cache-control", "no-store").body("x"));
    origin.answer("/revalidated", stale("max-age=60").header("etag", "\"e\""));
    origin.answer("/revalidated", Answer::new(304).header("etag", "\"e\""));
    origin.answer("/stale", stale("max-age=60, stale-if-error=600"));
    origin.answer("/stale", Answer::new(500));
    let metrics = free_port();
    let config = site(&origin.url(), "cache = { min_ttl = \"0s\" }");
    let edge = Edge::builder().server(&format!("metrics = \"{metrics}\"")).config(&config).start().await;
    page(metrics, &["selvedge_requests_total{behavior=\"*\",cache=\"hit\",distribution=\"site\"} 0"]).await;
    for target in ["/hit", "/hit", "/hit", "/pass", "/revalidated", "/revalidated", "/stale", "/stale"] {
        assert_eq!(edge.get(target).await.status, 200, "{target}");
    }
    edge.ask(Ask::new("DELETE", "/hit")).await;
    let line = |name: &str, cache: &str, value: u64| {
        let cache = if cache.is_empty() { String::new() } else { format!("cache=\"{cache}\",") };
        format!("{name}{{behavior=\"*\",{cache}distribution=\"site\"}} {value}")
    };
    let lines = [
        line("selvedge_requests_total", "hit", 2),
        line("selvedge_requests_total", "miss", 3),
        line("selvedge_requests_total", "pass", 1),
        line("selvedge_requests_total", "revalidated", 1),
        line("selvedge_requests_total", "stale", 1),
        line("selvedge_requests_total", "none", 1),
        line("selvedge_body_bytes_total", "hit", 20),
        line("selvedge_body_bytes_total", "revalidated", 5),
        line("selvedge_body_bytes_total", "stale", 5),
        line("selvedge_body_bytes_total", "pass", 1),
        line("selvedge_collapsed_total", "", 0),
        "selvedge_evictions_total{behavior=\"*\",distribution=\"site\",tier=\"memory\"} 0".to_owned(),
        "selvedge_stored_responses{tier=\"memory\"} 3".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let listened = page(metrics, &lines).await;
    assert_eq!(viewer::ask(metrics, Ask::get("/other")).await.expect("there is an answer").status, 404);
    assert_eq!(viewer::ask(metrics, Ask::post("/metrics", "x")).await.expect("there is an answer").status, 405);

    let mut command = Command::new(program("selvedge"));
    let output = command.current_dir(edge.path()).arg("metrics").output().await.expect("selvedge runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), listened);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_one_fetch_are_counted() {
    let origin = Origin::start().await;
    let (open, gate) = tokio::sync::watch::channel(false);
    origin.answer("/a", Answer::fresh_for(600, "x").after(gate));
    let metrics = free_port();
    let config = site(&origin.url(), "");
    let edge = Edge::builder().server(&format!("metrics = \"{metrics}\"")).config(&config).start().await;
    let viewers = join_all((0..50).map(|_| edge.get("/a")));
    let opener = async {
        wait_for("the fetch", || async { (origin.count("/a") == 1).then_some(()) }).await;
        open.send(true).expect("the origin waits");
    };
    let (replies, ()) = tokio::join!(viewers, opener);
    let waited = replies.iter().filter(|reply| reply.header("cache-status").contains("; collapsed")).count();
    assert!(waited > 0, "nobody waited");
    let collapsed = format!("selvedge_collapsed_total{{behavior=\"*\",distribution=\"site\"}} {waited}");
    let hits = "selvedge_requests_total{behavior=\"*\",cache=\"hit\",distribution=\"site\"} 49";
    page(metrics, &[&collapsed, hits]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_room_is_counted_for_its_behavior_in_each_tier() {
    let origin = Origin::start().await;
    let body = vec![b'x'; 300_000];
    for nth in 0..20 {
        origin.answer(&format!("/large/{nth}"), Answer::fresh_for(600, body.clone()));
    }
    let metrics = free_port();
    let server = format!(
        "metrics = \"{metrics}\"\ncache_size = \"1 MB\"\ncache_disk = {{ directory = \"cache\", size = \"2 MB\" }}"
    );
    let behavior = "[[distributions.site.behaviors]]\npath = \"/large/*\"\norigin = \"o\"\n";
    let config = format!("{}{behavior}", site(&origin.url(), ""));
    let edge = Edge::builder().server(&server).config(&config).start().await;
    edge.said("the cache has read").await;
    for nth in 0..20 {
        assert_eq!(edge.get(&format!("/large/{nth}")).await.status, 200);
    }
    let evicted = |page: &str, behavior: &str, tier: &str| {
        let start =
            format!("selvedge_evictions_total{{behavior=\"{behavior}\",distribution=\"site\",tier=\"{tier}\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok());
        value.unwrap_or_else(|| panic!("no {start}\n{page}"))
    };
    wait_for("the evictions", || async {
        let page = viewer::ask(metrics, Ask::get("/metrics")).await.ok()?.text();
        let (memory, disk) = (evicted(&page, "/large/*", "memory"), evicted(&page, "/large/*", "disk"));
        (memory >= 17 && disk >= 10).then_some(())
    })
    .await;
    let page = page(metrics, &[]).await;
    assert_eq!((evicted(&page, "*", "memory"), evicted(&page, "*", "disk")), (0, 0));
    assert!(!page.contains("behavior=\"\""), "{page}");
}
