//! Function URLs, as AWS's SDK for Python makes them and viewers ask for them.

use selvedge_tests::{Controlled, Edge};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_url_serves_whoever_it_is_for_and_ends() {
    let lines = "function_url_domain = \"example.com\"";
    Controlled::start_with(Edge::builder(), lines).await.run("lambda_urls.py", &[]).await;
}
