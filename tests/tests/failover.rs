//! Origin groups: when the secondary answers, and what its hooks see.

use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, free_port};

fn group(primary: &str, secondary: &str, behavior: &str) -> String {
    format!(
        "[distributions.site]\ndomains = [\"*\"]\n\
         [distributions.site.origins.first]\nurl = \"{primary}\"\nconnection_attempts = 1\nread_timeout = \"1s\"\n\
         [distributions.site.origins.second]\nurl = \"{secondary}\"\n\
         [distributions.site.origin_groups.both]\nprimary = \"first\"\nsecondary = \"second\"\n\
         statuses = [404, 500, 503, 504]\n\
         [distributions.site.default_behavior]\norigin = \"both\"\nallowed_methods = \"all\"\n{behavior}\n"
    )
}

async fn edge(primary: &str, secondary: &str) -> Edge {
    Edge::builder().config(&group(primary, secondary, "")).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secondary_answers_for_listed_statuses_only() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    for status in [404, 500, 403, 502] {
        let path = format!("/{status}");
        first.answer(&path, Answer::new(status).body("first"));
        second.answer(&path, Answer::fresh_for(600, "second"));
    }
    let edge = edge(&first.url(), &second.url()).await;
    for (path, status, body) in
        [("/404", 200, "second"), ("/500", 200, "second"), ("/403", 403, "first"), ("/502", 502, "first")]
    {
        let reply = edge.get(path).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{path}");
    }
    // What came from the secondary is in the cache; what was not read is asked of the primary first.
    assert_eq!(edge.get("/404").await.cache(), "Hit");
    assert_eq!((first.count("/404"), second.count("/404"), second.count("/403")), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secondary_answers_when_the_primary_is_gone_silent_or_hangs_up() {
    let second = Origin::start().await;
    second.answer("/a", Answer::new(200).body("second"));
    let gone = edge(&format!("http://{}", free_port()), &second.url()).await;
    assert_eq!(gone.get("/a").await.text(), "second");
    let hanging_up = RawOrigin::start(&[""]).await;
    let edge_2 = edge(&hanging_up.url(), &second.url()).await;
    assert_eq!(edge_2.get("/a").await.text(), "second");
    let nameless = edge("http://no-such-host.invalid", &second.url()).await;
    assert_eq!(nameless.get("/a").await.text(), "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_something_is_never_sent_twice() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    first.answer("/a", Answer::new(500).body("first"));
    second.answer("/a", Answer::new(200).body("second"));
    let edge = edge(&first.url(), &second.url()).await;
    let reply = edge.ask(Ask::post("/a", "x")).await;
    assert_eq!((reply.status, reply.text().as_str(), second.count("/a")), (500, "first", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_fail_the_viewer_gets_the_secondarys_error() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    first.answer("/a", Answer::new(500).body("first"));
    second.answer("/a", Answer::new(404).body("second"));
    let edge = edge(&first.url(), &second.url()).await;
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "second"));
    assert_eq!((first.count("/a"), second.count("/a")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_request_hook_runs_for_each_origin_and_may_answer_for_the_second() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    first.answer("/a", Answer::new(500));
    second.answer("/a", Answer::fresh_for(600, "second"));
    first.answer("/made", Answer::new(500));
    let code = "export const handler = async event => {\n\
                const { request } = event.Records[0].cf;\n\
                const port = request.origin.custom.port;\n\
                globalThis.first ??= port;\n\
                if (request.uri === '/made' && port !== globalThis.first) return { status: '200', body: 'made' };\n\
                request.headers['x-port'] = [{ value: String(port) }];\n\
                return request;\n};\n";
    let config = group(&first.url(), &second.url(), "hooks = { origin-request = \"each\" }");
    let edge = Edge::builder().function_with("each", code, "environments_max = 1").config(&config).start().await;
    assert_eq!(edge.get("/a").await.text(), "second");
    assert_eq!(first.last().header("x-port"), first.address().port().to_string());
    assert_eq!(second.last().header("x-port"), second.address().port().to_string());
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/made").await;
        assert_eq!((reply.status, reply.text().as_str(), reply.cache()), (200, "made", cache));
    }
    assert_eq!(second.count("/made"), 0);
}
