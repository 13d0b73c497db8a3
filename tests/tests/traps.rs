//! The traps of the proxy library (docs/architecture.md, "Traps"), one test
//! each under its letter where a viewer or an origin can see it.

use selvedge_tests::raw::exchange;
use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, site, wait_for};
use tokio::sync::watch;

const PASS: &str = "export const handler = async (event) => {
  const { request, response } = event.Records[0].cf;
  return response ?? request;
};";

const ORIGIN_HOOKS: &str = "hooks = { origin-request = \"f\", origin-response = \"f\" }";
const SWR: &str = "cache = { min_ttl = \"0s\", default_ttl = \"60s\", max_ttl = \"3600s\" }";

async fn edge(origin_url: &str, code: &str, lines: &str) -> Edge {
    Edge::builder().function("f", code).config(&site(origin_url, lines)).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_a_retry_does_not_run_origin_request_again() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let origin = RawOrigin::start(&["", answer]).await;
    let edge = edge(&origin.url(), PASS, ORIGIN_HOOKS).await;
    let reply = edge.get("/a").await;
    let stages = edge.stages("/a", 0).await;
    assert_eq!(stages.iter().filter(|stage| stage.starts_with("origin-request")).count(), 1, "{stages:?}");
    assert!([200, 502].contains(&reply.status), "{}", reply.status);
    if reply.status == 200 {
        assert_eq!((origin.connections(), reply.text().as_str()), (2, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_a_response_generated_in_origin_request_is_stored() {
    let origin = Origin::start().await;
    let code = "export const handler = async () =>
      ({ status: '200', headers: { 'cache-control': [{ value: 'max-age=60' }] }, body: String(Date.now()) });";
    let edge = edge(&origin.url(), code, "hooks.origin-request = \"f\"").await;
    let (first, second) = (edge.get("/a").await, edge.get("/a").await);
    assert_eq!((first.cache(), second.cache()), ("Miss", "Hit"));
    assert_eq!(first.text(), second.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c_a_background_revalidation_runs_no_viewer_hook() {
    let origin = Origin::start().await;
    let stale = Answer::new(200).header("cache-control", "max-age=0, stale-while-revalidate=600").body("one");
    origin.answer("/a", stale);
    origin.answer("/a", Answer::fresh_for(600, "two"));
    let lines = format!("{SWR}\nhooks = {{ viewer-request = \"f\", viewer-response = \"f\" }}");
    let log = PASS.replace("const {", "console.log('ran'); const {");
    let edge = edge(&origin.url(), &log, &lines).await;
    edge.get("/a").await;
    edge.get("/a").await;
    wait_for("the background fetch", || async { (origin.count("/a") == 2).then_some(()) }).await;
    wait_for("the new body", || async { (edge.get("/a").await.text() == "two").then_some(()) }).await;
    let background = access_line(&edge, "GET /a 200 Refresh ").await;
    assert!(!background.contains("=f:"), "{background}");
    let viewer = access_line(&edge, "GET /a 200 Hit ").await;
    assert!(viewer.contains("viewer-request=f:ok") && viewer.contains("viewer-response=f:ok"), "{viewer}");
    let viewers = edge.terminal().matches("viewer-request=f:ok").count();
    let ran = edge.log("f").matches("\tran").count();
    assert!(ran <= 2 * viewers + 2, "{ran} runs of viewer hooks for {viewers} viewers");
}

/// The first line of the access log with this in it.
async fn access_line(edge: &Edge, wanted: &str) -> String {
    wait_for(wanted, || async { edge.terminal().lines().find(|line| line.contains(wanted)).map(ToOwned::to_owned) })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_early_hints_do_not_run_origin_response() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let origin = RawOrigin::start(&[&format!("{hints}{answer}")]).await;
    let edge = edge(&origin.url(), PASS, ORIGIN_HOOKS).await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert_eq!(edge.stages("/a", 0).await, ["origin-request:ok", "origin-response:ok"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e_a_304_does_not_become_the_stored_response() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(0, "body").header("etag", "\"e\""));
    origin.answer("/a", Answer::new(304).header("etag", "\"e\"").header("cache-control", "max-age=600"));
    let edge = edge(&origin.url(), PASS, &format!("{SWR}\n{ORIGIN_HOOKS}")).await;
    for cache in ["Miss", "RefreshHit", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (200, cache, "body"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_a_replaced_body_has_the_right_length_for_longer_shorter_and_empty() {
    let code = "export const handler = async (event) => {
      const { request, response } = event.Records[0].cf;
      response.body = 'x'.repeat(Number(request.uri.slice(1)));
      return response;
    };";
    for chunked in [false, true] {
        let origin = Origin::start().await;
        let edge = edge(&origin.url(), code, "hooks.origin-response = \"f\"").await;
        for length in [0, 3, 100_000] {
            let target = format!("/{length}");
            let answer = Answer::fresh_for(60, "");
            let body = vec![b'o'; 5_000];
            let answer = if chunked { answer.chunked(vec![body.into(); 3]) } else { answer.body(body) };
            origin.answer(&target, answer);
            for _ in 0..2 {
                let reply = edge.get(&target).await;
                assert_eq!((reply.status, reply.body.len()), (200, length), "chunked: {chunked}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g_a_failing_viewer_response_on_a_hit_is_503_with_our_page() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "body"));
    let code = "export const handler = async (event) => {
      const { request, response } = event.Records[0].cf;
      if (request.headers['x-fail']) throw new Error('on purpose');
      return response;
    };";
    let edge = edge(&origin.url(), code, "hooks.viewer-response = \"f\"").await;
    edge.get("/a").await;
    let reply = edge.ask(Ask::get("/a").header("x-fail", "1")).await;
    assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"));
    assert!(reply.text().contains("503"), "{}", reply.text());
    assert_eq!(edge.get("/a").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h_no_odd_request_falls_out_of_the_cache_unnoticed() {
    let origin = Origin::start().await;
    let policy = "cache = { min_ttl = \"60s\", headers = [\"x-odd\"], cookies = \"all\", query = \"all\" }";
    let edge = Edge::builder().config(&site(&origin.url(), policy)).start().await;
    for target in ["/a?%zz&=&&x=%", "/a//b/%2F?&&&", "/%C3%A9?q=%FF", "/a?x=1&x=1&X=1"] {
        for cache in ["Miss", "Hit"] {
            let ask = Ask::get(target).header("cookie", "a=b; ;=; c").header("x-odd", "\t, ;\"=");
            assert_eq!(edge.ask(ask).await.cache(), cache, "{target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i_head_fills_the_cache_and_range_and_conditions_of_a_viewer_do_not_poison_it() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "0123456789").header("etag", "\"e\""));
    let edge = edge(&origin.url(), PASS, "hooks.origin-request = \"f\"").await;
    let head = edge.ask(Ask::new("HEAD", "/a")).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    let part = edge.ask(Ask::get("/a").header("range", "bytes=2-4")).await;
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    let same = edge.ask(Ask::get("/a").header("if-none-match", "\"e\"")).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(edge.get("/a").await.text(), "0123456789");
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j_a_slow_header_and_a_large_header_are_stopped() {
    let origin = Origin::start().await;
    let edge = Edge::builder().server("header_timeout = \"1s\"").config(&site(&origin.url(), "")).start().await;
    let slow = exchange(edge.http, b"GET / HTTP/1.1\r\nhost: a\r\n").await;
    assert!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx-large: {}\r\nconnection: close\r\n\r\n", "x".repeat(40_000));
    let large = exchange(edge.http, large.as_bytes()).await;
    let refused = ["HTTP/1.1 494", "HTTP/1.1 431", "HTTP/1.1 400"];
    assert!(large.is_empty() || refused.iter().any(|status| large.starts_with(status)), "{large:.60}");
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k_the_cache_evicts_instead_of_growing() {
    let origin = Origin::start().await;
    let edge = Edge::builder().server("cache_size = \"4 MB\"").config(&site(&origin.url(), "")).start().await;
    for nth in 0..12 {
        let target = format!("/{nth}");
        origin.answer(&target, Answer::fresh_for(600, vec![b'x'; 1 << 20]));
        edge.get(&target).await;
    }
    let mut hits = 0;
    for nth in 0..12 {
        hits += usize::from(edge.get(&format!("/{nth}")).await.cache() == "Hit");
    }
    assert!(hits <= 4, "{hits} objects of 1 MB are in a cache of 4 MB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l_hosts_do_not_share_cache_entries_and_smuggling_is_refused() {
    let origin = Origin::start().await;
    let site = site(&origin.url(), "forward = \"AllViewer\"");
    let other = "[distributions.other]\ndomains = [\"other.example\"]\n[distributions.other.origins.o]\nurl = \"URL\"\n\
                 [distributions.other.default_behavior]\norigin = \"o\"\n";
    let edge = Edge::builder().config(&(site + &other.replace("URL", &origin.url()))).start().await;
    edge.get("/a").await;
    assert_eq!(edge.ask(Ask::get("/a").host("other.example")).await.cache(), "Miss");
    let smuggled = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /evil HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    exchange(edge.http, smuggled.as_bytes()).await;
    edge.get("/fence").await;
    assert_eq!(origin.count("/evil"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_viewers_of_one_miss_cost_one_fetch_and_one_origin_hook() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    origin.answer("/a", Answer::fresh_for(60, "body").after(gate));
    let edge = edge(&origin.url(), PASS, ORIGIN_HOOKS).await;
    let viewers = futures_util::future::join_all((0..20).map(|_| edge.get("/a")));
    let opener = async {
        wait_for("the fetch", || async { (origin.count("/a") == 1).then_some(()) }).await;
        open.send(true).expect("the origin waits");
    };
    let (replies, ()) = tokio::join!(viewers, opener);
    assert!(replies.iter().all(|reply| reply.text() == "body"));
    assert_eq!(origin.count("/a"), 1);
    assert_eq!(replies.iter().filter(|reply| reply.cache() == "Miss").count(), 1);
}
