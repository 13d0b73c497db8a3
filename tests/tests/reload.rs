//! SIGHUP: a good configuration is swapped in whole, a bad one is refused whole.

use nix::sys::signal::Signal;
use selvedge_tests::{Ask, Edge, Origin, site, wait_for};
use std::fs;

const FIRST: &str = "export const handler = async () => ({ status: '200', body: 'first' });";

async fn edge(origin: &Origin) -> Edge {
    Edge::builder().function("f", FIRST).config(&site(&origin.url(), "hooks.viewer-request = \"f\"")).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_code_is_served_after_sighup_without_a_failed_request() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    assert_eq!(edge.get("/a").await.text(), "first");
    fs::write(edge.path().join("f/index.mjs"), FIRST.replace("first", "second")).expect("the function is writable");
    edge.signal(Signal::SIGHUP);
    wait_for("the new code", || async {
        let reply = edge.get("/a").await;
        assert_eq!(reply.status, 200);
        (reply.text() == "second").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_behaviors_are_served_after_sighup() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    edge.write_config(&site(&origin.url(), ""));
    edge.signal(Signal::SIGHUP);
    wait_for("the origin's answer", || async { (edge.get("/a").await.text() == "origin says /a").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_with_all_its_problems_and_the_old_one_stays() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    edge.write_config(&site(&origin.url(), "hooks.viewer-request = \"absent\"\nallowed_methods = \"some\""));
    edge.signal(Signal::SIGHUP);
    edge.said("absent").await;
    edge.said("allowed_methods").await;
    assert_eq!(edge.get("/a").await.text(), "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_ends_on_the_deployment_it_started_with() {
    let origin = Origin::start().await;
    let (open, gate) = tokio::sync::watch::channel(false);
    origin.answer("/slow", selvedge_tests::Answer::new(200).body("slow").after(gate));
    let stamp = "export const handler = async (event) => {
      const { response } = event.Records[0].cf;
      response.headers['x-deployment'] = [{ value: 'one' }];
      return response;
    };";
    let edge = Edge::builder()
        .function("f", stamp)
        .config(&site(&origin.url(), "hooks.viewer-response = \"f\""))
        .start()
        .await;
    let slow = edge.ask(Ask::get("/slow"));
    let reload = async {
        wait_for("the request at the origin", || async { (origin.count("/slow") == 1).then_some(()) }).await;
        edge.write_config(&site(&origin.url(), ""));
        edge.signal(Signal::SIGHUP);
        wait_for("the new deployment", || async {
            edge.get("/other").await.header("x-deployment").is_empty().then_some(())
        })
        .await;
        open.send(true).expect("the origin waits");
    };
    let (reply, ()) = tokio::join!(slow, reload);
    assert_eq!((reply.status, reply.header("x-deployment")), (200, "one"));
}
