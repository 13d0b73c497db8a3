//! Origins that only answer signed requests. What stands for them makes each signature again
//! by AWS's own library for Python (`tests/clients/signed_origin.py`).

use selvedge_tests::control::clients;
use selvedge_tests::{Ask, Controlled, Edge, Reply, TlsFront, free_port, wait_for};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const KEY: &str = "AKIDORIGIN";
const SECRET: &str = "origin/secret+key";

/// A program that answers what this key signed. Killed when dropped.
struct SignedOrigin {
    child: Child,
    address: SocketAddr,
}

impl SignedOrigin {
    async fn start(variables: &[(&str, &str)]) -> SignedOrigin {
        let address = free_port();
        let child = Command::new(clients().join("bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/signed_origin.py"))
            .envs([("KEY", KEY), ("SECRET", SECRET), ("PORT", &address.port().to_string())])
            .envs(variables.iter().copied())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .spawn()
            .expect("the clients were installed: run scripts/clients.sh");
        wait_for("the signed origin", || async { TcpStream::connect(address).is_ok().then_some(()) }).await;
        SignedOrigin { child, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for SignedOrigin {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What of a file of credentials these are.
fn credentials(key: &str, secret: &str) -> String {
    format!("[origin]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
}

/// A distribution that passes everything on to one origin, with these lines of its access control.
fn site(url: &str, control: &str, behavior: &str) -> String {
    format!(
        "[distributions.site]\ndomains = [\"*\"]\n[distributions.site.origins.o]\nurl = \"{url}\"\nread_timeout = \"1s\"\n\
         [distributions.site.origins.o.access_control]\n{control}\n\
         [distributions.site.default_behavior]\norigin = \"o\"\nallowed_methods = \"all\"\n{behavior}\n"
    )
}

const EVERYTHING: &str = "cache = \"CachingDisabled\"\nforward = \"AllViewer\"";

async fn edge(url: &str, control: &str) -> Edge {
    let file = credentials(KEY, SECRET);
    Edge::builder().file("origin", &file).config(&site(url, control, EVERYTHING)).start().await
}

/// What the origin says it got.
fn seen(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}: {}", reply.status, reply.text()))
}

#[track_caller]
fn taken(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    seen(reply)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_and_query_is_signed_as_the_service_reads_it() {
    let origin = SignedOrigin::start(&[("TOKEN", "a/session+token=="), ("REGION", "eu-west-3")]).await;
    let control = "region = \"eu-west-3\"\ncredentials = { environment = \"STORE\" }";
    let edge = Edge::builder()
        .variable("STORE_ACCESS_KEY_ID", KEY)
        .variable("STORE_SECRET_ACCESS_KEY", SECRET)
        .variable("STORE_SESSION_TOKEN", "a/session+token==")
        .config(&site(&format!("{}/under/it", origin.url()), control, EVERYTHING))
        .start()
        .await;
    for (target, sent) in [
        ("/", "/"),
        ("/a~b_-.c", "/a~b_-.c"),
        ("/a(1)+b:c@d,e;f=g!$&'*", "/a%281%29%2Bb%3Ac%40d%2Ce%3Bf%3Dg%21%24%26%27%2A"),
        ("/%41%7e%c3%a9%20x", "/A~%C3%A9%20x"),
        ("/a%2Fb//c", "/a/b//c"),
        ("/100%25?", "/100%25"),
        ("/?b=2&a=1&a=0&a1=3&A=4&a-b=5", "/?b=2&a=1&a=0&a1=3&A=4&a-b=5"),
        ("/k?acl", "/k?acl"),
        ("/k?acl=&x", "/k?acl=&x"),
        ("/k?q=a+b:c/d%2b&&x=(1)&y=%e4", "/k?q=a%20b%3Ac%2Fd%2B&x=%281%29&y=%E4"),
        ("/?list-type=2&prefix=a/b&a=b=c", "/?list-type=2&prefix=a%2Fb&a=b%3Dc"),
    ] {
        for method in ["GET", "DELETE", "HEAD"] {
            let reply = edge.ask(Ask::new(method, target)).await;
            assert_eq!(reply.status, 200, "{method} {target}: {}", reply.text());
            if method != "HEAD" {
                let seen = seen(&reply);
                assert_eq!(
                    (seen["target"].as_str(), seen["method"].as_str()),
                    (Some(&*format!("/under/it{sent}")), Some(method))
                );
                assert_eq!(seen["host"], origin.address.to_string());
            }
        }
    }
    let part = edge.ask(Ask::get("/../content")).await;
    assert_eq!(part.status, 400, "{}", part.text());
    for path in ["/a/%2e%2E/b", "/a/./b", "/a%2F..%2Fb"] {
        assert_eq!(edge.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_wrongly_or_not_at_all_is_refused_by_the_origin() {
    let origin = SignedOrigin::start(&[]).await;
    let other = Edge::builder().file("origin", &credentials(KEY, "another secret")).config(&site(
        &origin.url(),
        "credentials = \"origin\"",
        EVERYTHING,
    ));
    let reply = other.start().await.get("/a").await;
    assert_eq!(reply.status, 403);
    assert!(seen(&reply)["refused"].as_str().is_some_and(|why| why.contains("the signature is")), "{}", reply.text());
    let reply = edge(&origin.url(), "signing = \"never\"").await.get("/a").await;
    assert_eq!((reply.status, &seen(&reply)["authorization"]), (403, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_viewer_says_of_itself_is_overwritten_or_left_as_the_access_control_says() {
    let origin = SignedOrigin::start(&[]).await;
    let ask = |target: &str| {
        let ask = Ask::get(target).header("authorization", "Basic eDp5").header("x-amz-date", "20200101T000000Z");
        ask.header("x-amz-security-token", "mine")
            .header("x-amz-content-sha256", "mine")
            .header("x-amz-acl", "public-read")
    };
    let seen = taken(&edge(&origin.url(), "credentials = \"origin\"").await.ask(ask("/always")).await);
    let authorization = seen["authorization"].as_str().expect("it is signed");
    assert!(
        authorization.contains("SignedHeaders=host;x-amz-acl;x-amz-cf-id;x-amz-content-sha256;x-amz-date,"),
        "{seen}"
    );
    let edge = edge(&origin.url(), "signing = \"no-override\"\ncredentials = \"origin\"").await;
    taken(&edge.get("/signed").await);
    let reply = edge.ask(ask("/left")).await;
    let left = self::seen(&reply);
    assert_eq!((reply.status, &left["authorization"], &left["hash"]), (403, &"Basic eDp5".into(), &"mine".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_cut_by_the_origin_and_hits_ask_nobody() {
    let origin = SignedOrigin::start(&[]).await;
    let behavior = "cache = { min_ttl = \"60s\", query = \"all\" }";
    let config = site(&origin.url(), "credentials = \"origin\"", behavior);
    let edge = Edge::builder().file("origin", &credentials(KEY, SECRET)).config(&config).start().await;
    let content: Vec<u8> = (0..16).flat_map(|_| 0..=255).collect();
    let part = edge.ask(Ask::get("/content").header("range", "bytes=10-19")).await;
    assert_eq!((part.status, &part.body[..], part.cache()), (206, &content[10..20], "Miss"));
    for cache in ["Miss", "Hit"] {
        let whole = edge.get("/content?whole").await;
        assert_eq!((whole.status, whole.cache()), (200, cache));
    }
    // The first answer is what was stored, signature and all.
    let first = edge.get("/kept").await;
    assert_eq!((edge.get("/kept").await.body, first.cache()), (first.body.clone(), "Miss"));
    taken(&first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_hashed_on_a_plain_connection_and_stream_over_tls() {
    let origin = SignedOrigin::start(&[]).await;
    let front = TlsFront::start(origin.address).await;
    let (small, large) = (vec![7; 300_000], vec![7; 6 * 1024 * 1024 + 1]);
    let plain = edge(&origin.url(), "credentials = \"origin\"").await;
    for ask in
        [Ask::post("/a", small.clone()), Ask::post("/a", small.clone()).chunked(), Ask::post("/a", "").with("PUT")]
    {
        let seen = taken(&plain.ask(ask).await);
        assert_ne!(seen["hash"], "UNSIGNED-PAYLOAD", "{seen}");
    }
    let reply = plain.ask(Ask::post("/a", large.clone())).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    let builder = Edge::builder().file("origin", &credentials(KEY, SECRET)).trusting(&front.authority());
    let tls = builder.config(&site(&front.url(), "credentials = \"origin\"", EVERYTHING)).start().await;
    for (ask, bytes) in [
        (Ask::post("/a", small.clone()), small.len()),
        (Ask::post("/a", small.clone()).chunked(), small.len()),
        (Ask::post("/a", large.clone()), large.len()),
    ] {
        let seen = taken(&tls.ask(ask).await);
        assert_eq!((&seen["hash"], &seen["bytes"]), (&"UNSIGNED-PAYLOAD".into(), &bytes.into()));
        assert_eq!(format!("https://{}", seen["host"].as_str().expect("it has a host")), front.url());
    }
    let nothing = taken(&tls.ask(Ask::post("/a", "")).await);
    assert!(nothing["hash"].as_str().is_some_and(|hash| hash.starts_with("e3b0c442")), "{nothing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_url_gets_hashes_and_its_path_as_it_is() {
    let origin = SignedOrigin::start(&[("SERVICE", "lambda"), ("REGION", "eu-west-3")]).await;
    let control = "service = \"lambda\"\nregion = \"eu-west-3\"\ncredentials = \"origin\"";
    let edge = edge(&origin.url(), control).await;
    for target in ["/", "/a(1)/%28b%29//c/../d%3A/", "/a?q=1&b=%20"] {
        assert_eq!(taken(&edge.get(target).await)["target"], target);
    }
    let posted = taken(&edge.ask(Ask::post("/a", "a body").chunked()).await);
    assert_eq!(posted["bytes"], 6, "{posted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_origin_request_function_changes_is_what_is_signed() {
    let origin = SignedOrigin::start(&[]).await;
    let code = "export const handler = async event => {\n\
                const { request } = event.Records[0].cf;\n\
                if (request.uri === '/away') { request.origin.custom.domainName = 'localhost'; return request; }\n\
                request.uri = '/new (1)/b%2Bc'.replaceAll(' ', '%20');\n\
                request.querystring = 'b=2&a=(1)';\n\
                request.headers['x-amz-meta-own'] = [{ value: '  two   words ' }];\n\
                request.headers.host = [{ value: 'elsewhere.test' }];\n\
                if (request.method === 'POST') request.body = { action: 'replace', encoding: 'text', data: 'new' };\n\
                return request;\n};\n";
    let hooks = "hooks.origin-request = { function = \"changes\", include_body = true }";
    let config = site(&origin.url(), "credentials = \"origin\"", &format!("{EVERYTHING}\n{hooks}"));
    let builder = Edge::builder().file("origin", &credentials(KEY, SECRET)).function("changes", code);
    let edge = builder.config(&config).start().await;
    for ask in [Ask::get("/old"), Ask::post("/old", "old body")] {
        let seen = taken(&edge.ask(ask).await);
        assert_eq!(seen["target"], "/new%20%281%29/b%2Bc?b=2&a=%281%29");
        assert_eq!(seen["host"], origin.address.to_string());
        assert!(seen["authorization"].as_str().is_some_and(|text| text.contains(";x-amz-meta-own,")), "{seen}");
    }
    // Credentials are for the place that they were given for.
    let reply = edge.get("/away").await;
    assert_eq!((reply.status, &seen(&reply)["authorization"]), (403, &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_and_each_origin_of_a_group_is_signed_for_itself() {
    let (first, second) = (SignedOrigin::start(&[]).await, SignedOrigin::start(&[("KEY", "AKIDSECOND")]).await);
    let origins = [("first", &first, "origin"), ("second", &second, "other")].map(|(name, origin, file)| {
        format!(
            "[distributions.site.origins.{name}]\nurl = \"{}\"\nread_timeout = \"1s\"\n\
             access_control = {{ credentials = \"{file}\" }}\n",
            origin.url()
        )
    });
    let config = format!(
        "[distributions.site]\ndomains = [\"*\"]\n{}\
         [distributions.site.origin_groups.both]\nprimary = \"first\"\nsecondary = \"second\"\nstatuses = [503]\n\
         [distributions.site.default_behavior]\norigin = \"both\"\n{EVERYTHING}\n",
        origins.concat()
    );
    let builder = Edge::builder().file("origin", &credentials(KEY, SECRET));
    let edge = builder.file("other", &credentials("AKIDSECOND", SECRET)).config(&config).start().await;
    let again = taken(&edge.get("/silent-at-first").await);
    let before = again["before"].as_array().expect("it was asked before");
    assert_eq!(before.len(), 1);
    assert_ne!(before[0], again["date"], "{again}");
    let both_broken = edge.get("/broken").await;
    assert_eq!((both_broken.status, both_broken.text().as_str()), (503, "broken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_credentials_are_taken_up_when_their_file_changes() {
    let origin = SignedOrigin::start(&[]).await;
    let config = site(&origin.url(), "credentials = \"origin\"", EVERYTHING);
    let edge = Edge::builder().file("origin", &credentials(KEY, "an old secret")).config(&config).start().await;
    assert_eq!(edge.get("/a").await.status, 403);
    fs::write(edge.path().join("origin"), credentials(KEY, SECRET)).expect("the directory is writable");
    wait_for("the new secret", || async { (edge.get("/a").await.status == 200).then_some(()) }).await;
    fs::write(edge.path().join("origin"), "nothing").expect("the directory is writable");
    edge.said("has no aws_access_key_id").await;
    assert_eq!(edge.get("/a").await.status, 200);
    assert!(!edge.terminal().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_access_controls_live_sign_and_end_as_boto3_expects() {
    let origin = free_port().to_string();
    let builder = Edge::builder().file("origin", &credentials(KEY, SECRET));
    let line = "origin_access = { credentials = \"origin\", region = \"eu-west-3\" }";
    let controlled = Controlled::start_with(builder, line).await;
    controlled.run("cloudfront_origin_access.py", &[("STEP", "play"), ("ORIGIN", &origin)]).await;
    let controlled = controlled.restart().await;
    controlled.run("cloudfront_origin_access.py", &[("STEP", "end"), ("ORIGIN", &origin)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_control_that_signs_needs_credentials_of_the_operator() {
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("cloudfront_origin_access.py", &[("STEP", "bare"), ("ORIGIN", "127.0.0.1:9")]).await;
}
