//! Concurrency that AWS's SDK for Python reserves and provisions, as it is kept at run time.

use selvedge_tests::{Controlled, Edge};

async fn played(steps: [&str; 2]) {
    let builder = Edge::builder().server("environments_max = 150\n");
    let controlled = Controlled::start(builder).await;
    let logs = controlled.edge.path().join("state/logs").to_str().expect("a path is text").to_owned();
    let variables = |step| [("STEP", step), ("LOGS", logs.as_str()), ("ORIGIN", "127.0.0.1:9")];
    controlled.run("lambda_concurrency.py", &variables(steps[0])).await;
    let controlled = controlled.restart().await;
    controlled.run("lambda_concurrency.py", &variables(steps[1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_concurrency_is_shared_by_versions_kept_from_others_and_survives_a_restart() {
    played(["reserve", "release"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioned_environments_are_there_before_anybody_asks_also_after_a_restart() {
    played(["provision", "again"]).await;
}
