//! Which stages run: the rows of the table in docs/architecture.md, one test each.
//! All four hooks are always configured; the access log tells which ran.

use selvedge_tests::{Answer, Edge, Origin, site};

const PASS: &str = "export const handler = async (event) => {
  const { config, request, response } = event.Records[0].cf;
  const answers = process.env.ANSWERS === config.eventType;
  if (process.env.FAILS === config.eventType && request.uri.startsWith('/fail')) throw new Error('on purpose');
  if (answers) return { status: '200', headers: { 'cache-control': [{ value: 'max-age=60' }] }, body: config.eventType };
  return response ?? request;
};";

const ALL: [&str; 4] = ["viewer-request:ok", "origin-request:ok", "origin-response:ok", "viewer-response:ok"];
const VIEWER: [&str; 2] = ["viewer-request:ok", "viewer-response:ok"];

async fn edge(origin: &Origin, variables: &str, lines: &str) -> Edge {
    let hooks =
        "hooks = { viewer-request = \"f\", origin-request = \"f\", origin-response = \"f\", viewer-response = \"f\" }";
    Edge::builder()
        .function_with("f", PASS, &format!("environment = {{ {variables} }}"))
        .config(&site(&origin.url(), &format!("{hooks}\n{lines}")))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miss_runs_all_four() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "body"));
    let edge = edge(&origin, "", "").await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (200, "Miss", "body"));
    assert_eq!(edge.stages("/a", 0).await, ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_hit_runs_the_viewer_hooks_only() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "body"));
    let edge = edge(&origin, "", "").await;
    edge.get("/a").await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (200, "Hit", "body"));
    assert_ne!(reply.header("age"), "");
    assert_eq!(edge.stages("/a", 1).await, VIEWER);
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revalidation_runs_all_four_and_keeps_the_stored_body() {
    let origin = Origin::start().await;
    let stale_at_once = Answer::fresh_for(0, "body").header("etag", "\"one\"");
    origin.answer("/a", stale_at_once);
    origin.answer("/a", Answer::new(304).header("etag", "\"one\"").header("cache-control", "max-age=60"));
    let edge = edge(&origin, "", "cache = { min_ttl = \"0s\", default_ttl = \"60s\", max_ttl = \"60s\" }").await;
    edge.get("/a").await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (200, "RefreshHit", "body"));
    assert_eq!(origin.last().header("if-none-match"), "\"one\"");
    assert_eq!(edge.stages("/a", 1).await, ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewer_request_that_responds_ends_it_and_is_not_stored() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "ANSWERS = \"viewer-request\"", "").await;
    for nth in 0..2 {
        let reply = edge.get("/a").await;
        assert_eq!((reply.status, reply.cache()), (200, "LambdaGeneratedResponse"));
        assert_eq!(reply.text(), "viewer-request");
        assert_eq!(edge.stages("/a", nth).await, ["viewer-request:ok"]);
    }
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_request_that_responds_is_stored() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "ANSWERS = \"origin-request\"", "").await;
    let first = edge.get("/a").await;
    assert_eq!((first.status, first.cache(), first.text().as_str()), (200, "Miss", "origin-request"));
    let second = edge.get("/a").await;
    assert_eq!((second.status, second.cache(), second.text().as_str()), (200, "Hit", "origin-request"));
    assert_eq!(edge.stages("/a", 0).await, ["viewer-request:ok", "origin-request:ok", "viewer-response:ok"]);
    assert_eq!(edge.stages("/a", 1).await, VIEWER);
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_origin_skips_viewer_response() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::new(404).body("none"));
    let edge = edge(&origin, "", "").await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "none"));
    assert_eq!(edge.stages("/a", 0).await, ALL[..3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_stored_runs_all_four_every_time() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "", "cache = \"CachingDisabled\"").await;
    for nth in 0..2 {
        assert_eq!(edge.get("/a").await.cache(), "Miss");
        assert_eq!(edge.stages("/a", nth).await, ALL);
    }
    assert_eq!(origin.count("/a"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_fails_ends_it_with_503() {
    let stages = ["viewer-request", "origin-request", "origin-response", "viewer-response"];
    for (index, stage) in stages.iter().enumerate() {
        let origin = Origin::start().await;
        let edge = edge(&origin, &format!("FAILS = \"{stage}\""), "").await;
        let reply = edge.get("/fail").await;
        assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"), "{stage}");
        assert!(!reply.text().contains("on purpose"), "the viewer must not see the error: {}", reply.text());
        let ran = edge.stages("/fail", 0).await;
        assert_eq!(ran[..index], ALL[..index], "{stage}");
        assert_eq!(ran[index..], [format!("{stage}:threw")], "{stage}");
        edge.logged("f", "on purpose").await;
    }
}
