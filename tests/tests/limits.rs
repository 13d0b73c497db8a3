//! Every limit of an invocation, reached: the viewer gets a status in time, the
//! next viewer gets an answer.

use selvedge_tests::{Ask, Edge, Origin, Reply, site};
use std::time::{Duration, Instant};

const BREAKS: &str = "export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const ways = {
    '/loop': () => { for (;;); },
    '/native': () => { require_crypto.pbkdf2Sync('a', 'b', 2 ** 31 - 1, 64, 'sha512'); },
    '/exit': () => process.exit(7),
    '/heap': () => { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); },
    '/buffers': () => { const all = []; for (;;) all.push(Buffer.alloc(1 << 24, 1)); },
    '/wasm': () => { const m = new WebAssembly.Memory({ initial: 8192 }); new Uint8Array(m.buffer).fill(1); },
    '/huge-result': () => ({ status: '200', body: 'x'.repeat(7 << 20) }),
    '/never': () => new Promise((resolve) => setTimeout(resolve, 1 << 30)),
    '/reject': () => { Promise.reject(new Error('unseen')); return new Promise((resolve) => setTimeout(resolve, 50)); },
  };
  const result = await ways[request.uri]?.();
  return result ?? { status: '200', body: 'alive' };
};
import require_crypto from 'node:crypto';";

async fn edge(origin: &Origin, settings: &str) -> Edge {
    Edge::builder()
        .function_with("f", BREAKS, settings)
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await
}

/// Asks for a path that breaks the environment, then for one that does not.
async fn broken(edge: &Edge, path: &str) -> (Reply, String) {
    let reply = edge.get(path).await;
    let outcome = edge.stages(path, 0).await.join(" ");
    let next = edge.get("/alive").await;
    assert_eq!((next.status, next.text().as_str()), (200, "alive"), "after {path}");
    (reply, outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_is_503_at_the_timeout() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "timeout = \"1s\"").await;
    edge.get("/alive").await;
    let started = Instant::now();
    let reply = edge.get("/loop").await;
    let took = started.elapsed();
    assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"));
    assert_eq!(edge.stages("/loop", 0).await, ["viewer-request:timed-out"]);
    assert!(took >= Duration::from_millis(1000), "{took:?}");
    assert!(took <= Duration::from_millis(1050), "limit is 1 s and 50 ms, took {took:?}");
    assert_eq!(edge.get("/alive").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_call_that_does_not_listen_is_killed_at_the_timeout() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "timeout = \"1s\"").await;
    let started = Instant::now();
    let (reply, outcome) = broken(&edge, "/native").await;
    assert_eq!((reply.status, outcome.as_str()), (503, "viewer-request:timed-out"));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_that_never_settles_times_out() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "timeout = \"1s\"").await;
    let (reply, outcome) = broken(&edge, "/never").await;
    assert_eq!((reply.status, outcome.as_str()), (503, "viewer-request:timed-out"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_exit_costs_one_invocation() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let (reply, outcome) = broken(&edge, "/exit").await;
    assert_eq!((reply.status, outcome.as_str()), (503, "viewer-request:crashed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unhandled_rejection_costs_one_invocation() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let (reply, _) = broken(&edge, "/reject").await;
    assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"));
    edge.logged("f", "unseen").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_bomb_is_stopped_on_the_heap_in_buffers_and_in_webassembly() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "timeout = \"20s\"\nmemory_mb = 128").await;
    for bomb in ["/heap", "/buffers", "/wasm"] {
        let (reply, outcome) = broken(&edge, bomb).await;
        assert_eq!(reply.status, 503, "{bomb}");
        assert_eq!(outcome, "viewer-request:exceeded-memory", "{bomb}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_over_6_mb_is_502() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let (reply, outcome) = broken(&edge, "/huge-result").await;
    assert_eq!((reply.status, reply.cache()), (502, "LambdaValidationError"));
    assert_eq!(outcome, "viewer-request:result-too-large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_viewers_than_environments_wait_or_are_throttled() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "timeout = \"2s\"\nenvironments_max = 1").await;
    edge.get("/alive").await;
    let asks = (0..4).map(|nth| edge.ask(Ask::get(&format!("/never?{nth}")).host("a.example")));
    let replies = futures_util::future::join_all(asks).await;
    assert!(replies.iter().all(|reply| reply.status == 503));
    let throttled = replies.iter().filter(|reply| reply.cache() == "LambdaLimitExceeded").count();
    assert!(throttled > 0, "none was throttled");
    edge.said(":throttled:").await;
    assert_eq!(edge.get("/alive").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_cannot_be_loaded_is_503_and_named_in_the_log() {
    let origin = Origin::start().await;
    let edge = Edge::builder()
        .function("f", "import 'not-there'; export const handler = async () => 1;")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.cache()), (503, "LambdaExecutionError"));
    assert_eq!(edge.stages("/a", 0).await, ["viewer-request:init-failed"]);
    edge.logged("f", "not-there").await;
}
