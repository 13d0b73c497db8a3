//! CloudFront's policies on the way back to the viewer: response headers and
//! compression at the edge.

use selvedge_tests::{Answer, Ask, Edge, Origin, site};
use std::io::Read as _;

async fn edge(origin_url: &str, behavior: &str) -> Edge {
    Edge::builder().config(&site(origin_url, behavior)).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_managed_security_headers_are_on_hits_misses_and_errors() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x").header("x-frame-options", "DENY"));
    origin.answer("/missing", Answer::new(404));
    let edge = edge(&origin.url(), "response_headers = \"SecurityHeadersPolicy\"").await;
    for (path, frame_options) in [("/a", "DENY"), ("/a", "DENY"), ("/missing", "SAMEORIGIN"), ("/none", "SAMEORIGIN")] {
        let reply = edge.get(path).await;
        assert_eq!(reply.header("strict-transport-security"), "max-age=31536000", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("x-frame-options"), frame_options, "{path}");
    }
    assert_eq!(origin.count("/a"), 1);
    // An answer of the edge's own: a body that a GET may not have.
    let reply = edge.ask(Ask::new("PATCH", "/a")).await;
    assert_eq!((reply.status, reply.header("x-frame-options")), (403, "SAMEORIGIN"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors_is_answered_from_the_cache_for_each_origin_on_its_own() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let policy = "response_headers = { cors = { origins = [\"https://*.one.test\"], methods = [\"GET\"] }, \
                  remove = [\"x-gone\"], add = [{ name = \"x-added\", value = \"yes\" }] }";
    let edge = edge(&origin.url(), policy).await;
    let allowed = async |from: &str| {
        let reply = edge.ask(Ask::get("/a").header("origin", from)).await;
        assert_eq!((reply.header("vary"), reply.header("x-added")), ("Origin", "yes"));
        reply.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(allowed("https://a.one.test").await, "https://a.one.test");
    assert_eq!(allowed("https://b.one.test").await, "https://b.one.test");
    assert_eq!(allowed("https://two.test").await, "");
    assert_eq!(edge.get("/a").await.header("vary"), "");
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_timing_tells_hits_from_misses() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let edge = edge(&origin.url(), "response_headers = { server_timing = 100 }").await;
    let miss = edge.get("/a").await;
    assert!(miss.header("server-timing").starts_with("cdn-cache-miss, cdn-pop;desc="), "{:?}", miss.headers);
    assert!(miss.header("server-timing").contains("cdn-upstream-fbl;dur="), "{:?}", miss.headers);
    let hit = edge.get("/a").await;
    assert!(hit.header("server-timing").starts_with("cdn-cache-hit, "), "{:?}", hit.headers);
    assert!(!hit.header("server-timing").contains("cdn-upstream"), "{:?}", hit.headers);
}

fn page() -> String {
    (0..400).map(|line| format!("<p>line {line} of a page</p>\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_compresses_what_the_origin_did_not() {
    let origin = Origin::start().await;
    let html = |body: &str| {
        Answer::fresh_for(600, body.to_owned()).header("content-type", "text/html").header("etag", "\"e\"")
    };
    origin.answer("/a", html(&page()));
    origin.answer("/short", html(&page()[..999]));
    let edge = edge(&origin.url(), "compress = true").await;
    for encoding in ["gzip", "br"] {
        for cache in ["Miss", "Hit"] {
            let reply = edge.ask(Ask::get("/a").header("accept-encoding", encoding)).await;
            assert_eq!((reply.status, reply.cache(), reply.header("content-encoding")), (200, cache, encoding));
            assert_eq!((reply.header("etag"), reply.header("vary")), ("W/\"e\"", "Accept-Encoding"));
            assert!(reply.body.len() < page().len() / 4, "{} bytes", reply.body.len());
            let mut text = String::new();
            match encoding {
                "gzip" => flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text),
                _ => brotli::Decompressor::new(&reply.body[..], 4096).read_to_string(&mut text),
            }
            .expect("the body is what its header says");
            assert_eq!(text, page());
        }
    }
    let both = edge.ask(Ask::get("/a").header("accept-encoding", "gzip, deflate, br")).await;
    assert_eq!(both.header("content-encoding"), "br");
    let plain = edge.get("/a").await;
    assert_eq!((plain.header("content-encoding"), plain.text()), ("", page()));
    let short = edge.ask(Ask::get("/short").header("accept-encoding", "gzip")).await;
    assert_eq!((short.header("content-encoding"), short.body.len()), ("", 999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_response_is_revalidated_and_stays_compressed() {
    let origin = Origin::start().await;
    let stale = Answer::new(200).header("cache-control", "max-age=60").header("age", "60");
    origin.answer("/a", stale.header("content-type", "text/css").header("etag", "\"e\"").body(page()));
    let unchanged = Answer::new(304).header("etag", "\"e\"").header("cache-control", "max-age=600");
    origin.answer("/a", unchanged.header("vary", "origin"));
    let edge = edge(&origin.url(), "compress = true\ncache = { min_ttl = \"0s\" }").await;
    let ask = || Ask::get("/a").header("accept-encoding", "gzip");
    let first = edge.ask(ask()).await;
    for cache in ["RefreshHit", "Hit"] {
        let reply = edge.ask(ask()).await;
        assert_eq!((reply.cache(), reply.header("content-encoding"), reply.header("etag")), (cache, "gzip", "W/\"e\""));
        assert_eq!(reply.body, first.body);
        assert_eq!(reply.lines("vary").join(",").to_ascii_lowercase(), "origin,accept-encoding");
    }
    assert_eq!((origin.count("/a"), origin.last().header("if-none-match")), (2, "W/\"e\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_a_function_made_is_compressed_too() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x").header("content-type", "text/html"));
    let code = "export const handler = async event => {\n\
                const { response } = event.Records[0].cf;\n\
                response.body = 'made by a function '.repeat(200);\n\
                return response;\n};\n";
    let config = site(&origin.url(), "compress = true\nhooks = { origin-response = \"made\" }");
    let edge = Edge::builder().function("made", code).config(&config).start().await;
    let reply = edge.ask(Ask::get("/a").header("accept-encoding", "gzip")).await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text).expect("the body is gzip");
    assert_eq!(text, "made by a function ".repeat(200));
}
