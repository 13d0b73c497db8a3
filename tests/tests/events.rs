//! What a function sets is what happens: every writable field of a request or
//! response event, end to end.

use selvedge_tests::raw::read_head;
use selvedge_tests::viewer::ask_http2;
use selvedge_tests::{Answer, Ask, Edge, Origin, Reply, site, tls};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

async fn edge(origin: &Origin, hook: &str, code: &str, lines: &str) -> Edge {
    let handler = format!(
        "export const handler = async (event) => {{
  const {{ config, request, response }} = event.Records[0].cf;
  {code}
}};"
    );
    let lines = format!("hooks.{hook} = \"f\"\n{lines}");
    Edge::builder().function("f", &handler).config(&site(&origin.url(), &lines)).start().await
}

/// One request through one hook: what the viewer got, and the origin that saw it.
async fn through(hook: &str, code: &str, lines: &str, ask: Ask) -> (Reply, Origin) {
    let origin = Origin::start().await;
    let edge = edge(&origin, hook, code, lines).await;
    (edge.ask(ask).await, origin)
}

/// Of a body, in origin-request events, bytes.
const SHOWN_MAX: usize = 1024 * 1024;

const BODY: &str = "allowed_methods = \"all\"\ncache = \"CachingDisabled\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uri_and_querystring_reach_the_origin_and_the_cache_key() {
    let code = "request.uri = '/b'; request.querystring = 'x=1'; return request;";
    let origin = Origin::start().await;
    let lines = "cache = { default_ttl = \"60s\", max_ttl = \"60s\", query = \"all\" }";
    let edge = edge(&origin, "viewer-request", code, lines).await;
    assert_eq!(edge.get("/a").await.text(), "origin says /b?x=1");
    let other = edge.get("/other?y=2").await;
    assert_eq!((other.cache(), other.text().as_str()), ("Hit", "origin says /b?x=1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_request_changes_what_is_fetched_and_not_the_key() {
    let origin = Origin::start().await;
    let code = "request.uri = '/b' + request.uri; return request;";
    let edge = edge(&origin, "origin-request", code, "").await;
    assert_eq!(edge.get("/a").await.text(), "origin says /b/a");
    assert_eq!(edge.get("/a").await.cache(), "Hit");
    assert_eq!(edge.get("/c").await.cache(), "Miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_set_on_a_request_reach_the_origin() {
    let code = "request.headers['x-one'] = [{ key: 'X-One', value: '1' }, { key: 'X-One', value: '2' }];
      delete request.headers['x-gone'];
      request.headers.host = [{ key: 'Host', value: 'chosen.example' }];
      return request;";
    let ask = Ask::get("/a").header("x-gone", "here");
    let (reply, origin) = through("origin-request", code, "forward = { headers = [\"x-gone\"] }", ask).await;
    assert_eq!(reply.status, 200);
    let seen = origin.last();
    assert_eq!(seen.headers.get_all("x-one").iter().count(), 2);
    assert_eq!((seen.header("x-gone"), seen.header("host")), ("", "chosen.example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_origin_is_asked_when_the_function_replaces_it() {
    let origin = Origin::start().await;
    let other = Origin::start().await;
    other.answer("/base/a", Answer::new(200).body("the other one"));
    let code = format!(
        "request.origin = {{ custom: {{ domainName: 'localhost', port: {}, protocol: 'http', path: '/base',
           readTimeout: 5, keepaliveTimeout: 5, sslProtocols: ['TLSv1.2'],
           customHeaders: {{ 'x-secret': [{{ key: 'X-Secret', value: 's' }}] }} }} }};
         request.headers.host = [{{ key: 'Host', value: 'localhost' }}];
         return request;",
        other.address().port()
    );
    let edge = edge(&origin, "origin-request", &code, "").await;
    assert_eq!(edge.get("/a").await.text(), "the other one");
    assert_eq!(other.last().header("x-secret"), "s");
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_response_keeps_status_headers_and_both_body_encodings() {
    for (encoding, body) in [("text", "hi"), ("base64", "aGk=")] {
        let code = format!(
            "return {{ status: '418', statusDescription: 'Teapot', body: '{body}', bodyEncoding: '{encoding}',
               headers: {{ 'set-cookie': [{{ value: 'a=1' }}, {{ value: 'b=2' }}] }} }};"
        );
        let (reply, _origin) = through("viewer-request", &code, "", Ask::get("/a")).await;
        assert_eq!((reply.status, reply.text().as_str()), (418, "hi"), "{encoding}");
        assert_eq!(reply.lines("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(reply.header("content-length"), "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_viewers_body_is_shown_and_arrives_whole() {
    let code = "request.headers['x-data'] = [{ value: Buffer.from(request.body.data, 'base64').toString() }];
      request.headers['x-cut'] = [{ value: String(request.body.inputTruncated) }];
      return request;";
    let lines =
        BODY.to_owned() + "\nforward = \"AllViewer\"\nhooks.viewer-request = { function = \"f\", include_body = true }";
    let (origin, edge) = with_body_hook(code, &lines).await;
    assert_eq!(edge.ask(Ask::post("/a", "ten bytes!")).await.status, 200);
    let seen = origin.last();
    assert_eq!((seen.header("x-data"), seen.header("x-cut")), ("ten bytes!", "false"));
    assert_eq!(seen.body, "ten bytes!");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_40_kb_is_cut_for_the_function_and_not_for_the_origin() {
    let code = "request.headers['x-cut'] = [{ value: String(request.body.inputTruncated) }];
      request.headers['x-length'] = [{ value: String(Buffer.from(request.body.data, 'base64').length) }];
      return request;";
    let lines =
        BODY.to_owned() + "\nforward = \"AllViewer\"\nhooks.viewer-request = { function = \"f\", include_body = true }";
    let (origin, edge) = with_body_hook(code, &lines).await;
    assert_eq!(edge.ask(Ask::post("/a", vec![b'x'; 60 * 1024])).await.status, 200);
    let seen = origin.last();
    assert_eq!((seen.header("x-cut"), seen.header("x-length")), ("true", "40960"));
    assert_eq!(seen.body.len(), 60 * 1024);
}

/// Larger than every buffer on the way, with a length and without one, asked for and not, over both protocols.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_cut_for_the_function_and_arrives_whole_however_it_comes() {
    let code = "request.headers['x-cut'] = [{ value: String(request.body.inputTruncated) }]; return request;";
    let origin = Origin::start().await;
    let body: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    for hook in ["viewer-request", "origin-request"] {
        let lines =
            format!("{BODY}\nforward = \"AllViewer\"\nhooks.{hook} = {{ function = \"f\", include_body = true }}");
        let handler =
            format!("export const handler = async (event) => {{ const {{ request }} = event.Records[0].cf; {code} }};");
        let builder = Edge::builder().tls().function("f", &handler);
        let certificates = builder.path().join("certs");
        certs::init_local_ca(&certificates, &["a.example".to_owned()]).expect("a certificate can be made");
        let edge = builder.config(&site(&origin.url(), &lines)).start().await;
        for ask in [Ask::post("/a", body.clone()), Ask::post("/a", body.clone()).chunked()] {
            let stream = tls::connect(edge.https, "a.example", &["h2"]).await.expect("the handshake succeeds");
            let replies = ask_http2(stream, vec![ask.clone()]).await.expect("the answer is whole");
            assert_eq!(replies[0].status, 200, "{hook}");
            assert!(origin.last().body == body, "{hook}: {} bytes of HTTP/2 arrived", origin.last().body.len());
            for ask in [ask.clone(), ask.header("expect", "100-continue")] {
                assert_eq!(edge.ask(ask).await.status, 200, "{hook}");
                let seen = origin.last();
                assert!(seen.body == body, "{hook}: {} bytes arrived", seen.body.len());
                assert_eq!(seen.header("x-cut"), (hook == "viewer-request").to_string(), "{hook}");
            }
        }
    }
}

/// Bodies that do not say their length, around the 64 KB that the proxy can send twice and
/// the 1 MB that are shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_is_shown_up_to_1_mb_to_origin_request() {
    let code = "const body = Buffer.from(request.body.data, 'base64');
      request.headers['x-shown'] = [{ value: `${body.length} ${request.body.inputTruncated}` }];
      request.headers['x-sum'] = [{ value: String(body.reduce((sum, byte) => (sum * 31 + byte) % 1000003, 7)) }];
      return request;";
    let lines =
        BODY.to_owned() + "\nforward = \"AllViewer\"\nhooks.origin-request = { function = \"f\", include_body = true }";
    let (origin, edge) = with_body_hook(code, &lines).await;
    for length in [1, 65_535, 65_536, 65_537, SHOWN_MAX - 1, SHOWN_MAX, SHOWN_MAX + 1, 3 * SHOWN_MAX] {
        let body: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[n % 3]).collect();
        let answer = edge.ask(Ask::post("/a", body.clone()).chunked()).await;
        assert_eq!(answer.status, 200, "{length} bytes");
        let seen = origin.last();
        assert!(seen.body == body, "{} of {length} bytes arrived", seen.body.len());
        let shown = &body[..length.min(SHOWN_MAX)];
        assert_eq!(seen.header("x-shown"), format!("{} {}", shown.len(), length > SHOWN_MAX));
        let sum = shown.iter().fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_003);
        assert_eq!(seen.header("x-sum"), sum.to_string(), "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_waits_to_be_asked_for_its_body_is_asked() {
    let lines = BODY.to_owned() + "\nhooks.viewer-request = { function = \"f\", include_body = true }";
    let (origin, edge) = with_body_hook("return request;", &lines).await;
    let mut viewer = TcpStream::connect(edge.http).await.expect("the edge listens");
    let head = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    viewer.write_all(head.as_bytes()).await.expect("the edge reads");
    let asked = read_head(&mut viewer).await;
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
    viewer.write_all(b"hello").await.expect("the edge reads");
    let answer = read_head(&mut viewer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(origin.last().body, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_body_reaches_the_origin_with_its_own_length() {
    for hook in ["viewer-request", "origin-request"] {
        let code = "request.body.action = 'replace'; request.body.encoding = 'text';
          request.body.data = 'replaced'; return request;";
        let lines = format!("{BODY}\nhooks.{hook} = {{ function = \"f\", include_body = true }}");
        let (origin, edge) = with_body_hook(code, &lines).await;
        assert_eq!(edge.ask(Ask::post("/a", vec![b'x'; 60 * 1024])).await.status, 200, "{hook}");
        let seen = origin.last();
        assert_eq!(seen.body, "replaced", "{hook}");
        assert_eq!(seen.header("content-length"), "8", "{hook}");
    }
}

async fn with_body_hook(code: &str, lines: &str) -> (Origin, Edge) {
    let origin = Origin::start().await;
    let handler =
        format!("export const handler = async (event) => {{ const {{ request }} = event.Records[0].cf; {code} }};");
    let edge = Edge::builder().function("f", &handler).config(&site(&origin.url(), lines)).start().await;
    (origin, edge)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_origin_response_changes_is_what_is_stored() {
    let origin = Origin::start().await;
    let code = "response.status = 203; response.headers['x-made'] = [{ value: String(Date.now()) }];
      response.body = 'replaced'; response.bodyEncoding = 'text';
      response.headers['cache-control'] = [{ value: 'max-age=60' }];
      return response;";
    let edge = edge(&origin, "origin-response", code, "").await;
    let first = edge.get("/a").await;
    assert_eq!((first.status, first.text().as_str()), (203, "replaced"));
    assert_eq!(first.header("content-length"), "8");
    let second = edge.get("/a").await;
    assert_eq!((second.cache(), second.text().as_str()), ("Hit", "replaced"));
    assert_eq!(second.header("x-made"), first.header("x-made"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewer_response_adds_to_hits_and_misses_alike() {
    let origin = Origin::start().await;
    let code = "response.headers['x-cookie'] = [{ value: '1' }, { value: '2' }]; delete response.headers['x-origin'];
      return response;";
    origin.answer("/a", Answer::fresh_for(60, "body").header("x-origin", "o"));
    let edge = edge(&origin, "viewer-response", code, "").await;
    for cache in ["Miss", "Hit"] {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.lines("x-cookie")), (cache, vec!["1", "2"]));
        assert_eq!(reply.header("x-origin"), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_breaks_a_rule_is_502() {
    let wrong = [
        ("viewer-request", "return undefined;"),
        ("viewer-request", "return 'text';"),
        ("viewer-request", "return event;"),
        ("viewer-request", "request.headers['x-edge-foo'] = [{ value: 'x' }]; return request;"),
        ("viewer-request", "request.headers.host = [{ value: 'x' }]; return request;"),
        ("viewer-request", "request.uri = 'no-slash'; return request;"),
        ("viewer-request", "return { status: '600' };"),
        ("viewer-request", "return { status: 'abc' };"),
        ("viewer-request", "return { status: '204', body: 'x' };"),
        ("viewer-request", "return { status: '200', body: 'x'.repeat(41 * 1024) };"),
        ("viewer-request", "return { status: '200', body: '***', bodyEncoding: 'base64' };"),
        ("origin-request", "return { status: '200', body: 'x'.repeat(1024 * 1024 + 1) };"),
        ("origin-request", "request.origin.custom.port = 81; return request;"),
        ("origin-request", "request.origin.s3 = {}; return request;"),
        ("origin-response", "return request;"),
        ("viewer-response", "response.status = '201'; return response;"),
    ];
    for (hook, code) in wrong {
        let (reply, _origin) = through(hook, code, "", Ask::get("/a")).await;
        assert_eq!((reply.status, reply.cache()), (502, "LambdaValidationError"), "{hook}: {code}");
    }
}
