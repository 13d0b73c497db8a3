//! Request smuggling: one connection's bytes that an edge and an origin might cut into
//! requests differently. Each attack is sent as an attacker writes it, and the origin
//! must never see the request that hides in it.

use selvedge_tests::raw::exchange;
use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, site};

/// All of the viewer's request reaches the origin, bodies too.
const OPEN: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

/// The request that hides, and the body that it hides in.
const EVIL: &str = "GET /evil HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const CHUNKED: &str = "0\r\n\r\nGET /evil HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

async fn open(origin: &Origin) -> Edge {
    Edge::builder().config(&site(&origin.url(), OPEN)).start().await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

/// Sends bytes on a connection of their own.
async fn send(edge: &Edge, request: &str) -> String {
    exchange(edge.http, request.as_bytes()).await
}

/// The paths the origin was asked for, after everything before them was read.
async fn asked(edge: &Edge, origin: &Origin) -> Vec<String> {
    edge.get("/fence").await;
    origin.requests().into_iter().map(|seen| seen.target).filter(|target| target != "/fence").collect()
}

/// Sends the body behind each of these header lines, which frame it in more than one way.
async fn smuggles_nothing(heads: &[String]) {
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    for head in heads {
        for method in ["POST", "GET", "OPTIONS"] {
            let request = format!("{method} /first HTTP/1.1\r\nhost: a\r\n{head}\r\n{CHUNKED}");
            let answer = send(&edge, &request).await;
            let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
            let answers = answer.matches("HTTP/1.1 ").count();
            assert!(refused || answers == 1, "{head:?} {method}: {answers} answers\n{answer}");
            let paths = asked(&edge, &origin).await;
            assert!(!paths.iter().any(|path| path.contains("evil")), "{head:?} {method}: the origin saw {paths:?}");
        }
    }
    for seen in origin.requests() {
        let (length, coded) =
            (seen.headers.contains_key("content-length"), seen.headers.contains_key("transfer-encoding"));
        assert!(!(length && coded), "{:?} reached the origin with two lengths", seen.target);
    }
}

fn lines(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|head| format!("{head}\r\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_te_a_length_before_chunks_smuggles_nothing() {
    let length = CHUNKED.len();
    smuggles_nothing(&[
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("content-length: {length}\r\ntransfer-encoding:\tchunked\r\n"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te_cl_chunks_before_a_length_smuggle_nothing() {
    let length = CHUNKED.len();
    smuggles_nothing(&[
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n".to_owned(),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn te_te_codings_that_hide_chunks_smuggle_nothing() {
    let heads = [
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding : chunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: \"chunked\"",
        "x: x\r\n transfer-encoding: chunked",
    ];
    smuggles_nothing(&lines(&heads)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_length_given_twice_smuggles_nothing() {
    let length = CHUNKED.len();
    smuggles_nothing(&[
        format!("content-length: 5\r\ncontent-length: {length}\r\n"),
        format!("content-length: {length}\r\ncontent-length: 5\r\n"),
        format!("content-length: 5, {length}\r\n"),
        "content-length: 0\r\ncontent-length: 5\r\n".to_owned(),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_content_length_smuggles_nothing() {
    let heads = [
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x10",
        "content-length: five",
        "content-length: 99999999999999999999999",
        "content-length: 5 5",
        "content-length: 5.0",
        "content-length: 5;a",
        "content-length:",
        "content-length : 5",
    ];
    smuggles_nothing(&lines(&heads)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folded_and_broken_header_lines_smuggle_nothing() {
    let length = CHUNKED.len();
    smuggles_nothing(&[
        format!("x-a: b\r\n content-length: {length}\r\n"),
        format!("x-a: b\r\n\tcontent-length: {length}\r\n"),
        format!("content-length:\r\n {length}\r\n"),
        format!("x-a: b\rcontent-length: {length}\r\n"),
        format!("x-a: b\0c\r\ncontent-length: {length}\r\n"),
        format!("x-a\r\ncontent-length: {length}\r\n"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_has_no_chunks() {
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    let head = "POST /first HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = send(&edge, &format!("{head}0\r\n\r\n{EVIL}")).await;
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
    // CVE-2026-2833: bytes after an upgrade request must not reach the origin unread. They are
    // a request of their own, which the origin gets as the edge makes it.
    let origin = Origin::start().await;
    let edge = open(&origin).await;
    let request = "GET /first HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\
                   GET /evil HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n";
    send(&edge, request).await;
    for seen in origin.requests() {
        assert!(!seen.body.windows(5).any(|window| window == b"/evil"), "{seen:?}");
        assert!(!seen.header("x-amz-cf-id").is_empty() && !seen.header("via").is_empty(), "{seen:?}");
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
