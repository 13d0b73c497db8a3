//! Attacks on a shared cache: bytes as an attacker writes them, and what everyone else
//! gets afterwards. Attacks on the framing of requests are in `smuggling.rs`.

use selvedge_tests::raw::exchange;
use selvedge_tests::{Answer, Ask, Edge, Origin, site, tls, viewer};

/// All of the viewer's request reaches the origin, the key holds little of it.
const OPEN: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

async fn open(origin: &Origin) -> Edge {
    Edge::builder().config(&site(&origin.url(), OPEN)).start().await
}

/// A request as an attacker writes it, for one path of one host.
fn get(target: &str, host: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{lines}\r\n")
}

/// The first word of `X-Cache`.
fn cache(answer: &str) -> &str {
    let line =
        answer.lines().find_map(|line| line.strip_prefix("x-cache: ").or_else(|| line.strip_prefix("X-Cache: ")));
    line.and_then(|value| value.split(' ').next()).unwrap_or("")
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
async fn the_host_is_in_the_key_whatever_its_form() {
    // CVE-2026-2836: a key without the host served one site's pages on another.
    let origin = Origin::start().await;
    for body in ["one", "two", "three"] {
        origin.answer("/a", Answer::fresh_for(600, body));
    }
    let edge = open(&origin).await;
    for (host, body, stored) in [
        ("one.example", "one", "Miss"),
        ("two.example", "two", "Miss"),
        ("ONE.example", "one", "Hit"),
        // An origin may put the port it is told into links: others must not get them.
        ("one.example:4711", "three", "Miss"),
        ("one.example", "one", "Hit"),
    ] {
        let answer = send(&edge, &get("/a", host, "")).await;
        assert_eq!((cache(&answer), answer.ends_with(body)), (stored, true), "{host}: {answer}");
    }
    let told: Vec<String> = origin.requests().iter().map(|seen| seen.header("host").to_owned()).collect();
    assert_eq!(told, ["one.example", "two.example", "one.example:4711"]);
    let absolute =
        send(&edge, "GET http://two.example/a HTTP/1.1\r\nhost: two.example\r\nconnection: close\r\n\r\n").await;
    assert!(absolute.ends_with("two"), "{absolute}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarding_headers_of_a_viewer_do_not_poison_what_others_get() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    // By default none of them reaches the origin as the viewer wrote it.
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    let names = ["x-forwarded-host", "x-forwarded-proto", "x-original-url", "x-rewrite-url", "forwarded", "x-host"];
    let evil: String = names.iter().map(|name| format!("{name}: evil\r\n")).collect();
    send(&edge, &get("/a", "www.example.net", &evil)).await;
    let seen = origin.last();
    assert!(names.iter().all(|name| seen.header(name).is_empty()), "{:?}", seen.headers);
    assert_ne!(seen.header("host"), "evil");

    // Where the key holds them, another value is another response.
    let keyed = "cache = { min_ttl = \"60s\", headers = [\"x-forwarded-host\"] }";
    let edge = Edge::builder().config(&site(&origin.url(), keyed)).start().await;
    let evil = get("/a", "www.example.net", "x-forwarded-host: evil\r\n");
    send(&edge, &evil).await;
    assert_eq!(edge.get("/a").await.cache(), "Miss");
    assert_eq!(cache(&send(&edge, &evil).await), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_a_body_is_refused_and_a_post_never_answers_a_get() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let edge = open(&origin).await;
    for framing in ["content-length: 1\r\n\r\nx", "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framing}");
            let answer = send(&edge, &request).await;
            assert_eq!(status(&answer), "403", "{answer}");
        }
    }
    assert_eq!(origin.requests().len(), 0);
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
            let answer = send(&edge, &get(target, "www.example.net", "")).await;
            assert_eq!((status(&answer), cache(&answer)), ("200", "Miss"), "{target}");
        }
    }
    assert_eq!(public.requests().len(), 0);
    // An encoded slash is no slash, and its object is its own.
    for (target, stored) in [("/admin%2Fx", "Miss"), ("/admin%2fx", "Miss"), ("/admin%2Fx", "Hit")] {
        assert_eq!(cache(&send(&edge, &get(target, "www.example.net", "")).await), stored, "{target}");
    }
    assert_eq!(public.requests().len(), 2);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_body_had_a_say_in_is_kept_for_nobody() {
    let origin = Origin::start().await;
    for body in ["made of the body", "plain", "made of the body"] {
        origin.answer("/a", Answer::fresh_for(600, body));
    }
    let config = site(&origin.url(), &format!("{OPEN}\ncached_methods = \"read+options\""));
    let edge = Edge::builder().config(&config).start().await;
    let evil = "OPTIONS /a HTTP/1.1\r\nhost: www.example.net\r\nconnection: close\r\ncontent-length: 4\r\n\r\nevil";
    assert!(send(&edge, evil).await.ends_with("made of the body"));
    let victim = edge.ask(Ask::new("OPTIONS", "/a")).await;
    assert_eq!((victim.cache(), victim.text().as_str()), ("Miss", "plain"));
    // A hit does not leave a body in the connection, to become the next request.
    let evil = "GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n";
    let request = format!(
        "OPTIONS /a HTTP/1.1\r\nhost: www.example.net\r\ncontent-length: {}\r\n\r\n{evil}\
         OPTIONS /a HTTP/1.1\r\nhost: www.example.net\r\nconnection: close\r\n\r\n",
        evil.len()
    );
    send(&edge, &request).await;
    assert!(!asked(&edge, &origin).await.iter().any(|path| path.contains("evil")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_no_stated_length_over_http_2_is_kept_for_nobody() {
    let origin = Origin::start().await;
    for body in ["made of the body", "plain"] {
        origin.answer("/a", Answer::fresh_for(600, body));
    }
    let builder = Edge::builder().tls();
    certs::init_local_ca(&builder.path().join("certs"), &["a.example".to_owned()]).expect("a certificate can be made");
    let edge = builder.config(&site(&origin.url(), OPEN)).start().await;
    let ask = |ask: Ask| async {
        let stream = tls::connect(edge.https, "a.example", &["h2"]).await.expect("the handshake succeeds");
        viewer::ask_http2(stream, vec![ask.host("a.example")]).await.expect("the answer is whole").remove(0)
    };
    let fat = ask(Ask::post("/a", "evil").with("GET").chunked()).await;
    assert!(fat.status == 403 || fat.text() == "made of the body", "{}", fat.status);
    let victim = ask(Ask::get("/a")).await;
    assert_eq!(victim.cache(), "Miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheme_is_in_the_key_where_the_origin_hears_of_it() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    for (forward, over_https) in
        [("", "Hit"), ("forward = { edge_headers = [\"CloudFront-Forwarded-Proto\"] }", "Miss")]
    {
        let builder = Edge::builder().tls();
        let certificates = builder.path().join("certs");
        certs::init_local_ca(&certificates, &["a.example".to_owned()]).expect("a certificate can be made");
        let edge = builder.config(&site(&origin.url(), forward)).start().await;
        send(&edge, &get("/a", "a.example", "cloudfront-forwarded-proto: https\r\n")).await;
        let stream = tls::connect(edge.https, "a.example", &[]).await.expect("the handshake succeeds");
        let reply = viewer::ask_http1(stream, Ask::get("/a").host("a.example")).await.expect("the answer is whole");
        assert_eq!(reply.cache(), over_https, "{forward}");
    }
    let told: Vec<String> =
        origin.requests().iter().map(|seen| seen.header("cloudfront-forwarded-proto").to_owned()).collect();
    assert_eq!(told, ["", "http", "https"]);
}
