//! Ranges of cached responses: from the cache, while they are fetched, and when
//! the whole response is the answer.

use selvedge_tests::raw::{exchange, read_head};
use selvedge_tests::{Answer, Ask, Edge, Origin, Reply, site};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

async fn edge(origin_url: &str) -> Edge {
    Edge::builder().config(&site(origin_url, "")).start().await
}

fn digits() -> Answer {
    Answer::fresh_for(600, "0123456789").header("etag", "\"e\"").header("content-type", "text/plain")
}

async fn range(edge: &Edge, range: &str) -> Reply {
    edge.ask(Ask::get("/a").header("range", range)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_comes_from_the_cache_where_the_whole_is_stored() {
    let origin = Origin::start().await;
    origin.answer("/a", digits());
    let edge = edge(&origin.url()).await;
    for (wanted, cache, content_range, body) in [
        ("bytes=2-4", "Miss", "bytes 2-4/10", "234"),
        ("bytes=0-0", "Hit", "bytes 0-0/10", "0"),
        ("bytes=7-", "Hit", "bytes 7-9/10", "789"),
        ("bytes=-2", "Hit", "bytes 8-9/10", "89"),
        ("bytes=8-100", "Hit", "bytes 8-9/10", "89"),
    ] {
        let reply = range(&edge, wanted).await;
        assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (206, cache, body), "{wanted}");
        assert_eq!(reply.header("content-range"), content_range);
        assert_eq!(reply.header("content-length"), body.len().to_string());
    }
    let seen = origin.last();
    assert_eq!((origin.count("/a"), seen.header("range")), (1, "bytes=2-4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_good_range_is_the_whole_or_416() {
    let origin = Origin::start().await;
    origin.answer("/a", digits());
    let edge = edge(&origin.url()).await;
    // CloudFront: unordered and overlapping ranges get everything.
    for wanted in ["bytes=5-6,1-2", "bytes=0-5,3-8", "lines=1-2", "bytes=x-y", "5-6"] {
        let reply = range(&edge, wanted).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "0123456789"), "{wanted}");
    }
    for wanted in ["bytes=10-", "bytes=20-30"] {
        let reply = range(&edge, wanted).await;
        assert_eq!((reply.status, reply.header("content-range"), reply.body.len()), (416, "bytes */10", 0), "{wanted}");
    }
    assert_eq!(edge.get("/a").await.text(), "0123456789");
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_ranges_come_in_parts_up_to_a_limit() {
    let origin = Origin::start().await;
    origin.answer("/a", digits());
    origin.answer("/long", Answer::fresh_for(600, vec![b'x'; 1_000]));
    let edge = edge(&origin.url()).await;
    let reply = range(&edge, "bytes=0-1,4-5").await;
    let boundary =
        reply.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap_or("").to_owned();
    assert_eq!((reply.status, boundary.is_empty()), (206, false), "{:?}", reply.headers);
    let text = reply.text();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{text}");
    assert!(parts[1].contains("Content-Range: bytes 0-1/10") && parts[1].trim_end().ends_with("01"), "{text}");
    assert!(parts[2].contains("Content-Range: bytes 4-5/10") && parts[2].trim_end().ends_with("45"), "{text}");
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    for (count, status) in [(16, 206), (17, 200)] {
        let list: Vec<String> = (0..count).map(|nth| format!("{0}-{0}", nth * 3)).collect();
        let reply = edge.ask(Ask::get("/long").header("range", &format!("bytes={}", list.join(",")))).await;
        assert_eq!(reply.status, status, "{count} ranges");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_range_needs_a_strong_validator_that_matches() {
    let origin = Origin::start().await;
    let date = "Fri, 01 Jan 2021 00:00:00 GMT";
    origin.answer("/a", digits().header("last-modified", date));
    origin.answer("/weak", Answer::fresh_for(600, "0123456789").header("etag", "W/\"e\""));
    let edge = edge(&origin.url()).await;
    for (path, validator, status) in [
        ("/a", "\"e\"", 206),
        ("/a", "\"other\"", 200),
        ("/a", date, 206),
        ("/a", "Fri, 01 Jan 2022 00:00:00 GMT", 200),
        ("/a", "W/\"e\"", 200),
        ("/weak", "W/\"e\"", 200),
    ] {
        let ask = Ask::get(path).header("range", "bytes=0-1").header("if-range", validator);
        assert_eq!(edge.ask(ask).await.status, status, "{path} {validator}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_served_while_the_rest_is_still_on_its_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let (started, first_half) = oneshot::channel::<()>();
    let (finish, rest) = oneshot::channel::<()>();
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the edge connects");
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 10\r\n\r\n01234";
        stream.write_all(head.as_bytes()).await.expect("the edge reads");
        started.send(()).expect("the test waits");
        // Dropped when the test is over.
        let _ = rest.await;
        stream.write_all(b"56789").await.expect("the edge reads");
    });
    let edge = edge(&url).await;
    let address = edge.http;
    let whole = tokio::spawn(async move {
        exchange(address, b"GET /a HTTP/1.1\r\nhost: www.example.net\r\nconnection: close\r\n\r\n").await
    });
    first_half.await.expect("the origin was asked");
    // Answered once the edge has the header; before that, a range is fetched by itself.
    assert_eq!(edge.ask(Ask::new("HEAD", "/a")).await.status, 200);
    let part = range(&edge, "bytes=2-4").await;
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    finish.send(()).expect("the origin waits");
    assert!(whole.await.expect("the viewer does not panic").ends_with("0123456789"));
    origin.await.expect("the origin does not panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_what_is_too_large_to_store_is_the_origins() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, vec![b'x'; 50_000]));
    let part = Answer::new(206).header("content-range", "bytes 0-3/50000").header("cache-control", "max-age=600");
    origin.answer("/a", part.body("part"));
    let config = site(&origin.url(), "forward = \"AllViewer\"");
    let edge = Edge::builder().server("cache_object_size_max = \"10 KB\"").config(&config).start().await;
    let ask = || edge.ask(Ask::get("/a").header("range", "bytes=0-3"));
    // Nobody knows yet how large it is.
    let first = ask().await;
    assert!(first.body.len() == 50_000 || first.status == 206, "{}", first.status);
    for cache in ["Miss", "Hit"] {
        let reply = ask().await;
        assert_eq!((reply.status, reply.text().as_str(), reply.cache()), (206, "part", cache));
        assert_eq!((origin.count("/a"), origin.last().header("range")), (2, "bytes=0-3"));
    }
    // A whole one is whole still.
    origin.answer("/b", Answer::fresh_for(600, "0123456789"));
    let reply = edge.ask(Ask::get("/b").header("range", "bytes=0-3")).await;
    assert_eq!((reply.status, reply.text().as_str()), (206, "0123"));
}
