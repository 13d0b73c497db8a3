//! The HTTP cache of a plain pass-through behavior: what RFC 9111 and its
//! neighbours say of storing, reusing, refreshing and dropping responses. The
//! public test suite covers the same ground (`make cache-conformance`); these
//! need nothing but this repository. docs/caching.md has the choices.

use selvedge_tests::raw::read_head;
use selvedge_tests::viewer::ask_http1;
use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, Reply, site, tls, wait_for};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The origin decides, everything reaches it, and nothing is kept unasked.
const PASS: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

async fn pass(origin_url: &str) -> Edge {
    Edge::builder().config(&site(origin_url, PASS)).start().await
}

fn stored(headers: &[(&str, &str)]) -> Answer {
    let answer = Answer::new(200).body("stored");
    headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value))
}

/// `Hit` or `Miss` of a second request for a response with these headers.
async fn second(headers: &[(&str, &str)]) -> (Reply, Reply) {
    let origin = Origin::start().await;
    origin.answer("/a", stored(headers));
    let edge = pass(&origin.url()).await;
    (edge.get("/a").await, edge.get("/a").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freshness_is_what_the_origin_says_in_the_order_of_its_fields() {
    let past = "Fri, 01 Jan 2021 00:00:00 GMT";
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    for (headers, cache) in [
        (&[][..], "Miss"),
        (&[("last-modified", past)], "Miss"),
        (&[("cache-control", "max-age=60")], "Hit"),
        (&[("cache-control", "max-age=0")], "Miss"),
        (&[("cache-control", "max-age='60'")], "Miss"),
        (&[("cache-control", "x=\"max-age=60\"")], "Miss"),
        (&[("cache-control", "max-age=60, s-maxage=0")], "Miss"),
        (&[("expires", future)], "Hit"),
        (&[("expires", future), ("cache-control", "max-age=0")], "Miss"),
        (&[("expires", past)], "Miss"),
        (&[("expires", "0")], "Miss"),
        (&[("cache-control", "max-age=60, private")], "Miss"),
        (&[("cache-control", "max-age=60, No-StOrE")], "Miss"),
        (&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")], "Hit"),
        (&[("cache-control", "max-age=60"), ("cdn-cache-control", "max-age=0")], "Miss"),
        (&[("cache-control", "max-age=60"), ("cdn-cache-control", "=")], "Hit"),
        (&[("cache-control", "max-age=60, must-understand, no-store")], "Hit"),
    ] {
        let (first, second) = second(headers).await;
        assert_eq!((first.cache(), second.cache()), ("Miss", cache), "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_counts_and_goes_on_counting() {
    let (first, hit) = second(&[("cache-control", "max-age=60"), ("age", "30")]).await;
    assert_eq!((first.header("age"), hit.cache()), ("30", "Hit"));
    assert!(hit.header("age").parse::<u64>().unwrap() >= 30, "{}", hit.header("age"));
    for age in ["60", "old", "-1", "0, 0", "60;x"] {
        let (first, expired) = second(&[("cache-control", "max-age=60"), ("age", age)]).await;
        assert_eq!((first.header("age"), expired.cache()), (age, "Miss"), "{age}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vary_tells_responses_apart_and_a_star_matches_none() {
    let origin = Origin::start().await;
    for path in ["/a", "/star"] {
        let vary = if path == "/a" { "Foo, accept-language" } else { "foo, *" };
        for body in ["one", "two", "three"] {
            origin.answer(path, Answer::fresh_for(60, body).header("vary", vary));
        }
    }
    let edge = pass(&origin.url()).await;
    let ask = |foo: &str| Ask::get("/a").header("foo", foo);
    for (ask, cache, body) in [
        (ask("1"), "Miss", "one"),
        (ask("2"), "Miss", "two"),
        (ask("1"), "Hit", "one"),
        (ask("2").header("other", "x"), "Hit", "two"),
        (Ask::get("/a"), "Miss", "three"),
        (Ask::get("/a"), "Hit", "three"),
        (ask("1").header("accept-language", "de, en"), "Miss", "three"),
        (ask("1").header("accept-language", "DE,en"), "Hit", "three"),
        (ask("1"), "Hit", "one"),
    ] {
        let said = format!("{ask:?}");
        let reply = edge.ask(ask).await;
        assert_eq!((reply.cache(), reply.text().as_str()), (cache, body), "{said}");
    }
    for _ in 0..2 {
        assert_eq!(edge.get("/star").await.cache(), "Miss");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vary_over_what_never_reaches_the_origin_splits_nothing() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "x").header("vary", "user-agent, cookie, accept-encoding"));
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    edge.ask(Ask::get("/a").header("user-agent", "one").header("cookie", "a=1")).await;
    assert_eq!(edge.ask(Ask::get("/a").header("user-agent", "two").header("cookie", "a=2")).await.cache(), "Hit");
    // `identity` reaches the origin, where nothing did before.
    assert_eq!(edge.ask(Ask::get("/a").header("accept-encoding", "deflate")).await.cache(), "Miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_304_updates_what_is_stored_but_not_what_describes_its_bytes() {
    let origin = Origin::start().await;
    let first = Answer::fresh_for(60, "0123456789").header("age", "60").header("etag", "\"e\"").header("x-test", "old");
    origin.answer("/a", first.header("x-kept", "kept").header("content-encoding", "x-none"));
    let refreshed = Answer::new(304).header("etag", "\"other\"").header("cache-control", "max-age=600");
    origin.answer("/a", refreshed.header("x-test", "new").header("content-encoding", "gzip"));
    let edge = pass(&origin.url()).await;
    for (cache, x_test) in [("Miss", "old"), ("RefreshHit", "new"), ("Hit", "new")] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.header("x-test"), reply.text().as_str()), (cache, x_test, "0123456789"));
        let bytes = ["etag", "content-encoding", "content-length", "x-kept"].map(|name| reply.header(name).to_owned());
        assert_eq!(bytes, ["\"e\"", "x-none", "10", "kept"]);
    }
    assert_eq!(origin.last().header("if-none-match"), "\"e\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cache_is_asked_about_each_time() {
    let origin = Origin::start().await;
    origin.answer("/a", stored(&[("cache-control", "no-cache, max-age=60"), ("etag", "\"e\"")]));
    origin.answer("/a", Answer::new(304).header("etag", "\"e\""));
    let edge = pass(&origin.url()).await;
    for cache in ["Miss", "RefreshHit", "RefreshHit"] {
        assert_eq!(edge.get("/a").await.cache(), cache);
    }
    assert_eq!(origin.count("/a"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_named_by_no_cache_private_and_connection_are_not_stored() {
    let named = "max-age=60, no-cache=\"Set-Cookie\", private=\"x-private\"";
    let hop = [("cache-control", named), ("set-cookie", "s=1"), ("x-private", "1"), ("x-all", "1")];
    let (first, hit) = second(&hop).await;
    assert_eq!((first.header("set-cookie"), first.header("x-private")), ("s=1", "1"));
    assert_eq!((hit.cache(), hit.header("x-all")), ("Hit", "1"));
    assert_eq!((hit.lines("set-cookie").len(), hit.lines("x-private").len()), (0, 0));

    let answer = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 1\r\nconnection: close, x-hop, content-length\r\n\
                  keep-alive: timeout=9\r\nproxy-authenticate: Basic\r\nx-hop: 1\r\nx-end: 1\r\n\r\nx";
    let origin = RawOrigin::start(&[answer]).await;
    let edge = pass(&origin.url()).await;
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.header("x-end"), reply.text().as_str()), (cache, "1", "x"));
        for name in ["x-hop", "keep-alive", "proxy-authenticate"] {
            assert_eq!(reply.lines(name).len(), 0, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsafe_request_drops_its_address_and_those_its_answer_names() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let origin = Origin::start().await;
        for path in ["/a", "/b", "/c"] {
            origin.answer(path, Answer::fresh_for(60, "x").header("vary", "foo"));
        }
        let target = "http://www.example.net/c";
        origin.answer("/change", Answer::new(200).header("location", "/b").header("content-location", target));
        let edge = pass(&origin.url()).await;
        let keep = async |cache: &str| {
            for ask in [Ask::get("/a"), Ask::get("/a").header("foo", "1"), Ask::get("/b"), Ask::get("/c")] {
                assert_eq!(edge.ask(ask.clone()).await.cache(), cache, "{method} {ask:?}");
            }
        };
        keep("Miss").await;
        keep("Hit").await;
        edge.ask(Ask::new(method, "/a")).await;
        edge.ask(Ask::new(method, "/change")).await;
        keep("Miss").await;
        // Another address, and the same one when it failed, changes nothing.
        origin.answer("/d", Answer::new(500));
        edge.ask(Ask::new(method, "/d")).await;
        keep("Hit").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_unsafe_request_drops_nothing() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "x"));
    origin.answer("/a", Answer::new(500));
    let edge = pass(&origin.url()).await;
    edge.get("/a").await;
    assert_eq!(edge.ask(Ask::post("/a", "x")).await.status, 500);
    assert_eq!(edge.get("/a").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_for_one_authorized_is_not_shared_without_leave() {
    for (control, second) in [
        ("max-age=60", "Miss"),
        ("max-age=60, public", "Hit"),
        ("s-maxage=60", "Hit"),
        ("max-age=60, must-revalidate", "Hit"),
    ] {
        let origin = Origin::start().await;
        origin.answer("/a", stored(&[("cache-control", control)]));
        let edge = pass(&origin.url()).await;
        edge.ask(Ask::get("/a").header("authorization", "Basic x")).await;
        assert_eq!(origin.last().header("authorization"), "Basic x");
        assert_eq!(edge.get("/a").await.cache(), second, "{control}");
    }
    // Where it does not reach the origin, nothing was made for anyone.
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "x"));
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    edge.ask(Ask::get("/a").header("authorization", "Basic x")).await;
    assert_eq!((origin.last().header("authorization"), edge.get("/a").await.cache()), ("", "Hit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn must_revalidate_is_never_served_stale() {
    for control in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60", "stale-if-error=0"] {
        let origin = Origin::start().await;
        let headers =
            [("cache-control", format!("max-age=60, {control}")), ("age", "60".into()), ("etag", "\"e\"".into())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        origin.answer("/a", stored(&headers));
        origin.answer("/a", Answer::new(503).body("down"));
        let edge = pass(&origin.url()).await;
        edge.get("/a").await;
        let reply = edge.get("/a").await;
        assert_eq!((reply.status, reply.text().as_str()), (503, "down"), "{control}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_response_stands_in_and_the_failed_origin_is_asked_once() {
    for control in ["max-age=60", "max-age=60, stale-if-error=600", "s-maxage=60, stale-if-error=600"] {
        let origin = Origin::start().await;
        origin.answer("/a", stored(&[("cache-control", control), ("age", "60")]));
        origin.answer("/a", Answer::new(503).body("down"));
        let edge = pass(&origin.url()).await;
        edge.get("/a").await;
        for _ in 0..5 {
            let reply = edge.get("/a").await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "stored"), "{control}");
        }
        assert_eq!(origin.count("/a"), 2, "{control}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_gone_is_covered_by_a_stale_response() {
    let answer = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nage: 60\r\ncontent-length: 6\r\nconnection: close\r\n\r\nstored";
    let origin = RawOrigin::start(&[answer, ""]).await;
    let edge = pass(&origin.url()).await;
    for connection in ["keep-alive", "close", "keep-alive"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "stored"));
        // What ends with the answer says so, or the viewer's next request is lost.
        assert_eq!(reply.header("connection"), connection);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_status_says_what_the_cache_did() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(60, "x").header("cache-status", "before; hit"));
    origin.answer("/stale", stored(&[("cache-control", "max-age=60"), ("age", "60"), ("etag", "\"e\"")]));
    origin.answer("/stale", Answer::new(304).header("etag", "\"e\"").header("cache-control", "max-age=600"));
    origin.answer("/swr", stored(&[("cache-control", "max-age=60, stale-while-revalidate=600"), ("age", "70")]));
    origin.answer("/swr", Answer::fresh_for(60, "new"));
    origin.answer("/private", stored(&[("cache-control", "private")]));
    let edge = pass(&origin.url()).await;
    let status = async |ask: Ask| edge.ask(ask).await.lines("cache-status").last().unwrap_or(&"").to_string();
    let get = async |target: &str| status(Ask::get(target)).await;
    let first = edge.get("/a").await;
    let [before, ours] = first.lines("cache-status")[..] else { panic!("{:?}", first.headers) };
    assert_eq!(before, "before; hit");
    assert!(ours.starts_with("selvedge; fwd=uri-miss; stored; ttl="), "{ours}");
    assert!(get("/a").await.starts_with("selvedge; hit; ttl="));
    get("/stale").await;
    assert!(get("/stale").await.starts_with("selvedge; fwd=stale; fwd-status=304; ttl="));
    get("/swr").await;
    assert!(get("/swr").await.starts_with("selvedge; hit; ttl=-"));
    wait_for("the background fetch", || async { (origin.count("/swr") == 2).then_some(()) }).await;
    assert_eq!(get("/private").await, "selvedge; fwd=uri-miss");
    assert_eq!(status(Ask::post("/a", "x")).await, "selvedge; fwd=method");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_kept_when_the_origin_says_how_long() {
    let origin = Origin::start().await;
    let kept = [400, 403, 410, 429, 499, 599];
    for status in kept {
        let path = format!("/{status}");
        origin.answer(&path, Answer::new(status).header("expires", "Fri, 01 Jan 2100 00:00:00 GMT"));
    }
    origin.answer("/understood", Answer::new(599).header("cache-control", "max-age=60, must-understand"));
    let edge = pass(&origin.url()).await;
    for status in kept {
        let path = format!("/{status}");
        for _ in 0..2 {
            assert_eq!(edge.get(&path).await.status, status);
        }
        assert_eq!(origin.count(&path), 1, "{status}");
    }
    for count in [1, 2] {
        edge.get("/understood").await;
        assert_eq!(origin.count("/understood"), count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_is_kept_apart_and_only_where_that_is_asked_for() {
    let origin = Origin::start().await;
    for body in ["options", "get"] {
        origin.answer("/a", Answer::fresh_for(600, body));
    }
    let cached = format!("{PASS}\ncached_methods = \"read+options\"").replace("\"AllViewer\"", "\"CORS-S3Origin\"");
    let edge = Edge::builder().config(&site(&origin.url(), &cached)).start().await;
    let ask = |method: &str| edge.ask(Ask::new(method, "/a").header("authorization", "Basic eDp5"));
    for (method, cache, body) in [
        ("OPTIONS", "Miss", "options"),
        ("OPTIONS", "Hit", "options"),
        ("GET", "Miss", "get"),
        ("GET", "Hit", "get"),
        ("OPTIONS", "Hit", "options"),
    ] {
        let reply = ask(method).await;
        assert_eq!((reply.cache(), reply.text().as_str()), (cache, body), "{method}");
    }
    // What is kept for everyone is made for nobody in particular.
    assert!(origin.requests().iter().all(|seen| seen.header("authorization").is_empty()));

    let edge = Edge::builder().config(&site(&origin.url(), PASS)).start().await;
    for _ in 0..2 {
        let reply = edge.ask(Ask::new("OPTIONS", "/a").header("authorization", "Basic eDp5")).await;
        assert_eq!((reply.cache(), reply.header("cache-status")), ("Miss", "selvedge; fwd=method"));
        assert_eq!(origin.last().header("authorization"), "Basic eDp5");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_date_is_the_origins_on_misses_and_hits_and_each_answer_has_its_own() {
    let origin = Origin::start().await;
    let ago = |seconds| httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(seconds));
    let (older, newer) = (ago(200), ago(100));
    origin.answer("/older", Answer::fresh_for(600, "x").header("date", &older));
    origin.answer("/newer", Answer::fresh_for(600, "x").header("date", &newer));
    let builder = Edge::builder().tls();
    certs::init_local_ca(&builder.path().join("certs"), &["a.example".to_owned()]).expect("a certificate can be made");
    let edge = builder.config(&site(&origin.url(), PASS)).start().await;
    for target in ["/older", "/newer", "/older"] {
        edge.ask(Ask::get(target).host("a.example")).await;
    }
    let mut connection = TcpStream::connect(edge.http).await.expect("the edge listens");
    for (target, expected) in [("/older", &older), ("/newer", &newer), ("/older", &older)] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("the edge reads");
        let head = String::from_utf8(read_head(&mut connection).await).expect("a head is text");
        assert_eq!(head.lines().find_map(|line| line.strip_prefix("Date: ")), Some(expected.as_str()), "{head}");
        assert_eq!(connection.read_u8().await.expect("the body follows"), b'x');
    }
    for target in ["/older", "/newer"] {
        let stream = tls::connect(edge.https, "a.example", &[]).await.expect("the handshake succeeds");
        let reply = ask_http1(stream, Ask::get(target).host("a.example")).await.expect("the answer is whole");
        let expected = if target == "/older" { &older } else { &newer };
        assert_eq!((reply.cache(), reply.header("date")), ("Hit", expected.as_str()));
    }
    // What the edge says itself is of now.
    let refused = edge.ask(Ask::new("M-SEARCH", "/older").host("a.example")).await;
    let said = httpdate::parse_http_date(refused.header("date")).expect("a date");
    assert!(said > SystemTime::now() - Duration::from_secs(60), "{said:?}");
}
