//! Every limit of an invocation, reached: the viewer gets a status in time, the
//! next viewer gets an answer.

use selvedge_tests::{Ask, Edge, Origin, Reply, site, wait_for};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

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
async fn after_restore_hooks_count_for_restore_duration_and_not_for_the_timeout() {
    let origin = Origin::start().await;
    let code = "process.on('afterRestore', () => new Promise((resolve) => setTimeout(resolve, 1500)));
      export const handler = async () => ({ status: '200', body: 'alive' });";
    let edge = Edge::builder()
        .function_with("f", code, "timeout = \"1s\"")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await;
    for target in ["/first", "/warm"] {
        assert_eq!(edge.get(target).await.text(), "alive");
    }
    let log = wait_for("two reports", || async {
        let log = edge.log("f");
        (log.matches("\nREPORT RequestId: ").count() == 2).then_some(log)
    })
    .await;
    let number = |label: &str| -> f64 {
        let (_, rest) = log.split_once(label).expect("REPORT has it");
        rest.split_once(" ms").expect("it is in milliseconds").0.parse().expect("it is a number")
    };
    assert!(number("\tRestore Duration: ") >= 1500.0, "{log}");
    assert!(number("\tDuration: ") < 1000.0, "{log}");
    assert_eq!(log.matches("Restore Duration: ").count(), 1, "{log}");
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
async fn a_timeout_over_30_s_is_honoured() {
    let origin = Origin::start().await;
    let code = "export const handler = () => new Promise((resolve) =>
      setTimeout(() => resolve({ status: '200', body: 'late' }), 31000));";
    let edge = Edge::builder()
        .function_with("f", code, "timeout = \"40s\"\nquotas = \"lambda\"")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "late"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_what_the_function_asked_for() {
    let origin = Origin::start().await;
    let code = "export const handler = async (event) => {
      const megabytes = Number(event.Records[0].cf.request.uri.slice(1));
      const all = [];
      for (let made = 0; made < megabytes; made += 10) all.push(Buffer.alloc(10 << 20, 1));
      return { status: '200', body: String(all.length) };
    };";
    for (memory_mb, fits, bursts) in [(256, 150, 300), (512, 400, 600)] {
        let edge = Edge::builder()
            .function_with("f", code, &format!("timeout = \"20s\"\nmemory_mb = {memory_mb}"))
            .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
            .start()
            .await;
        assert_eq!(edge.get(&format!("/{fits}")).await.status, 200, "{fits} of {memory_mb} MB");
        let target = format!("/{bursts}");
        assert_eq!(edge.get(&target).await.status, 503, "{bursts} of {memory_mb} MB");
        assert_eq!(edge.stages(&target, 0).await, ["viewer-request:exceeded-memory"]);
        edge.logged("f", &format!("memory limit of {memory_mb} MB exceeded")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_leaves_the_queue_is_canceled_and_its_function_never_runs() {
    let origin = Origin::start().await;
    let code = "export const handler = async (event) => {
      const { request } = event.Records[0].cf;
      console.log(`runs ${request.uri}`);
      if (request.uri === '/long') await new Promise((resolve) => setTimeout(resolve, 3000));
      return { status: '200', body: 'alive' };
    };";
    let edge = Edge::builder()
        .function_with("f", code, "timeout = \"10s\"\nenvironments_max = 1")
        .config(&site(&origin.url(), "hooks.viewer-request = \"f\""))
        .start()
        .await;
    let leaver = async {
        edge.logged("f", "runs /long").await;
        let mut viewer = TcpStream::connect(edge.http).await.expect("the edge listens");
        viewer.write_all(b"GET /left HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the edge reads");
        drop(viewer);
        assert_eq!(edge.stages("/left", 0).await, ["viewer-request:canceled"]);
        assert!(!edge.log("f").contains("END RequestId"), "the first invocation still runs");
    };
    let (long, ()) = tokio::join!(edge.get("/long"), leaver);
    assert_eq!((long.status, edge.get("/next").await.status), (200, 200));
    edge.logged("f", "runs /next").await;
    assert!(!edge.log("f").contains("runs /left"), "{}", edge.log("f"));
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
