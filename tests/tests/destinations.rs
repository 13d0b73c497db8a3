//! Where asynchronous events and their records go: AWS's queues and topics, URLs, and the
//! queues of the edge itself.

use selvedge_tests::{Controlled, Edge, free_port, selvedge, wait_for};

/// An edge that uses services at this address, and the address.
async fn served() -> (Controlled, String) {
    let services = free_port().to_string();
    let key = "[outside]\naws_access_key_id = AKIDOUTSIDE\naws_secret_access_key = outside/secret+key\n";
    let place = format!("{{ endpoint = \"http://{services}\", credentials = \"outside\" }}");
    let lines = format!("sqs = {place}\nsns = {place}\nurl_destinations = [\"http://{services}\"]");
    let controlled = Controlled::start_with(Edge::builder().file("outside", key), &lines).await;
    (controlled, services)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_and_dead_letters_reach_queues_topics_and_urls() {
    let (controlled, services) = served().await;
    controlled.run("lambda_destinations.py", &[("STEP", "play"), ("SERVICES", &services)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_nobody_took_is_sent_after_a_kill() {
    let (controlled, services) = served().await;
    let terminal = controlled.edge.path().join("terminal").to_str().expect("a path is text").to_owned();
    controlled
        .run("lambda_destinations.py", &[("STEP", "down"), ("SERVICES", &services), ("TERMINAL", &terminal)])
        .await;
    let controlled = controlled.restart().await;
    controlled.run("lambda_destinations.py", &[("STEP", "up"), ("SERVICES", &services)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_sent_again_and_thrown_away() {
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("lambda_destinations.py", &[("STEP", "own")]).await;
    let place = controlled.edge.path();
    let queues = || tokio::task::block_in_place(|| selvedge(place, &["queue", "list"]));
    let listed = |text: &'static str| async move { queues().contains(text).then_some(()) };
    wait_for("two letters", || listed("failed: 2 in it, the oldest of ")).await;
    wait_for("a record", || listed("done: 1 in it")).await;
    let shown = selvedge(place, &["queue", "show", "failed"]);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let first = shown.lines().next().expect("there are two");
    for part in
        ["\"condition\":\"RetriesExhausted\"", "\"error\":\"as you wish\"", "\"event\":{\"nth\":1,\"fail\":true}"]
    {
        assert!(shown.contains(part), "{first}");
    }
    assert!(selvedge(place, &["queue", "show", "done"]).contains("\"responsePayload\":{\"done\":3}"));
    controlled.run("lambda_destinations.py", &[("STEP", "mend")]).await;
    assert_eq!(selvedge(place, &["queue", "redrive", "failed"]), "2 events are sent again\n");
    wait_for("their records", || listed("done: 3 in it")).await;
    assert!(!queues().contains("failed"));
    assert_eq!(selvedge(place, &["queue", "clear", "done"]), "3 letters are thrown away\n");
    assert_eq!(queues(), "");
}
