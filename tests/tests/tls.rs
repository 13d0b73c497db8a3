//! HTTPS: the certificate by server name, HTTP/2, and where plain HTTP is sent.

use selvedge_tests::viewer::{ask_http1, ask_http2};
use selvedge_tests::{Answer, Ask, Edge, Origin, site, tls};

/// An edge with a certificate for each of two names.
async fn edge(origin: &Origin, lines: &str) -> Edge {
    let builder = Edge::builder().tls();
    let dir = builder.path().join("certs");
    for name in ["a.example", "b.example"] {
        certs::init_local_ca(&dir, &[name.to_owned()]).expect("a certificate can be made");
    }
    let pass = "export const handler = async (event) => event.Records[0].cf.request;";
    builder.function("f", pass).config(&site(&origin.url(), lines)).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_chosen_by_server_name() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    for (name, other) in [("a.example", "b.example"), ("b.example", "a.example")] {
        let stream = tls::connect(edge.https, name, &[]).await.expect("the handshake succeeds");
        assert!(tls::certificate_names(&stream, name), "{name}");
        assert!(!tls::certificate_names(&stream, other), "{name}");
        let reply = ask_http1(stream, Ask::get("/a").host(name)).await.expect("the answer is whole");
        assert_eq!((reply.status, reply.text().as_str()), (200, "origin says /a"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_served_without_a_restart() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "").await;
    let made = certs::init_local_ca(&edge.path().join("certs"), &["c.example".to_owned()]);
    made.expect("a certificate can be made");
    selvedge_tests::wait_for("the new certificate", || async {
        let stream = tls::connect(edge.https, "c.example", &[]).await.ok()?;
        tls::certificate_names(&stream, "c.example").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_one_http2_connection() {
    let origin = Origin::start().await;
    for nth in 0..20 {
        origin.answer(&format!("/{nth}"), Answer::fresh_for(60, vec![b'x'; 50_000]));
    }
    let edge = edge(&origin, "hooks.viewer-request = \"f\"").await;
    let stream = tls::connect(edge.https, "a.example", &["h2", "http/1.1"]).await.expect("the handshake succeeds");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let asks = (0..20).map(|nth| Ask::get(&format!("/{nth}")).host("a.example")).collect();
    let replies = ask_http2(stream, asks).await.expect("the answers are whole");
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body.len() == 50_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_is_redirected_and_no_function_runs() {
    let origin = Origin::start().await;
    let lines = "viewer_protocol = \"redirect-to-https\"\nallowed_methods = \"all\"\nhooks.viewer-request = \"f\"";
    let edge = edge(&origin, lines).await;
    for (ask, status) in [(Ask::get("/a?q=1"), 301), (Ask::post("/a?q=1", "x"), 307)] {
        let reply = edge.ask(ask.host("a.example")).await;
        assert_eq!((reply.status, reply.cache()), (status, "Redirect"));
        assert_eq!(reply.header("location"), "https://a.example/a?q=1");
    }
    for nth in 0..2 {
        assert!(edge.stages("/a?q=1", nth).await.is_empty());
    }
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_only_refuses_plain_http() {
    let origin = Origin::start().await;
    let edge = edge(&origin, "viewer_protocol = \"https-only\"").await;
    assert_eq!(edge.ask(Ask::get("/a").host("a.example")).await.status, 403);
    let stream = tls::connect(edge.https, "a.example", &["http/1.1"]).await.expect("the handshake succeeds");
    let reply = ask_http1(stream, Ask::get("/a").host("a.example")).await.expect("the answer is whole");
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_hears_of_the_handshake() {
    let origin = Origin::start().await;
    let names =
        "[\"CloudFront-Viewer-TLS\", \"CloudFront-Viewer-JA3-Fingerprint\", \"CloudFront-Viewer-JA4-Fingerprint\"]";
    let forward = format!("cache = \"CachingDisabled\"\nforward = {{ edge_headers = {names} }}");
    let edge = edge(&origin, &forward).await;
    let ask = || Ask::get("/a").host("a.example").header("cloudfront-viewer-tls", "TLSv1.3:mine");
    let client = tls::client(&["h2"]).expect("the client is made");
    let mut heard = Vec::new();
    for connection in ["fullHandshake", "sessionResumed"] {
        let stream = tls::connect_again(&client, edge.https, "a.example").await.expect("the handshake succeeds");
        ask_http2(stream, vec![ask(), ask()]).await.expect("the answers are whole");
        let seen = origin.requests().split_off(heard.len());
        let mut kinds: Vec<&str> =
            seen.iter().filter_map(|seen| seen.header("cloudfront-viewer-tls").rsplit(':').next()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["connectionReused", connection]);
        heard = origin.requests();
    }
    assert!(heard.iter().all(|seen| seen.header("cloudfront-viewer-tls").starts_with("TLSv1.3:TLS_AES_")), "{heard:?}");
    let ja3: Vec<&str> = heard.iter().map(|seen| seen.header("cloudfront-viewer-ja3-fingerprint")).collect();
    assert!(ja3.iter().all(|print| print.len() == 32) && ja3[0] == ja3[1], "{ja3:?}");
    let ja4: Vec<&str> = heard.iter().map(|seen| seen.header("cloudfront-viewer-ja4-fingerprint")).collect();
    assert!(ja4.iter().all(|print| print.starts_with("t13d") && print.len() == 36), "{ja4:?}");
    assert!(ja4[0].contains("h2_") && ja4[0] == ja4[1], "{ja4:?}");
    // Plain HTTP has none of it, whatever the viewer says.
    edge.ask(ask()).await;
    let names = ["tls", "ja3-fingerprint", "ja4-fingerprint"].map(|name| format!("cloudfront-viewer-{name}"));
    assert!(names.iter().all(|name| origin.last().header(name).is_empty()), "{:?}", origin.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_and_origins_see_the_headers_of_http_2() {
    let origin = Origin::start().await;
    let builder = Edge::builder().tls();
    certs::init_local_ca(&builder.path().join("certs"), &["a.example".to_owned()]).expect("a certificate can be made");
    let code = "export const handler = async event => {\n\
                const { request } = event.Records[0].cf;\n\
                request.headers['x-saw'] = [{ value: Object.keys(request.headers).sort().join() }];\n\
                return request;\n};\n";
    let behavior = "cache = \"CachingDisabled\"\nforward = \"AllViewer\"\nhooks.viewer-request = \"look\"";
    let edge = builder.function("look", code).config(&site(&origin.url(), behavior)).start().await;
    let stream = tls::connect(edge.https, "a.example", &["h2"]).await.expect("the handshake succeeds");
    let ask =
        Ask::get("/a").host("a.example").header("x-own", "1").header("cookie", "a=1").header("accept", "text/css");
    ask_http2(stream, vec![ask]).await.expect("the answer is whole");
    let seen = origin.last();
    for (name, value) in [
        ("x-own", "1"),
        ("cookie", "a=1"),
        ("accept", "text/css"),
        ("x-saw", "accept,cookie,host,x-own"),
        ("host", "a.example"),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
}
