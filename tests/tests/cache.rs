//! CloudFront's cache rules: keys, times to live, errors, cookies.

use selvedge_tests::{Answer, Ask, Edge, Origin, site, wait_for};

async fn edge(origin: &Origin, lines: &str) -> Edge {
    Edge::builder().config(&site(&origin.url(), lines)).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_holds_what_the_policy_names_and_nothing_else() {
    let origin = Origin::start().await;
    let lines = "cache = { default_ttl = \"60s\", max_ttl = \"60s\", headers = [\"accept-language\"], cookies = [\"ab\"], query = [\"q\"] }";
    let edge = edge(&origin, lines).await;
    let asks = [
        (Ask::get("/a?q=1"), "Miss"),
        (Ask::get("/a?q=1&utm=x"), "Hit"),
        (Ask::get("/a?q=2"), "Miss"),
        (Ask::get("/a?q=1").header("accept-language", "de"), "Miss"),
        (Ask::get("/a?q=1").header("user-agent", "other"), "Hit"),
        (Ask::get("/a?q=1").header("cookie", "ab=1; track=9"), "Miss"),
        (Ask::get("/a?q=1").header("cookie", "track=8; ab=1"), "Hit"),
    ];
    for (ask, cache) in asks {
        let said = format!("{ask:?}");
        assert_eq!(edge.ask(ask).await.cache(), cache, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_order_matters_when_the_whole_query_is_in_the_key() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "cache = { default_ttl = \"60s\", max_ttl = \"60s\", query = \"all\" }").await;
    assert_eq!(edge.get("/a?a=1&b=2").await.cache(), "Miss");
    assert_eq!(edge.get("/a?b=2&a=1").await.cache(), "Miss");
    assert_eq!(edge.get("/a?a=1&b=2").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_is_respected_when_the_minimum_is_zero_and_not_when_it_is_more() {
    for (min, second) in [("0s", "Miss"), ("30s", "Hit")] {
        let origin = Origin::start().await;
        origin.answer("/a", Answer::new(200).header("cache-control", "no-store").body("x"));
        let lines = format!("cache = {{ min_ttl = \"{min}\", default_ttl = \"60s\", max_ttl = \"60s\" }}");
        let edge = edge(&origin, &lines).await;
        assert_eq!(edge.get("/a").await.cache(), "Miss");
        assert_eq!(edge.get("/a").await.cache(), second, "minimum {min}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_stay_at_the_edge_unless_they_are_forwarded() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "x").header("set-cookie", "s=1"));
    let plain = edge(&origin, "").await;
    let reply = plain.ask(Ask::get("/a").header("cookie", "c=1")).await;
    assert_eq!((reply.header("set-cookie"), origin.last().header("cookie")), ("", ""));

    let forwarding = edge(&origin, "forward = { cookies = \"all\" }").await;
    let reply = forwarding.ask(Ask::get("/a").header("cookie", "c=1")).await;
    assert_eq!((reply.header("set-cookie"), origin.last().header("cookie")), ("s=1", "c=1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policies_do_not_name_does_not_reach_the_origin() {
    let origin = Origin::start().await;
    let plain = edge(&origin, "").await;
    plain.ask(Ask::get("/a?q=1").header("x-custom", "1").header("referer", "http://r.example/")).await;
    let seen = origin.last();
    assert_eq!((seen.target.as_str(), seen.header("x-custom"), seen.header("referer")), ("/a", "", ""));
    assert_eq!(seen.header("host"), origin.address().to_string());
    assert!(seen.header("x-forwarded-for").contains("127.0.0.1"));

    let all = edge(&origin, "forward = \"AllViewer\"").await;
    all.ask(Ask::get("/a?q=1").header("x-custom", "1")).await;
    let seen = origin.last();
    assert_eq!(
        (seen.target.as_str(), seen.header("x-custom"), seen.header("host")),
        ("/a?q=1", "1", "www.example.net")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_404_is_cached_and_a_403_is_not() {
    let origin = Origin::start().await;
    origin.answer("/404", Answer::new(404).body("none"));
    origin.answer("/403", Answer::new(403).body("no"));
    let edge = edge(&origin, "").await;
    for _ in 0..2 {
        assert_eq!(edge.get("/404").await.status, 404);
        assert_eq!(edge.get("/403").await.status, 403);
    }
    assert_eq!((origin.count("/404"), origin.count("/403")), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_object_is_served_while_the_origin_fails() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(0, "good").header("etag", "\"e\""));
    origin.answer("/a", Answer::new(500).body("bad"));
    let edge = edge(&origin, "cache = { min_ttl = \"0s\", default_ttl = \"60s\", max_ttl = \"60s\" }").await;
    assert_eq!(edge.get("/a").await.text(), "good");
    let reply = edge.get("/a").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "good"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_page_replaces_the_origins_error() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::new(404).body("plain"));
    origin.answer("/pages/404.html", Answer::fresh_for(60, "our page"));
    let page =
        "[[distributions.site.error_pages]]\nerror_code = 404\npath = \"/pages/404.html\"\nresponse_code = 404\n";
    let names =
        ["CloudFront-Error-Uri", "CloudFront-Error-Args", "CloudFront-Viewer-Address", "CloudFront-Is-IOS-Viewer"];
    let behavior = format!("forward = {{ edge_headers = {names:?}, query = \"all\" }}");
    let edge = Edge::builder().config(&(site(&origin.url(), &behavior) + page)).start().await;
    let ask = Ask::get("/a?x=1").header("cloudfront-error-uri", "/mine").header("user-agent", "an iPhone");
    let reply = edge.ask(ask).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "our page"));
    let seen = origin.requests();
    let told = |nth: usize| (seen[nth].header("cloudfront-error-uri"), seen[nth].header("cloudfront-error-args"));
    assert_eq!((told(0), told(1)), (("", ""), ("/a", "x=1")));
    // The page is for the same viewer.
    let viewer =
        |nth: usize| (seen[nth].header("cloudfront-viewer-address"), seen[nth].header("cloudfront-is-ios-viewer"));
    assert!(viewer(0) == viewer(1) && viewer(0).0.starts_with("127.0.0.1:"), "{:?} {:?}", viewer(0), viewer(1));
    assert_eq!(viewer(1).1, "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behaviors_are_chosen_in_order_on_the_normalised_path() {
    let (first, second) = (Origin::start().await, Origin::start().await);
    let config = format!(
        "[distributions.site]\ndomains = [\"*\"]\n\
         [distributions.site.origins.a]\nurl = \"{}\"\n[distributions.site.origins.b]\nurl = \"{}\"\n\
         [[distributions.site.behaviors]]\npath = \"/a/*\"\norigin = \"a\"\n\
         [distributions.site.default_behavior]\norigin = \"b\"\n",
        first.url(),
        second.url()
    );
    let edge = Edge::builder().config(&config).start().await;
    for (target, at_first) in [("/a/x", 1), ("/b", 1), ("/A/x", 1), ("/b/../a/y", 2), ("//a/z", 3)] {
        edge.get(target).await;
        assert_eq!(first.requests().len(), at_first, "{target}");
    }
    assert_eq!(second.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_while_revalidate_answers_at_once_and_fetches_behind() {
    let origin = Origin::start().await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let stale = Answer::new(200).header("cache-control", "max-age=0, stale-while-revalidate=60").body("one");
    origin.answer("/a", stale);
    origin.answer("/a", Answer::fresh_for(60, "two").after(gate));
    let edge = edge(&origin, "cache = { min_ttl = \"0s\", default_ttl = \"60s\", max_ttl = \"60s\" }").await;
    edge.get("/a").await;
    assert_eq!(edge.get("/a").await.text(), "one");
    wait_for("the background fetch", || async { (origin.count("/a") == 2).then_some(()) }).await;
    open.send(true).expect("the origin waits");
    wait_for("the new body", || async { (edge.get("/a").await.text() == "two").then_some(()) }).await;
    assert_eq!(origin.count("/a"), 2);
}
