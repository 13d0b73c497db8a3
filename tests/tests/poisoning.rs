//! Attacks on a shared cache and on the framing of requests: bytes as an attacker
//! writes them, and what everyone else gets afterwards.

use selvedge_tests::raw::exchange;
use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, site};

/// All of the viewer's request reaches the origin, the key holds little of it.
const OPEN: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

async fn open(origin: &Origin) -> Edge {
    Edge::builder().config(&site(&origin.url(), OPEN)).start().await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

/// Sends one request head (and body) on a connection of its own.
async fn send(edge: &Edge, request: &str) -> String {
    exchange(edge.http, request.as_bytes()).await
}

/// The paths the origin was asked for, after everything before them was read.
async fn asked(edge: &Edge, origin: &Origin) -> Vec<String> {
    edge.get("/fence").await;
    origin.requests().into_iter().map(|seen| seen.target).filter(|target| target != "/fence").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_framing_smuggles_no_request() {
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    let evil = "GET /evil HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let chunked = format!("0\r\n\r\n{evil}");
    let length = chunked.len();
    for (name, head) in [
        ("CL.TE", format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")),
        ("TE.CL", format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n")),
        ("TE.TE", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".into()),
        ("TE.TE hidden", "transfer-encoding: xchunked\r\n".into()),
        ("TE.TE list", "transfer-encoding: chunked, identity\r\n".into()),
        ("TE tab", "transfer-encoding:\tchunked\r\ncontent-length: 3\r\n".into()),
        ("TE space", "transfer-encoding : chunked\r\n".into()),
        ("CL.CL", format!("content-length: 5\r\ncontent-length: {length}\r\n")),
        ("CL list", format!("content-length: 5, {length}\r\n")),
        ("CL plus", format!("content-length: +{length}\r\n")),
        ("CL minus", "content-length: -1\r\n".into()),
        ("CL hex", "content-length: 0x10\r\n".into()),
        ("CL words", "content-length: five\r\n".into()),
        ("CL huge", "content-length: 99999999999999999999999\r\n".into()),
        ("CL space", "content-length: 5 5\r\n".into()),
        ("obs-fold", format!("x-a: b\r\n content-length: {length}\r\n")),
        ("bare CR", format!("x-a: b\rcontent-length: {length}\r\n")),
        ("NUL", format!("x-a: b\0c\r\ncontent-length: {length}\r\n")),
    ] {
        for method in ["POST", "GET"] {
            let request = format!("{method} /first HTTP/1.1\r\nhost: a\r\n{head}\r\n{chunked}");
            let answer = send(&edge, &request).await;
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
            let answers = answer.matches("HTTP/1.1 ").count();
            assert!(refused || answers == 1, "{name} {method}: {answers} answers\n{answer}");
            let paths = asked(&edge, &origin).await;
            assert!(!paths.iter().any(|path| path.contains("evil")), "{name} {method}: the origin saw {paths:?}");
        }
    }
    for seen in origin.requests() {
        let (length, coded) =
            (seen.headers.contains_key("content-length"), seen.headers.contains_key("transfer-encoding"));
        assert!(!(length && coded), "{:?} reached the origin with two lengths", seen.target);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_has_no_chunks() {
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    let evil = "POST /first HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n\
                0\r\n\r\nGET /evil HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = send(&edge, evil).await;
    assert_eq!(answer.matches("HTTP/1.").count().min(2), usize::from(!answer.is_empty()), "{answer}");
    assert!(!asked(&edge, &origin).await.iter().any(|path| path.contains("evil")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_line_feeds_end_no_head_that_others_read_on() {
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    for request in [
        "GET /first HTTP/1.1\nhost: a\n\nGET /evil HTTP/1.1\nhost: a\n\n",
        "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\nx\n0\n\nGET /evil HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;\nx\r\nx\r\n0\r\n\r\n",
    ] {
        send(&edge, &format!("{request}GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        for seen in origin.requests() {
            assert!(!seen.body.windows(5).any(|window| window == b"/evil"), "{:?}", seen.target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_the_origin_declines_hides_no_request() {
    // CVE-2026-2833: bytes after an upgrade request must not reach the origin unread.
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    let request = "GET /first HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\
                   GET /evil HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n";
    send(&edge, request).await;
    for seen in origin.requests() {
        assert!(!seen.body.windows(5).any(|window| window == b"/evil"), "{seen:?}");
        assert_ne!(seen.header("host"), "evil", "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_with_a_body_leaves_nothing_in_the_connection() {
    // CVE-2025-4366: a body that a cached answer did not read became the next request.
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "cached"));
    let edge = open(&origin).await;
    edge.get("/a").await;
    let evil = "GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n";
    let request = format!(
        "GET /a HTTP/1.1\r\nhost: www.example.net\r\ncontent-length: {}\r\n\r\n{evil}\
         GET /a HTTP/1.1\r\nhost: www.example.net\r\nconnection: close\r\n\r\n",
        evil.len()
    );
    let answer = send(&edge, &request).await;
    assert_eq!(status(&answer), "403", "a GET with a body is refused: {answer}");
    assert!(!asked(&edge, &origin).await.iter().any(|path| path.contains("evil")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_of_a_http_1_0_request_or_response_is_believed_once() {
    // CVE-2026-2835: HTTP/1.0 and transfer codings.
    let answer = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\ncache-control: max-age=60\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let origin = RawOrigin::start(&[answer]).await;
    let edge = Edge::builder().config(&site(&origin.url(), OPEN)).start().await;
    let first = exchange(edge.http, b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let again = exchange(edge.http, b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    for answer in [&first, &again] {
        let (head, _) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let head = head.to_ascii_lowercase();
        assert!(!(head.contains("content-length:") && head.contains("transfer-encoding:")), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_is_in_the_key_whatever_its_form() {
    // CVE-2026-2836: a key without the host served one site's pages on another.
    let origin = Origin::start().await;
    for body in ["one", "two", "three"] {
        origin.answer("/a", Answer::fresh_for(600, body));
    }
    let edge = open(&origin).await;
    let ask = |host: &str| edge.ask(Ask::get("/a").host(host));
    assert_eq!(ask("one.example").await.text(), "one");
    assert_eq!(ask("two.example").await.text(), "two");
    let same = ask("ONE.example").await;
    assert_eq!((same.cache(), same.text().as_str()), ("Hit", "one"));
    let absolute =
        send(&edge, "GET http://two.example/a HTTP/1.1\r\nhost: two.example\r\nconnection: close\r\n\r\n").await;
    assert!(absolute.ends_with("two"), "{absolute}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_in_one_request_are_refused_or_mean_one() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let edge = open(&origin).await;
    for request in [
        "GET /a HTTP/1.1\r\nhost: good.example\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
        "GET http://good.example/a HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: good.example/x\r\nconnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: good.example@evil.example\r\nconnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",
    ] {
        let answer = send(&edge, request).await;
        if status(&answer) == "200" {
            let seen = origin.requests().into_iter().rev().find(|seen| seen.target == "/a");
            let host = seen.map(|seen| seen.header("host").to_owned()).unwrap_or_default();
            assert_eq!(host, "good.example", "{request}");
        }
    }
    let without = send(&edge, "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&without), "400", "{without}");
    let victim = edge.ask(Ask::get("/a").host("victim.example")).await;
    assert_eq!(victim.cache(), "Miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarding_headers_of_a_viewer_do_not_poison_what_others_get() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    // By default none of them reaches the origin as the viewer wrote it.
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    let names = ["x-forwarded-host", "x-forwarded-proto", "x-original-url", "x-rewrite-url", "forwarded", "x-host"];
    let evil = names.iter().fold(Ask::get("/a"), |ask, name| ask.header(name, "evil"));
    edge.ask(evil).await;
    let seen = origin.last();
    assert!(names.iter().all(|name| seen.header(name).is_empty()), "{:?}", seen.headers);
    assert_ne!(seen.header("host"), "evil");

    // Where the key holds them, another value is another response.
    let keyed = "cache = { min_ttl = \"60s\", headers = [\"x-forwarded-host\"] }";
    let edge = Edge::builder().config(&site(&origin.url(), keyed)).start().await;
    edge.ask(Ask::get("/a").header("x-forwarded-host", "evil")).await;
    assert_eq!(edge.get("/a").await.cache(), "Miss");
    assert_eq!(edge.ask(Ask::get("/a").header("x-forwarded-host", "evil")).await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_with_a_body_is_refused_and_a_post_never_answers_a_get() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let edge = open(&origin).await;
    for framing in ["content-length: 1\r\n\r\nx", "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"] {
        let answer = send(&edge, &format!("GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framing}")).await;
        assert_eq!(status(&answer), "403", "{answer}");
    }
    edge.ask(Ask::post("/a", "evil=1").header("x-http-method-override", "GET")).await;
    assert_eq!(edge.get("/a").await.cache(), "Miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_written_differently_is_another_object_but_no_other_behavior() {
    let (public, admin) = (Origin::start().await, Origin::start().await);
    let config = format!(
        "[distributions.site]\ndomains = [\"*\"]\n\
         [distributions.site.origins.public]\nurl = \"{}\"\n[distributions.site.origins.admin]\nurl = \"{}\"\n\
         [[distributions.site.behaviors]]\npath = \"/admin/*\"\norigin = \"admin\"\ncache = \"CachingDisabled\"\n\
         [distributions.site.default_behavior]\norigin = \"public\"\ncache = {{ min_ttl = \"60s\" }}\n",
        public.url(),
        admin.url()
    );
    let edge = Edge::builder().config(&config).start().await;
    // Every one of these is below /admin/: none is cached by the rule for public pages.
    for target in ["/admin/x", "//admin/x", "/public/../admin/x", "/./admin/x", "/%61dmin/x", "/a/%2e%2e/admin/x.css"] {
        for _ in 0..2 {
            assert_ne!(edge.get(target).await.cache(), "Hit", "{target}");
        }
    }
    assert_eq!(public.requests().len(), 0);
    // An encoded slash is no slash, and its object is its own.
    assert_eq!(edge.get("/admin%2Fx").await.cache(), "Miss");
    assert_eq!(edge.get("/admin%2fx").await.cache(), "Miss");
    assert_eq!((public.requests().len(), edge.get("/admin%2Fx").await.cache()), (2, "Hit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_page_under_a_static_name_is_not_kept() {
    // Web cache deception: /account/x.css answers with the account.
    let origin = Origin::start().await;
    let account = Answer::new(200).header("cache-control", "private, no-store").header("set-cookie", "s=1");
    origin.answer("/account/x.css", account.body("secret"));
    let edge = open(&origin).await;
    edge.ask(Ask::get("/account/x.css").header("cookie", "session=victim")).await;
    origin.answer("/account/x.css", Answer::new(403));
    assert_ne!(edge.get("/account/x.css").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_cookie_is_shared_only_where_cookies_are_forwarded_and_never_when_excluded() {
    let cookie =
        |control: &str| Answer::new(200).header("cache-control", control).header("set-cookie", "s=1").body("x");
    let origin = Origin::start().await;
    origin.answer("/a", cookie("max-age=600"));
    origin.answer("/b", cookie("max-age=600, no-cache=\"Set-Cookie\""));
    let closed = Edge::builder().config(&site(&origin.url(), "")).start().await;
    for path in ["/a", "/a", "/b", "/b"] {
        assert_eq!(closed.get(path).await.lines("set-cookie").len(), 0, "{path}");
    }
    let edge = open(&origin).await;
    assert_eq!(edge.get("/b").await.lines("set-cookie").len(), 1);
    let hit = edge.get("/b").await;
    assert_eq!((hit.cache(), hit.lines("set-cookie").len()), ("Hit", 0));
}
