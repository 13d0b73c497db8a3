//! The edge between a scripted origin and a plain viewer, without functions that
//! answer: those are tested against the real program.

use super::*;
use pingora::apps::ServerApp;
use pingora::protocols::l4::stream::Stream;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with `answer(request text)` and counts them.
async fn origin(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let (answer, counted) = (Arc::new(answer), Arc::clone(&count));
    tokio::spawn(async move {
        while let Ok((mut viewer, _)) = listener.accept().await {
            let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
            tokio::spawn(async move {
                while let Some(request) = read_request(&mut viewer).await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    if viewer.write_all(answer(&request).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, count)
}

async fn read_request(viewer: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = viewer.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&buffer[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(whole);
        }
    }
}

fn ok(body: &str, headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Runs an edge on `behavior` (lines of the default behavior, then other tables).
async fn edge(origin_port: u16, behavior: &str) -> u16 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("selvedge.toml");
    let mut text = String::new();
    write!(
        text,
        "[server]\nhttp = [\"127.0.0.1:8080\"]\nhttps = [\"127.0.0.1:8443\"]\ncertificates = \".\"\n[distributions.site]\ndomains = [\"*\"]\n\
         [distributions.site.origins.app]\nurl = \"http://127.0.0.1:{origin_port}\"\nconnection_attempts = 1\n\
         [distributions.site.default_behavior]\norigin = \"app\"\n{behavior}\n"
    )
    .unwrap();
    std::fs::write(&path, text).unwrap();
    let config = deployment::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    let live = Live::new(config.deployment, HashMap::new());
    let edge = Edge::new(&config.server, live, Arc::new(Path::to_path_buf)).unwrap();
    let proxy = Arc::new(http_proxy(&Arc::new(ServerConf::default()), edge));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (_running, shutdown) = tokio::sync::watch::channel(false);
        while let Ok((viewer, _)) = listener.accept().await {
            let (proxy, shutdown) = (Arc::clone(&proxy), shutdown.clone());
            tokio::spawn(async move {
                proxy.process_new(Box::new(Stream::from(viewer)), &shutdown).await;
            });
        }
    });
    port
}

struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn x_cache(&self) -> &str {
        self.header("x-cache").unwrap_or("none")
    }
}

async fn ask(port: u16, request: &str) -> Answer {
    let mut edge = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = request.replace('\n', "\r\n");
    edge.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    edge.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    Answer { head: head.to_owned(), body: body.to_owned() }
}

async fn get(port: u16, target: &str) -> Answer {
    ask(port, &format!("GET {target} HTTP/1.1\nHost: site.test\nConnection: close\n\n")).await
}

#[tokio::test]
async fn a_miss_is_fetched_and_the_next_request_is_a_hit() {
    let (origin, fetched) = origin(|_| ok("hello", "cache-control: max-age=60\r\n")).await;
    let edge = edge(origin, "").await;
    let first = get(edge, "/a").await;
    assert_eq!((first.status(), first.body.as_str(), first.x_cache()), (200, "hello", "Miss from cloudfront"));
    assert!(first.header("x-amz-cf-id").is_some() && first.header("via").is_some());
    let second = get(edge, "/a").await;
    assert_eq!((second.status(), second.body.as_str(), second.x_cache()), (200, "hello", "Hit from cloudfront"));
    assert!(second.header("age").is_some());
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cached_with_its_length() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (origin, _) = origin(move |_| chunked.to_owned()).await;
    let edge = edge(origin, "").await;
    assert!(get(edge, "/a").await.body.contains("hello"));
    let hit = get(edge, "/a").await;
    assert_eq!(
        (hit.x_cache(), hit.header("content-length"), hit.body.as_str()),
        ("Hit from cloudfront", Some("5"), "hello")
    );
}

#[tokio::test]
async fn an_expired_response_is_revalidated() {
    let (origin, fetched) = origin(|request| {
        if request.to_lowercase().contains("if-none-match: \"1\"") {
            "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncache-control: max-age=60\r\n\r\n".to_owned()
        } else {
            ok("hello", "etag: \"1\"\r\ncache-control: max-age=0\r\n")
        }
    })
    .await;
    let edge = edge(origin, "cache = { min_ttl = \"0s\", default_ttl = \"1d\", max_ttl = \"1d\" }").await;
    assert_eq!(get(edge, "/a").await.x_cache(), "Miss from cloudfront");
    let second = get(edge, "/a").await;
    assert_eq!((second.status(), second.body.as_str(), second.x_cache()), (200, "hello", "RefreshHit from cloudfront"));
    assert_eq!(get(edge, "/a").await.x_cache(), "Hit from cloudfront");
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_behavior_that_does_not_cache_fetches_every_time() {
    let (origin, fetched) = origin(|_| ok("hello", "cache-control: max-age=60\r\n")).await;
    let edge = edge(origin, "cache = \"CachingDisabled\"").await;
    for _ in 0..2 {
        assert_eq!(get(edge, "/a").await.x_cache(), "Miss from cloudfront");
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_store_is_respected_when_the_minimum_ttl_is_zero() {
    let (origin, fetched) = origin(|_| ok("hello", "cache-control: no-store\r\n")).await;
    let edge = edge(origin, "cache = { min_ttl = \"0s\", default_ttl = \"1d\", max_ttl = \"1d\" }").await;
    for _ in 0..2 {
        assert_eq!(get(edge, "/a").await.body, "hello");
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_origin_that_is_down_is_a_502_with_our_page() {
    let edge = edge(1, "").await;
    let answer = get(edge, "/a").await;
    assert_eq!((answer.status(), answer.x_cache()), (502, "Error from cloudfront"));
    assert!(answer.body.contains("Request ID"), "{}", answer.body);
}

#[tokio::test]
async fn a_stale_response_stands_in_for_a_failed_origin() {
    let failing = Arc::new(AtomicUsize::new(0));
    let state = Arc::clone(&failing);
    let (origin, _) = origin(move |_| match state.load(Ordering::SeqCst) {
        0 => ok("hello", "cache-control: max-age=0\r\n"),
        _ => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned(),
    })
    .await;
    let edge = edge(origin, "cache = { min_ttl = \"0s\", default_ttl = \"1d\", max_ttl = \"1d\" }").await;
    get(edge, "/a").await;
    failing.store(1, Ordering::SeqCst);
    let stale = get(edge, "/a").await;
    assert_eq!((stale.status(), stale.body.as_str(), stale.x_cache()), (200, "hello", "RefreshHit from cloudfront"));
}

#[tokio::test]
async fn an_error_is_cached_for_ten_seconds_and_named_so() {
    let (origin, fetched) = origin(|_| "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_owned()).await;
    let edge = edge(origin, "").await;
    for _ in 0..2 {
        let answer = get(edge, "/a").await;
        assert_eq!((answer.status(), answer.body.as_str(), answer.x_cache()), (404, "gone", "Error from cloudfront"));
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_gets_its_custom_page_once_fetched_and_cached() {
    let (origin, fetched) = origin(|request| {
        if request.starts_with("GET /404.html ") {
            ok("<p>lost</p>", "content-type: text/html\r\n")
        } else {
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_owned()
        }
    })
    .await;
    let page = "[[distributions.site.error_pages]]\nerror_code = 404\npath = \"/404.html\"\nresponse_code = 200\n\
                error_caching_min_ttl = \"60s\"";
    let edge = edge(origin, page).await;
    for _ in 0..2 {
        let answer = get(edge, "/a").await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, "<p>lost</p>"), "{}", answer.head);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hook_that_fails_is_a_503_and_the_origin_is_not_asked() {
    let (origin, fetched) = origin(|_| ok("hello", "")).await;
    let function = "hooks.viewer-request = \"ab\"\n[functions.ab]\ncode = \"ab\"";
    let edge = edge_with_function(origin, function).await;
    let answer = get(edge, "/a").await;
    assert_eq!((answer.status(), answer.x_cache()), (503, "LambdaExecutionError from cloudfront"));
    assert_eq!(fetched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_response_hook_that_fails_on_a_hit_is_still_a_503_page() {
    let (origin, _) = origin(|_| ok("hello", "cache-control: max-age=60\r\n")).await;
    let edge = edge_with_function(origin, "hooks.viewer-response = \"ab\"\n[functions.ab]\ncode = \"ab\"").await;
    for _ in 0..2 {
        let answer = get(edge, "/a").await;
        assert_eq!((answer.status(), answer.x_cache()), (503, "LambdaExecutionError from cloudfront"));
        assert!(answer.body.contains("Request ID") && !answer.body.contains("hello"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_origin_response_hook_that_fails_is_a_503_page_and_nothing_is_cached() {
    let (origin, fetched) = origin(|_| ok("hello", "cache-control: max-age=60\r\n")).await;
    let edge = edge_with_function(origin, "hooks.origin-response = \"ab\"\n[functions.ab]\ncode = \"ab\"").await;
    for _ in 0..2 {
        assert_eq!(get(edge, "/a").await.status(), 503);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

/// The function exists in the configuration and is never prepared, so that it fails.
async fn edge_with_function(origin_port: u16, behavior: &str) -> u16 {
    let dir = std::env::temp_dir().join("selvedge-edge-tests-function");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("index.js"), "exports.handler = async () => null").unwrap();
    edge(origin_port, &behavior.replace("code = \"ab\"", &format!("code = {:?}", dir.display().to_string()))).await
}

#[tokio::test]
async fn the_origin_sees_only_what_the_policies_forward() {
    let (origin, _) = origin(|request| ok(request, "set-cookie: a=1\r\n")).await;
    let edge = edge(origin, "cache = \"CachingOptimized\"").await;
    let request = "GET /a?x=1 HTTP/1.1\nHost: site.test\nConnection: close\nCookie: s=1\nX-Mine: 2\n\
                   Accept-Encoding: gzip, deflate, br\nUser-Agent: me\n\n";
    let answer = ask(edge, request).await;
    let seen = answer.body.to_lowercase();
    assert!(seen.starts_with("get /a http/1.1"), "{seen}");
    for (text, expected) in [
        ("cookie:", false),
        ("x-mine", false),
        ("accept-encoding: br,gzip", true),
        ("user-agent: amazon cloudfront", true),
        ("x-forwarded-for: ", true),
        ("via: 1.1 ", true),
        ("host: 127.0.0.1:", true),
    ] {
        assert_eq!(seen.contains(text), expected, "{text} in {seen}");
    }
    assert_eq!(answer.header("set-cookie"), None, "cookies are not forwarded");
}

#[tokio::test]
async fn a_post_passes_with_its_body_and_is_not_cached() {
    let (origin, _) = origin(|request| ok(request.split_once("\r\n\r\n").unwrap().1, "")).await;
    let edge = edge(origin, "allowed_methods = \"all\"").await;
    let request = "POST /a HTTP/1.1\nHost: site.test\nConnection: close\nContent-Length: 4\n\nbody";
    for _ in 0..2 {
        let answer = ask(edge, request).await;
        assert_eq!((answer.body.as_str(), answer.x_cache()), ("body", "Miss from cloudfront"));
    }
}

#[tokio::test]
async fn the_door_refuses_what_cloudfront_refuses() {
    let (origin, fetched) = origin(|_| ok("hello", "")).await;
    let edge = edge(origin, "").await;
    let long = format!("/{}", "a".repeat(9000));
    assert_eq!(get(edge, &long).await.status(), 414);
    let post = "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 0\n\n";
    assert_eq!(ask(edge, post).await.status(), 403);
    let body = "GET / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi";
    assert_eq!(ask(edge, body).await.status(), 403);
    let large = format!("GET / HTTP/1.1\nHost: a\nConnection: close\nX-A: {}\n\n", "a".repeat(33_000));
    assert_eq!(ask(edge, &large).await.status(), 494);
    assert_eq!(fetched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http_is_redirected_or_refused_where_the_behavior_says_so() {
    let (origin, _) = origin(|_| ok("hello", "")).await;
    let redirecting = edge(origin, "viewer_protocol = \"redirect-to-https\"").await;
    let answer = get(redirecting, "/a?b=1").await;
    assert_eq!((answer.status(), answer.x_cache()), (301, "Redirect from cloudfront"));
    assert_eq!(answer.header("location"), Some("https://site.test/a?b=1"));
    let ported = ask(redirecting, "GET /a HTTP/1.1\nHost: site.test:8080\nConnection: close\n\n").await;
    assert_eq!(ported.header("location"), Some("https://site.test:8443/a"));
    let strict = edge(origin, "viewer_protocol = \"https-only\"").await;
    assert_eq!(get(strict, "/a").await.status(), 403);
}

#[tokio::test]
async fn concurrent_misses_are_one_fetch() {
    let (origin, fetched) = origin(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        ok("hello", "cache-control: max-age=60\r\n")
    })
    .await;
    let edge = edge(origin, "").await;
    let answers = futures_util::future::join_all((0..8).map(|_| get(edge, "/a"))).await;
    assert!(answers.iter().all(|answer| answer.body == "hello"));
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_revalidating_the_stale_response_is_served_and_refreshed_once() {
    let (origin, fetched) = origin(|_| ok("hello", "cache-control: max-age=0, stale-while-revalidate=60\r\n")).await;
    let edge = edge(origin, "cache = { min_ttl = \"0s\", default_ttl = \"1d\", max_ttl = \"1d\" }").await;
    get(edge, "/a").await;
    let stale = get(edge, "/a").await;
    assert_eq!((stale.body.as_str(), stale.x_cache()), ("hello", "RefreshHit from cloudfront"));
    for _ in 0..200 {
        if fetched.load(Ordering::SeqCst) == 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no background fetch, {} fetches", fetched.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_conditional_request_and_a_range_are_answered_from_the_cache() {
    let (origin, fetched) = origin(|_| ok("0123456789", "etag: \"1\"\r\ncache-control: max-age=60\r\n")).await;
    let edge = edge(origin, "").await;
    get(edge, "/a").await;
    let conditional = "GET /a HTTP/1.1\nHost: a\nConnection: close\nIf-None-Match: \"1\"\n\n";
    assert_eq!(ask(edge, conditional).await.status(), 304);
    let range = ask(edge, "GET /a HTTP/1.1\nHost: a\nConnection: close\nRange: bytes=2-4\n\n").await;
    assert_eq!((range.status(), range.body.as_str()), (206, "234"));
    let unordered = ask(edge, "GET /a HTTP/1.1\nHost: a\nConnection: close\nRange: bytes=5-6,1-2\n\n").await;
    assert_eq!((unordered.status(), unordered.body.len()), (200, 10));
    let head = ask(edge, "HEAD /a HTTP/1.1\nHost: a\nConnection: close\n\n").await;
    assert_eq!((head.status(), head.body.as_str(), head.header("content-length")), (200, "", Some("10")));
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}
