//! Continuous deployment: a staging distribution answers some requests of another one. Through
//! boto3 in `tests/clients/cloudfront_staging.py`, and here from a configuration file.

use selvedge_tests::{Answer, Ask, Controlled, Edge, Origin, free_port, program, selvedge, viewer, wait_for};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_tried_by_some_viewers_and_promoted_without_a_failed_request() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("cloudfront_staging.py", &[("ORIGIN", &address)]).await;
    assert!(selvedge(controlled.edge.path(), &["distributions"]).contains(": staging, disabled, d"));
    let seen = origin.requests();
    assert!(seen.iter().all(|request| !request.header("cookie").contains("aws-cf-cd-session")));
}

/// The site with the origin `primary`, and the next one with the origin `staging`.
fn both(primary: &Origin, staging: &Origin, policy: &str, behaviors: (&str, &str)) -> String {
    let distribution = |name: &str, lines: &str, origin: &Origin, behavior: &str| {
        format!(
            "[distributions.{name}]\n{lines}\n[distributions.{name}.origins.o]\nurl = \"{}\"\n\
             [distributions.{name}.default_behavior]\norigin = \"o\"\nallowed_methods = \"all\"\n{behavior}\n",
            origin.url()
        )
    };
    let site = distribution("site", "domains = [\"*\"]", primary, behaviors.0);
    let next = distribution("next", "staging = true", staging, behaviors.1);
    format!("{site}[distributions.site.continuous_deployment]\nstaging = \"next\"\n{policy}\n{next}")
}

const BY_HEADER: &str = "header = { name = \"aws-cf-cd-next\", value = \"yes\" }";

fn staged(ask: Ask) -> Ask {
    ask.header("aws-cf-cd-next", "yes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staging_distribution_has_its_own_functions_behaviors_and_cache() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    primary.answer("/a", Answer::fresh_for(600, "primary"));
    staging.answer("/a", Answer::fresh_for(600, "staging"));
    let code = "export const handler = async (event) => {
      const { config, response } = event.Records[0].cf;
      response.headers['x-distribution'] = [{ value: config.distributionId }];
      return response;
    };";
    let config = both(&primary, &staging, BY_HEADER, ("", "hooks.viewer-response = \"mark\""));
    let edge = Edge::builder().function("mark", code).config(&config).start().await;
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((&*reply.text(), reply.cache(), reply.header("x-distribution")), ("primary", cache, ""));
        let reply = edge.ask(staged(Ask::get("/a"))).await;
        assert_eq!((&*reply.text(), reply.cache()), ("staging", cache));
        assert_eq!(reply.header("x-distribution").len(), 14);
    }
    let checked = selvedge(edge.path(), &["check"]);
    assert!(checked.contains("    requests with aws-cf-cd-next to next\n"), "{checked}");
    let mut purge = Command::new(program("selvedge"));
    purge.current_dir(edge.path()).args(["purge", "--distribution", "next", "/*"]);
    assert!(purge.status().await.expect("selvedge runs").success());
    assert_eq!(edge.ask(staged(Ask::get("/a"))).await.cache(), "Miss");
    assert_eq!(edge.get("/a").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_at_one_distribution_is_fetched_again_by_both() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    for origin in [&primary, &staging] {
        origin.answer("/a", Answer::fresh_for(600, "x"));
    }
    let edge = Edge::builder().config(&both(&primary, &staging, BY_HEADER, ("", ""))).start().await;
    let caches = async || {
        let (one, other) = (edge.get("/a").await, edge.ask(staged(Ask::get("/a"))).await);
        [one.cache().to_owned(), other.cache().to_owned()]
    };
    assert_eq!(caches().await, ["Miss"; 2]);
    assert_eq!(caches().await, ["Hit"; 2]);
    edge.ask(Ask::post("/a", "x")).await;
    assert_eq!(caches().await, ["Miss"; 2]);
    edge.ask(staged(Ask::post("/a", "x"))).await;
    assert_eq!(caches().await, ["Miss"; 2]);
    assert_eq!(caches().await, ["Hit"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_anew_behind_a_viewer_s_back_comes_from_staging_too() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    let stale =
        || Answer::new(200).header("cache-control", "max-age=60, stale-while-revalidate=600").header("age", "70");
    staging.answer("/a", stale().body("old"));
    staging.answer("/a", Answer::fresh_for(600, "new"));
    let edge = Edge::builder().config(&both(&primary, &staging, BY_HEADER, ("", ""))).start().await;
    assert_eq!(edge.ask(staged(Ask::get("/a"))).await.text(), "old");
    wait_for("the new one", || async { (edge.ask(staged(Ask::get("/a"))).await.text() == "new").then_some(()) }).await;
    assert_eq!((primary.count("/a"), staging.count("/a")), (0, 2));
}

/// By chance, with sessions; the key is beside the configuration.
const BY_SESSION: &str = "weight = 0.15\nsession = { idle_ttl = \"5m\", maximum_ttl = \"10m\", key = \"session-key\" }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_s_cookie_is_in_no_key_and_goes_to_no_origin() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    for origin in [&primary, &staging] {
        origin.answer("/a", Answer::fresh_for(600, "x"));
        origin.answer("/broken", Answer::new(503));
    }
    let behavior = "cache = { cookies = \"all\" }";
    let config = both(&primary, &staging, BY_SESSION, (behavior, behavior));
    let builder = Edge::builder().file("session-key", &"k".repeat(32));
    let edge = builder.config(&config).start().await;
    let mut asked = 0;
    for _ in 0..40 {
        // Every answer has the cookie, also one that the edge makes.
        let first = edge.get("/broken").await;
        let cookie = first.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        assert!(cookie.starts_with("aws-cf-cd-session="), "{:?}", first.headers);
        let reply = edge.ask(Ask::get("/a").header("cookie", &format!("a=1; {cookie}"))).await;
        asked += usize::from(reply.cache() == "Miss");
    }
    let seen = [primary.requests(), staging.requests()].concat();
    let seen: Vec<&str> = seen.iter().filter(|one| one.target == "/a").map(|one| one.header("cookie")).collect();
    assert_eq!(seen, vec!["a=1"; asked]);
    // Once for each distribution that had a session at all.
    assert!((1..=2).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_one_edge_began_goes_on_at_another_with_the_same_key() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    primary.answer("/a", Answer::fresh_for(600, "primary"));
    staging.answer("/a", Answer::fresh_for(600, "staging"));
    let start = |key: &str| {
        let config = both(&primary, &staging, BY_SESSION, ("", ""));
        Edge::builder().file("session-key", &key.repeat(32)).config(&config).start()
    };
    let (one, two, stranger) = (start("k").await, start("k").await, start("s").await);
    // Fifteen of a hundred are staged; that none of so many is, nobody will see.
    let mut cookie = None;
    for _ in 0..300 {
        let reply = one.get("/a").await;
        if reply.text() == "staging" {
            cookie = reply.header("set-cookie").split(';').next().map(ToOwned::to_owned);
            break;
        }
    }
    let cookie = cookie.expect("a session at the staging distribution");
    let mut elsewhere = 0;
    for _ in 0..30 {
        let shown = || Ask::get("/a").header("cookie", &cookie);
        assert_eq!(two.ask(shown()).await.text(), "staging");
        elsewhere += usize::from(stranger.ask(shown()).await.text() == "primary");
    }
    assert!(elsewhere > 0, "another key's session was believed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_metrics_say_which_distribution_answered() {
    let (primary, staging) = (Origin::start().await, Origin::start().await);
    let metrics = free_port();
    let config = both(&primary, &staging, BY_HEADER, ("cache = \"CachingDisabled\"", "cache = \"CachingDisabled\""));
    let edge = Edge::builder().server(&format!("metrics = \"{metrics}\"")).config(&config).start().await;
    for _ in 0..3 {
        edge.get("/primary").await;
    }
    edge.ask(staged(Ask::get("/staged"))).await;
    edge.said("GET /staged 200 Miss staging=next ").await;
    edge.said("GET /primary 200 Miss ").await;
    assert!(!edge.terminal().contains("/primary 200 Miss staging"));
    let counted = |name: &str, count: u64| {
        format!("selvedge_requests_total{{behavior=\"*\",cache=\"pass\",distribution=\"{name}\"}} {count}")
    };
    wait_for("the counts", || async {
        let page = viewer::ask(metrics, Ask::get("/metrics")).await.ok()?.text();
        [counted("site", 3), counted("next", 1)].iter().all(|line| page.contains(line)).then_some(())
    })
    .await;
}
