//! Requests that a viewer sends without waiting for answers (RFC 9112 9.3.2): each is
//! answered, in order, and none begins where another one's body does.

use selvedge_tests::raw::exchange;
use selvedge_tests::{Answer, Edge, Origin, site};
use std::fmt::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const OPEN: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The bodies of the answers in a connection's bytes, each with a status before it.
fn answers(mut bytes: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap_or_default();
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let (body, next) = rest.split_at_checked(length.unwrap_or(0)).unwrap_or((rest, ""));
        found.push(format!("{status} {body}"));
        bytes = next;
    }
    found
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_at_once_are_answered_in_order() {
    let origin = Origin::start().await;
    origin.answer("/kept", Answer::fresh_for(600, "kept"));
    let edge = Edge::builder().config(&site(&origin.url(), OPEN)).start().await;
    let (mut requests, mut expected) = (String::new(), Vec::new());
    for nth in 0..100 {
        let (path, body) = if nth % 3 == 0 {
            ("/kept".to_owned(), "kept".to_owned())
        } else {
            (format!("/{nth}"), format!("origin says /{nth}"))
        };
        requests.push_str(&get(&path));
        expected.push(format!("200 {body}"));
    }
    requests.push_str(LAST);
    expected.push("200 origin says /last".to_owned());
    let all = exchange(edge.http, requests.as_bytes()).await;
    assert_eq!(answers(&all), expected, "{all}");
    assert_eq!(origin.count("/kept"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_and_bodies_keep_requests_apart() {
    let origin = Origin::start().await;
    for path in ["/length", "/chunks"] {
        origin.answer(path, Answer::new(200).body("done"));
    }
    let code = "export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  if (request.uri === '/made') return { status: '200', body: 'made' };
  request.headers['x-seen'] = [{ value: request.uri }];
  return request;
};";
    let lines = format!("hooks.viewer-request = \"f\"\n{OPEN}");
    let edge = Edge::builder().function("f", code).config(&site(&origin.url(), &lines)).start().await;
    let hidden = get("/hidden");
    let (mut requests, size) = (String::new(), hidden.len());
    let _ = write!(requests, "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n{hidden}");
    requests.push_str(&get("/made"));
    let chunked = format!("{size:x};a=b\r\n{hidden}\r\n1\r\n!\r\n0\r\nx-trailer: 1\r\n\r\n");
    let _ = write!(requests, "POST /chunks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunked}");
    requests.push_str(&get("/between"));
    requests.push_str(LAST);
    let expected = ["200 done", "200 made", "200 done", "200 origin says /between", "200 origin says /last"];
    // Whole, and cut wherever the network may.
    for piece in [requests.len(), 1, 7, 64] {
        let mut stream = TcpStream::connect(edge.http).await.expect("the edge listens");
        stream.set_nodelay(true).expect("the socket is open");
        let (mut read, mut write) = stream.split();
        let sending = async {
            for part in requests.as_bytes().chunks(piece) {
                write.write_all(part).await.expect("the edge reads");
                tokio::task::yield_now().await;
            }
        };
        let mut all = Vec::new();
        let (all_read, ()) = tokio::join!(read.read_to_end(&mut all), sending);
        all_read.expect("the edge closes");
        let all = String::from_utf8_lossy(&all).into_owned();
        assert_eq!(answers(&all), expected, "in pieces of {piece}: {all}");
    }
    for seen in origin.requests() {
        assert_eq!(seen.header("x-seen"), seen.target, "no request but the function's own");
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        match seen.target.as_str() {
            "/length" => assert_eq!(body, hidden),
            "/chunks" => assert_eq!(body, format!("{hidden}!")),
            other => assert!(matches!(other, "/between" | "/last") && body.is_empty(), "{other}: {body}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_an_error_page_is_answered_or_the_end_is_announced() {
    let origin = Origin::start().await;
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    // Refused as a whole, and with a body that nobody reads.
    let posts = ["POST /a HTTP/1.1\r\nhost: a\r\n\r\n", "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"];
    for post in posts {
        let all = exchange(edge.http, format!("{post}{LAST}").as_bytes()).await;
        let answers = answers(&all);
        assert!(answers[0].starts_with("403"), "{all}");
        let announced =
            all.to_ascii_lowercase().split("\r\n\r\n").next().is_some_and(|head| head.contains("connection: close"));
        assert!(answers.last().is_some_and(|last| last == "200 origin says /last") || announced, "{all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_more_than_one_length_is_the_last_and_says_so() {
    let origin = Origin::start().await;
    let edge = Edge::builder().config(&site(&origin.url(), OPEN)).start().await;
    for head in
        ["content-length: 2, 2", "content-length: 2\r\ncontent-length: 2", "transfer-encoding: identity, chunked"]
    {
        let body = if head.contains("chunked") { "2\r\nab\r\n0\r\n\r\n" } else { "ab" };
        let request = format!("POST /first HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n{body}{}{LAST}", get("/evil"));
        let all = exchange(edge.http, request.as_bytes()).await;
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{head}: {all}");
        assert!(all.to_ascii_lowercase().contains("connection: close"), "{head}: {all}");
    }
    assert_eq!(origin.count("/evil"), 0);
}
