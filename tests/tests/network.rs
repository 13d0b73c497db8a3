//! What passes through an edge besides small pages: WebSockets, large and
//! chunked bodies, directories, origins that fail, hosts nobody serves.

use futures_util::{SinkExt as _, StreamExt as _};
use selvedge_tests::edge::free_port;
use selvedge_tests::raw::{exchange, read_head};
use selvedge_tests::{Answer, Ask, Edge, Origin, RawOrigin, TlsFront, site};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Echoes text messages to everyone who connects.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.expect("the handshake is forwarded");
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        socket.send(message).await.expect("the viewer listens");
                    }
                }
            });
        }
    });
    address
}

async fn chat(edge: &Edge, texts: [&str; 2]) {
    let request = format!("ws://{}/chat", edge.http).into_client_request().expect("the url is valid");
    let stream = TcpStream::connect(edge.http).await.expect("the edge listens");
    let (mut socket, reply) = tokio_tungstenite::client_async(request, stream).await.expect("the edge upgrades");
    assert_eq!(reply.status(), 101);
    for text in texts {
        socket.send(Message::text(text)).await.expect("the edge forwards");
        let answer = socket.next().await.expect("the origin echoes").expect("the frame is whole");
        assert_eq!(answer.into_text().expect("it is text").as_str(), text);
    }
    socket.close(None).await.expect("the edge takes the end");
    let end = socket.next().await;
    assert!(matches!(end, None | Some(Ok(Message::Close(_)))), "{end:?}");
}

const WEBSOCKETS: &str = "allowed_methods = \"all\"\ncache = \"CachingDisabled\"\nforward = \"AllViewer\"";

/// As many as it takes to meet the origin that answers before the edge has looked up from its own request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_websocket_passes_both_ways() {
    let edge = Edge::builder().config(&site(&format!("http://{}", echo().await), WEBSOCKETS)).start().await;
    for _ in 0..300 {
        chat(&edge, ["one", "two"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_websocket_passes_to_an_origin_over_tls() {
    let front = TlsFront::start(echo().await).await;
    let edge = Edge::builder().trusting(&front.authority()).config(&site(&front.url(), WEBSOCKETS)).start().await;
    for _ in 0..100 {
        chat(&edge, ["one", "two"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_the_origin_refuses_is_an_ordinary_answer() {
    let origin = Origin::start().await;
    origin.answer("/chat", Answer::new(426).body("not here"));
    let edge = Edge::builder().config(&site(&origin.url(), WEBSOCKETS)).start().await;
    for _ in 0..3 {
        let ask = Ask::get("/chat").header("connection", "upgrade").header("upgrade", "websocket");
        let reply = edge.ask(ask).await;
        assert_eq!((reply.status, reply.text().as_str()), (426, "not here"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_whole_both_ways() {
    let origin = Origin::start().await;
    let body: Vec<u8> = (0..20_u32 << 20).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
    origin.answer("/a", Answer::new(200).header("cache-control", "no-store").body(body.clone()));
    let lines = "allowed_methods = \"all\"\ncache = \"CachingDisabled\"";
    let edge = Edge::builder().config(&site(&origin.url(), lines)).start().await;
    let reply = edge.ask(Ask::post("/a", body.clone())).await;
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
    assert!(origin.last().body == body, "{} bytes arrived", origin.last().body.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_answer_is_stored_and_replayed() {
    let origin = Origin::start().await;
    let chunks = vec!["one ".into(), "two ".into(), "three".into()];
    origin.answer("/a", Answer::fresh_for(60, "").chunked(chunks));
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.text().as_str()), (cache, "one two three"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_not_there_is_502_and_one_that_is_silent_504() {
    let edge = Edge::builder().config(&site(&format!("http://{}", free_port()), "")).start().await;
    assert_eq!(edge.get("/a").await.status, 502);

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", silent.local_addr().expect("the listener is bound"));
    let edge = Edge::builder().config(&impatient(&url, 1)).start().await;
    assert_eq!(edge.get("/a").await.status, 504);
}

/// The configuration of `site` with an origin that is given up soon.
fn impatient(url: &str, attempts: u8) -> String {
    let lines = format!("read_timeout = \"1s\"\nconnection_attempts = {attempts}\n");
    site(url, "").replace("[distributions.site.default_behavior]", &(lines + "[distributions.site.default_behavior]"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_origin_over_tls_is_asked_again_and_is_504_when_it_stays_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let front = TlsFront::start(listener.local_addr().expect("the listener is bound")).await;
    let edge = Edge::builder().trusting(&front.authority()).config(&impatient(&front.url(), 2)).start().await;
    let origin = async {
        let (_silent, _) = listener.accept().await.expect("the edge connects");
        let (mut second, _) = listener.accept().await.expect("the edge connects again");
        read_head(&mut second).await;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        second.write_all(answer.as_bytes()).await.expect("the edge reads");
    };
    let (reply, ()) = tokio::join!(edge.get("/a"), origin);
    assert_eq!((reply.status, reply.text().as_str()), (200, "hi"));
    let silent = async { [listener.accept().await, listener.accept().await] };
    let (reply, attempts) = tokio::join!(edge.get("/b"), silent);
    assert_eq!(reply.status, 504);
    assert!(attempts.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_whose_certificate_nobody_vouches_for_is_502() {
    let origin = Origin::start().await;
    let front = TlsFront::start(origin.address()).await;
    let edge = Edge::builder().config(&impatient(&front.url(), 1)).start().await;
    assert_eq!(edge.get("/a").await.status, 502);
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_speaks_no_http_is_502() {
    let origin = RawOrigin::start(&["SSH-2.0-nope\r\n\r\n"]).await;
    let edge = Edge::builder().config(&site(&origin.url(), "")).start().await;
    assert_eq!(edge.get("/a").await.status, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_nobody_serves_and_a_method_nobody_allows_are_403() {
    let origin = Origin::start().await;
    let config = site(&origin.url(), "").replace("\"*\"", "\"known.example\"");
    let edge = Edge::builder().config(&config).start().await;
    assert_eq!(edge.ask(Ask::get("/a").host("known.example")).await.status, 200);
    assert_eq!(edge.ask(Ask::get("/a").host("unknown.example")).await.status, 403);
    assert_eq!(edge.ask(Ask::post("/a", "x").host("known.example")).await.status, 403);
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_served_with_types_etags_and_ranges() {
    let edge = directory().await;
    let page = edge.get("/").await;
    assert_eq!((page.status, page.text().as_str()), (200, "<p>home</p>"));
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.header("content-type"));
    let part = edge.ask(Ask::get("/index.html").header("range", "bytes=3-6")).await;
    assert_eq!((part.status, part.text().as_str()), (206, "home"));
    let etag = page.header("etag").to_owned();
    assert_ne!(etag, "");
    let same = edge.ask(Ask::get("/").header("if-none-match", &etag)).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(edge.get("/absent.html").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_the_directory_is_served() {
    let edge = directory().await;
    let escapes = [
        "/../secret.txt",
        "/a/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "//secret.txt",
    ];
    for target in escapes {
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(edge.http, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer:.80}");
        assert!(!answer.contains("secret text"), "{target}");
    }
}

async fn directory() -> Edge {
    let builder = Edge::builder().file("site/index.html", "<p>home</p>").file("secret.txt", "secret text");
    let link = builder.path().join("site/link.txt");
    std::os::unix::fs::symlink(builder.path().join("secret.txt"), link).expect("links can be made");
    builder
        .config(
            "[distributions.site]\ndomains = [\"*\"]\ndefault_root_object = \"index.html\"\n\
             [distributions.site.origins.files]\ndirectory = \"site\"\n\
             [distributions.site.default_behavior]\norigin = \"files\"\n",
        )
        .start()
        .await
}
