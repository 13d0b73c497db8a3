//! Many viewers, one fetch: who waits for whom, and that nobody waits in vain.

use bytes::Bytes;
use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use selvedge_tests::raw::read_head;
use selvedge_tests::{Answer, Ask, Edge, Origin, Reply, site, viewer, wait_for};
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PASS: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";

async fn edge(origin_url: &str) -> Edge {
    // Each viewer is a connection here and one at the edge, which inherits the limit.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8_192).max(soft), hard).expect("a soft limit may rise to the hard one");
    Edge::builder().server("connections_per_address = 5000").config(&site(origin_url, PASS)).start().await
}

/// That many viewers ask at once; `open` fires when the origin was asked `asked` times.
async fn ask_at_once(
    edge: &Edge,
    count: usize,
    origin: &Origin,
    asked: usize,
    open: watch::Sender<bool>,
) -> Vec<Reply> {
    let viewers = join_all((0..count).map(|_| edge.get("/a")));
    let opener = async {
        wait_for("the fetches", || async { (origin.count("/a") >= asked).then_some(()) }).await;
        open.send(true).expect("the origin waits");
    };
    tokio::join!(viewers, opener).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_misses_of_one_key_reach_the_origin_once() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    origin.answer("/a", Answer::fresh_for(600, vec![b'x'; 10_000]).after(gate));
    let edge = edge(&origin.url()).await;
    let replies = ask_at_once(&edge, 1_000, &origin, 1, open).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body.len() == 10_000));
    assert_eq!(origin.count("/a"), 1);
    assert_eq!(replies.iter().filter(|reply| reply.cache() == "Miss").count(), 1);
    let collapsed = replies.iter().filter(|reply| reply.header("cache-status").contains("; collapsed")).count();
    assert!(collapsed > 0, "nobody waited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uncacheable_response_lets_everyone_go_and_is_remembered() {
    for control in ["no-store", "private", "max-age=0"] {
        let origin = Origin::start().await;
        let (open, gate) = watch::channel(false);
        let answer = Answer::new(200).header("cache-control", control).body("mine");
        origin.answer("/a", answer.clone().after(gate));
        origin.answer("/a", answer.clone());
        let edge = edge(&origin.url()).await;
        let replies = ask_at_once(&edge, 100, &origin, 1, open).await;
        assert!(replies.iter().all(|reply| reply.text() == "mine"), "{control}");
        assert_eq!(origin.count("/a"), 100, "{control}");

        // From now on nobody waits: all are at the origin at once before it answers any.
        let (open, gate) = watch::channel(false);
        origin.answer("/a", answer.after(gate));
        edge.get("/a").await;
        let replies = ask_at_once(&edge, 100, &origin, 201, open).await;
        assert!(replies.iter().all(|reply| reply.text() == "mine"), "{control}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_becomes_cacheable_is_collapsed_again() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    origin.answer("/a", Answer::new(200).header("cache-control", "private"));
    let fresh = Answer::fresh_for(600, "x").header("age", "600");
    origin.answer("/a", fresh.clone().header("cache-control", "stale-while-revalidate=600"));
    origin.answer("/a", Answer::fresh_for(600, "x").after(gate));
    let edge = edge(&origin.url()).await;
    edge.get("/a").await;
    edge.get("/a").await;
    // Stale while one request revalidates: nobody waits, and the origin is asked once.
    let replies = join_all((0..50).map(|_| edge.get("/a"))).await;
    assert!(replies.iter().all(|reply| reply.text() == "x"));
    wait_for("the revalidation", || async { (origin.count("/a") == 3).then_some(()) }).await;
    open.send(true).expect("the origin waits");
    wait_for("the fresh response", || async { (edge.get("/a").await.cache() == "Hit").then_some(()) }).await;
    assert_eq!(origin.count("/a"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_viewer_leaves_strands_nobody() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    origin.answer("/a", Answer::fresh_for(600, "body").after(gate));
    let edge = edge(&origin.url()).await;
    let mut leader = TcpStream::connect(edge.http).await.expect("the edge listens");
    leader.write_all(b"GET /a HTTP/1.1\r\nhost: www.example.net\r\n\r\n").await.expect("the edge reads");
    wait_for("the fetch", || async { (origin.count("/a") == 1).then_some(()) }).await;
    let followers = join_all((0..20).map(|_| edge.get("/a")));
    let leave = async {
        drop(leader);
        open.send(true).expect("the origin waits");
    };
    let started = Instant::now();
    let (replies, ()) = tokio::join!(followers, leave);
    assert!(replies.iter().all(|reply| reply.text() == "body"));
    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
    assert!(origin.count("/a") <= 2, "{} fetches", origin.count("/a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_dies_half_way_is_not_served_and_the_next_one_is() {
    let (address, counted) = dying_origin().await;
    let edge = edge(&address).await;
    let replies = join_all((0..30).map(|_| viewer::ask(edge.http, Ask::get("/a")))).await;
    // Those who followed the dead fetch got a cut answer, never a short one that looks whole.
    for reply in replies.iter().flatten() {
        assert!(reply.status != 200 || reply.text() == "whole", "{} {}", reply.status, reply.text());
    }
    wait_for("a whole answer", || async {
        let reply = viewer::ask(edge.http, Ask::get("/a")).await.ok()?;
        (reply.status == 200 && reply.text() == "whole").then_some(())
    })
    .await;
    let fetched = *counted.borrow();
    assert_eq!(edge.get("/a").await.cache(), "Hit");
    assert_eq!(*counted.borrow(), fetched);
}

/// Promises five bytes and sends two to its first connections, then behaves.
async fn dying_origin() -> (String, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if read_head(&mut stream).await.is_empty() {
                continue;
            }
            count.send_modify(|count| *count += 1);
            let body = if *count.borrow() <= 2 { "wh" } else { "whole" };
            let head =
                "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
            // The edge may have gone.
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (url, counted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turned_out_too_large_is_passed_on_and_nobody_waits() {
    let origin = Origin::start().await;
    let (open, gate) = watch::channel(false);
    let pieces = vec![Bytes::from(vec![b'x'; 10_000]); 5];
    let large = Answer::new(200).header("cache-control", "max-age=600").chunked(pieces);
    origin.answer("/a", large.clone());
    origin.answer("/a", large.after(gate));
    let edge =
        Edge::builder().server("cache_object_size_max = \"10 KB\"").config(&site(&origin.url(), "")).start().await;
    // Its header does not tell.
    let first = edge.get("/a").await;
    assert_eq!((first.cache(), first.body.len()), ("Miss", 50_000));
    let both = async { tokio::join!(edge.get("/a"), edge.get("/a")) };
    let at_the_origin = async {
        wait_for("both requests", || async { (origin.count("/a") == 3).then_some(()) }).await;
        open.send(true).expect("the origin waits");
    };
    let ((one, other), ()) = tokio::join!(both, at_the_origin);
    for reply in [one, other] {
        assert_eq!((reply.body.len(), reply.header("cache-status")), (50_000, "selvedge; fwd=uri-miss"));
    }
    // What says that it is small again is stored again.
    origin.answer("/a", Answer::fresh_for(600, "small"));
    assert_eq!(edge.get("/a").await.body.len(), 50_000);
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.text().as_str()), (cache, "small"));
    }
}
