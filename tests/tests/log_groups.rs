//! The functions' logs through Amazon CloudWatch Logs' API.

use selvedge_tests::{Controlled, Edge};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_found_paged_and_followed_as_cloudwatch_gives_them() {
    let controlled = Controlled::start(Edge::builder()).await;
    let place = controlled.edge.path().to_str().expect("a path is text").to_owned();
    controlled.run("cloudwatch_logs.py", &[("STEP", "play"), ("PLACE", &place)]).await;
    let controlled = controlled.restart().await;
    controlled.run("cloudwatch_logs.py", &[("STEP", "again"), ("PLACE", &place)]).await;
}
