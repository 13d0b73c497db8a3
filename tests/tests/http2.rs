//! What a hostile HTTP/2 viewer meets. Each attack ends, costs a bounded number of
//! requests, and leaves the edge serving others.

use selvedge_tests::frames::{DATA, END_STREAM, Frames, HEADERS, PING, RST_STREAM};
use selvedge_tests::{Answer, Edge, Origin, site, wait_for};
use tokio::sync::watch;

async fn edge(origin: &Origin, server: &str) -> Edge {
    let builder = Edge::builder().tls().server(server);
    certs::init_local_ca(&builder.path().join("certs"), &["a.example".to_owned()]).expect("a certificate can be made");
    let lines = "allowed_methods = \"all\"\ncache = \"CachingDisabled\"";
    builder.config(&site(&origin.url(), lines)).start().await
}

/// Client streams have odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|nth| 2 * nth + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_allowed_are_refused_and_the_others_answered() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    origin.answer("/a", Answer::new(200).after(gate));
    let edge = edge(&origin, "h2_streams_max = 10").await;
    let mut viewer = Frames::open(edge.https).await;
    for stream in streams(15) {
        assert!(viewer.request(stream, "GET", "/a", END_STREAM).await);
    }
    for stream in streams(15).skip(10) {
        let refused = viewer.next_of(&[RST_STREAM]).await.expect("the connection stays");
        assert_eq!((refused.stream, refused.payload), (stream, vec![0, 0, 0, REFUSED_STREAM]));
    }
    wait_for("ten fetches", || async { (origin.count("/a") == 10).then_some(()) }).await;
    open.send(true).expect("the origin waits");
    let mut answered = Vec::new();
    while answered.len() < 10 {
        answered.push(viewer.next_of(&[HEADERS]).await.expect("each is answered").stream);
    }
    answered.sort_unstable();
    assert_eq!(answered, streams(10).collect::<Vec<_>>());
    assert_eq!(origin.count("/a"), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_resets_what_it_asks_for_is_cut_off() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let mut viewer = Frames::open(edge.https).await;
    for stream in streams(10_000) {
        let sent = viewer.request(stream, "GET", "/a", END_STREAM).await
            && viewer.send(RST_STREAM, 0, stream, &[0, 0, 0, CANCEL]).await;
        if !sent {
            break;
        }
    }
    while viewer.next().await.is_some() {}
    let reached = origin.count("/a");
    assert!(reached <= 1_000, "{reached} requests reached the origin");
    assert_eq!(edge.get("/b").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_floods_with_pings_is_cut_off() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let mut viewer = Frames::open(edge.https).await;
    for _ in 0..100_000 {
        if !viewer.send(PING, 0, 0, &[0; 8]).await {
            break;
        }
    }
    while viewer.next().await.is_some() {}
    assert_eq!(edge.get("/b").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_list_over_the_limit_does_not_pass() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "header_size_max = \"2 KB\"").await;
    let mut viewer = Frames::open(edge.https).await;
    assert!(viewer.request(1, "GET", &format!("/{}", "a".repeat(100)), END_STREAM).await);
    let ordinary = viewer.next_of(&[HEADERS]).await.expect("an ordinary request is answered");
    assert_eq!(ordinary.stream, 1);
    // The same field again and again by its number in the table of the header compression (RFC 7541 6.1).
    let block = [&b"\x40\x01x\x7e"[..], &[b'v'; 126], &[0xbe; 200]].concat();
    let request = [&b"\x82\x87\x84\x41\x0fwww.example.net"[..], &block].concat();
    assert!(viewer.send(HEADERS, END_STREAM | 4, 3, &request).await);
    let refused = viewer.next_of(&[HEADERS, RST_STREAM]).await;
    assert!(refused.is_none_or(|frame| frame.stream == 3));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops_coming_costs_its_stream_and_no_other() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "body_timeout = \"1s\"").await;
    let mut viewer = Frames::open(edge.https).await;
    assert!(viewer.request(1, "POST", "/a", 0).await);
    assert!(viewer.send(DATA, 0, 1, b"half").await);
    let reset = viewer.next_of(&[RST_STREAM]).await.expect("the connection stays");
    assert_eq!(reset.stream, 1);
    assert!(viewer.request(3, "GET", "/b", END_STREAM).await);
    assert_eq!(viewer.next_of(&[HEADERS]).await.expect("another is answered").stream, 3);
    edge.said("POST /a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "idle_timeout = \"1s\"").await;
    let mut silent = Frames::connect(edge.https).await;
    while silent.next().await.is_some() {}
    let mut idle = Frames::open(edge.https).await;
    assert!(idle.request(1, "GET", "/a", END_STREAM).await);
    idle.next_of(&[HEADERS]).await.expect("it is answered");
    while idle.next().await.is_some() {}
}

const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;
