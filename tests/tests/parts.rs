//! Parts of responses: what is asked for in parts is fetched, kept and found in parts,
//! and no answer is ever put together wrongly. docs/caching.md has the rules.

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use selvedge_tests::raw::read_head;
use selvedge_tests::{Answer, Ask, Edge, Origin, Reply, site};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What an origin that gives parts has now.
#[derive(Clone)]
struct Has {
    body: Bytes,
    etag: String,
    headers: String,
    /// Bytes of a whole that come before the gate opens.
    at_once: usize,
}

/// One request, as far as parts go.
#[derive(Clone, Debug, Default, PartialEq)]
struct Asked {
    method: String,
    range: String,
    if_range: String,
    if_none_match: String,
}

impl Asked {
    fn parse(head: &str) -> Asked {
        let line = |name: &str| {
            let found =
                head.lines().filter_map(|line| line.split_once(": ")).find(|line| line.0.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        let (if_range, if_none_match) = (line("if-range"), line("if-none-match"));
        Asked { method, range: line("range"), if_range, if_none_match }
    }

    /// The first byte and the one behind the last, where a part is wanted.
    fn part(&self, has: &Has) -> Option<(usize, usize)> {
        let length = has.body.len();
        let (first, last) = self.range.strip_prefix("bytes=")?.split_once('-')?;
        let part = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, (last + 1).min(length)),
            (Ok(first), Err(_)) => (first, length),
            (Err(_), Ok(last)) => (length.saturating_sub(last), length),
            _ => return None,
        };
        (self.if_range.is_empty() || self.if_range == has.etag).then_some(part)
    }
}

/// An origin that gives parts of its one resource.
struct Parted {
    url: String,
    has: Arc<Mutex<Has>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    gate: watch::Sender<bool>,
}

impl Parted {
    async fn start(length: usize, headers: &str) -> Parted {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let has = Has { body: body(length, 1), etag: "\"1\"".to_owned(), headers: headers.to_owned(), at_once: length };
        let (has, asked, gate) = (Arc::new(Mutex::new(has)), Arc::default(), watch::Sender::new(false));
        let origin = Parted { url, has: Arc::clone(&has), asked: Arc::clone(&asked), gate };
        let opened = origin.gate.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(give(stream, Arc::clone(&has), Arc::clone(&asked), opened.clone()));
            }
        });
        origin
    }

    /// The resource changes.
    fn becomes(&self, version: usize) {
        let mut has = self.has.lock();
        has.body = body(has.body.len(), version);
        has.etag = format!("\"{version}\"");
    }

    fn ranges(&self) -> Vec<String> {
        self.asked.lock().iter().map(|asked| asked.range.clone()).collect()
    }
}

async fn give(
    mut stream: TcpStream,
    has: Arc<Mutex<Has>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    mut gate: watch::Receiver<bool>,
) {
    let head = read_head(&mut stream).await;
    if head.is_empty() {
        return;
    }
    let request = Asked::parse(&String::from_utf8_lossy(&head));
    asked.lock().push(request.clone());
    let has = has.lock().clone();
    let fields = format!("etag: {}\r\nconnection: close\r\n{}", has.etag, has.headers);
    let whole = has.body.len();
    // The edge may have gone at any time.
    if request.if_none_match == has.etag {
        let _ = stream.write_all(format!("HTTP/1.1 304 X\r\n{fields}\r\n").as_bytes()).await;
    } else if let Some((first, end)) = request.part(&has) {
        let answer = if first < end {
            let range = format!("content-range: bytes {first}-{}/{whole}\r\ncontent-length: {}", end - 1, end - first);
            [format!("HTTP/1.1 206 X\r\n{range}\r\n{fields}\r\n").as_bytes(), &has.body[first..end]].concat()
        } else {
            format!("HTTP/1.1 416 X\r\ncontent-range: bytes */{whole}\r\ncontent-length: 0\r\n{fields}\r\n")
                .into_bytes()
        };
        let _ = stream.write_all(&answer).await;
    } else {
        let head = format!("HTTP/1.1 200 X\r\ncontent-length: {whole}\r\n{fields}\r\n");
        let _ = stream.write_all(&[head.as_bytes(), &has.body[..has.at_once]].concat()).await;
        if has.at_once < whole {
            let _ = gate.wait_for(|open| *open).await;
            let _ = stream.write_all(&has.body[has.at_once..]).await;
        }
    }
}

/// A body that tells its positions and versions apart.
fn body(length: usize, version: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ (version * 57)).to_le_bytes()[0]).collect()
}

const FRESH: &str = "cache-control: max-age=600\r\n";

async fn edge(origin_url: &str) -> Edge {
    Edge::builder().config(&site(origin_url, "allowed_methods = \"all\"")).start().await
}

async fn range(edge: &Edge, range: &str) -> Reply {
    edge.ask(Ask::get("/a").header("range", range)).await
}

fn assert_part(reply: &Reply, cache: &str, (first, end): (usize, usize), of: &Bytes) {
    assert_eq!((reply.status, reply.cache()), (206, cache), "{first}..{end}: {:?}", reply.headers);
    assert_eq!(reply.header("content-range"), format!("bytes {first}-{}/{}", end - 1, of.len()));
    assert_eq!(reply.header("content-length"), (end - first).to_string());
    assert!(reply.body == of[first..end], "{first}..{end} is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_fetched_and_kept_and_answers_for_what_it_has() {
    let origin = Parted::start(1_000, FRESH).await;
    let (edge, whole) = (edge(&origin.url).await, body(1_000, 1));
    for (wanted, cache, bytes) in [
        ("bytes=100-199", "Miss", (100, 200)),
        ("bytes=100-199", "Hit", (100, 200)),
        ("bytes=150-160", "Hit", (150, 161)),
        ("bytes=199-199", "Hit", (199, 200)),
        ("bytes=199-200", "Miss", (199, 201)),
        ("bytes=-10", "Miss", (990, 1_000)),
        ("bytes=995-", "Hit", (995, 1_000)),
        ("bytes=992-4000", "Hit", (992, 1_000)),
        ("bytes=900-4000", "Miss", (900, 1_000)),
        ("bytes=-100", "Hit", (900, 1_000)),
    ] {
        assert_part(&range(&edge, wanted).await, cache, bytes, &whole);
    }
    assert_eq!(origin.ranges(), ["bytes=100-199", "bytes=199-200", "bytes=-10", "bytes=900-4000"]);
    // Other requests have no use for parts, and with the whole there parts have none either.
    let reply = edge.get("/a").await;
    assert!(reply.cache() == "Miss" && reply.status == 200 && reply.body == whole, "{:?}", reply.headers);
    assert_part(&range(&edge, "bytes=300-399").await, "Hit", (300, 400), &whole);
    assert_eq!(origin.asked.lock().len(), 5);
    assert_eq!(range(&edge, "bytes=1000-").await.status, 416);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_from_the_first_byte_on_is_the_whole() {
    let origin = Parted::start(1_000, FRESH).await;
    let edge = edge(&origin.url).await;
    assert_part(&range(&edge, "bytes=0-").await, "Miss", (0, 1_000), &body(1_000, 1));
    let several = range(&edge, "bytes=0-1,4-5").await;
    assert_eq!((several.status, several.cache(), edge.get("/a").await.cache()), (206, "Hit", "Hit"));
    assert_eq!(origin.ranges(), [""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_of_the_representation_that_if_range_names() {
    let origin = Parted::start(1_000, FRESH).await;
    let edge = edge(&origin.url).await;
    let ask = async |validator: &str| {
        edge.ask(Ask::get("/a").header("range", "bytes=10-19").header("if-range", validator)).await
    };
    assert_part(&ask("\"1\"").await, "Miss", (10, 20), &body(1_000, 1));
    assert_part(&ask("\"1\"").await, "Hit", (10, 20), &body(1_000, 1));
    assert_eq!(origin.asked.lock()[0].if_range, "\"1\"");
    // The part that is stored is of another one: the origin decides, and its whole is kept.
    let other = ask("\"0\"").await;
    assert_eq!((other.status, other.cache(), other.body.len()), (200, "Miss", 1_000));
    assert_eq!(origin.asked.lock()[1].if_range, "\"0\"");
    assert_eq!(edge.get("/a").await.cache(), "Hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_part_is_asked_about_by_its_validator_and_range() {
    let origin = Parted::start(1_000, "cache-control: max-age=600\r\nage: 600\r\n").await;
    let edge = Edge::builder()
        .config(&site(&origin.url, "cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\" }"))
        .start()
        .await;
    assert_part(&range(&edge, "bytes=10-19").await, "Miss", (10, 20), &body(1_000, 1));
    assert_part(&range(&edge, "bytes=12-13").await, "RefreshHit", (12, 14), &body(1_000, 1));
    origin.becomes(2);
    assert_part(&range(&edge, "bytes=12-13").await, "Miss", (12, 14), &body(1_000, 2));
    origin.has.lock().headers = FRESH.to_owned();
    assert_part(&range(&edge, "bytes=12-13").await, "RefreshHit", (12, 14), &body(1_000, 2));
    assert_part(&range(&edge, "bytes=12-13").await, "Hit", (12, 14), &body(1_000, 2));
    let asked = origin.asked.lock().clone();
    let told: Vec<_> = asked.iter().map(|asked| (asked.range.as_str(), asked.if_none_match.as_str())).collect();
    let (one, two) = ("\"1\"", "\"2\"");
    assert_eq!(told, [("bytes=10-19", ""), ("bytes=12-13", one), ("bytes=12-13", one), ("bytes=12-13", two)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_at_the_origin_see_the_range_that_is_asked_for() {
    let origin = Origin::start().await;
    let code = "export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  request.headers['x-range'] = [{ value: (request.headers.range ?? [{ value: 'none' }])[0].value }];
  return request;
};";
    let config = site(&origin.url(), "hooks.origin-request = \"f\"");
    let edge = Edge::builder().function("f", code).config(&config).start().await;
    for (path, wanted, seen) in [("/a", "bytes=1-2", "bytes=1-2"), ("/b", "bytes=0-", "none")] {
        assert_eq!(edge.ask(Ask::get(path).header("range", wanted)).await.status, 206);
        let asked = origin.last();
        assert_eq!((asked.header("x-range"), asked.header("range")), (seen, if seen == "none" { "" } else { seen }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_gives_no_parts_is_asked_for_the_whole_once() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, body(1_000, 1)));
    origin.answer("/gone", Answer::new(404).body("nothing"));
    let edge = edge(&origin.url()).await;
    assert_part(&range(&edge, "bytes=10-19").await, "Miss", (10, 20), &body(1_000, 1));
    for first in 0..20 {
        let reply = range(&edge, &format!("bytes={first}-{}", first + 5)).await;
        assert_part(&reply, "Hit", (first, first + 6), &body(1_000, 1));
    }
    assert_eq!(origin.count("/a"), 1);
    // Nor is there a part of an error.
    for wanted in ["bytes=1-2", "bytes=3-4"] {
        let reply = edge.ask(Ask::get("/gone").header("range", wanted)).await;
        assert_eq!((reply.status, reply.text().as_str()), (404, "nothing"));
    }
    assert_eq!(origin.count("/gone"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_one_part_at_once_reach_the_origin_once() {
    let origin = Parted::start(100_000, FRESH).await;
    let edge = edge(&origin.url).await;
    let replies = join_all((0..60).map(|_| range(&edge, "bytes=50000-89999"))).await;
    assert!(replies.iter().all(|reply| reply.status == 206 && reply.body == body(100_000, 1)[50_000..90_000]));
    assert_eq!(origin.ranges(), ["bytes=50000-89999"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_what_is_too_large_are_kept_by_themselves() {
    let origin = Parted::start(50_000, FRESH).await;
    let config = site(&origin.url, "");
    let edge = Edge::builder().server("cache_object_size_max = \"10 KB\"").config(&config).start().await;
    for _ in 0..2 {
        let reply = edge.get("/a").await;
        assert_eq!((reply.cache(), reply.body.len()), ("Miss", 50_000));
    }
    for cache in ["Miss", "Hit"] {
        assert_part(&range(&edge, "bytes=40000-40009").await, cache, (40_000, 40_010), &body(50_000, 1));
    }
    // A part that is too large, too, is passed on.
    for _ in 0..2 {
        assert_part(&range(&edge, "bytes=1-40000").await, "Miss", (1, 40_001), &body(50_000, 1));
    }
    assert_eq!(origin.ranges(), ["", "", "bytes=40000-40009", "bytes=1-40000", "bytes=1-40000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_far_ahead_of_a_whole_on_its_way_is_not_waited_for() {
    let length = 8 * 1024 * 1024;
    let origin = Parted::start(length, FRESH).await;
    origin.has.lock().at_once = 100_000;
    let (edge, whole) = (edge(&origin.url).await, body(length, 1));
    let address = edge.http;
    let coming = tokio::spawn(async move { selvedge_tests::viewer::ask(address, Ask::get("/a")).await });
    selvedge_tests::wait_for("the fetch", || async { (!origin.asked.lock().is_empty()).then_some(()) }).await;
    // Near the beginning it comes with the whole; far away it is sooner there alone.
    assert_part(&range(&edge, "bytes=5-9").await, "Hit", (5, 10), &whole);
    assert_part(&range(&edge, "bytes=-10").await, "Miss", (length - 10, length), &whole);
    assert_eq!(origin.ranges(), ["", "bytes=-10"]);
    origin.gate.send_replace(true);
    let reply = coming.await.expect("the viewer does not panic").expect("the answer is whole");
    assert!(reply.body == whole, "{} bytes came", reply.body.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_part_that_was_asked_for_is_passed_on_and_not_kept() {
    let origin = Origin::start().await;
    let short = Answer::new(206).header("cache-control", "max-age=600").header("content-range", "bytes 2-5/10");
    origin.answer("/short", short.chunked(vec!["pa".into(), "r".into()]));
    for (path, line) in
        [("/other", "bytes 0-3/10"), ("/unsaid", "bytes 2-5/*"), ("/long", "bytes 2-9/10"), ("/none", "x")]
    {
        let answer = Answer::new(206).header("cache-control", "max-age=600").header("content-range", line);
        origin.answer(path, answer.body("part"));
    }
    let edge = edge(&origin.url()).await;
    for path in ["/other", "/unsaid", "/long", "/none"] {
        for _ in 0..2 {
            let reply = edge.ask(Ask::get(path).header("range", "bytes=2-5")).await;
            assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (206, "Miss", "part"), "{path}");
        }
        assert_eq!(origin.count(path), 2, "{path}");
    }
    for _ in 0..2 {
        let reply = edge.ask(Ask::get("/short").header("range", "bytes=2-5")).await;
        assert_eq!((reply.status, reply.cache(), reply.text().as_str()), (206, "Miss", "par"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_go_with_their_address() {
    let origin = Parted::start(1_000, FRESH).await;
    let edge = edge(&origin.url).await;
    for (wanted, bytes) in [("bytes=10-19", (10, 20)), ("bytes=30-39", (30, 40))] {
        assert_part(&range(&edge, wanted).await, "Miss", bytes, &body(1_000, 1));
    }
    origin.becomes(2);
    edge.ask(Ask::post("/a", "change")).await;
    for (wanted, bytes) in [("bytes=30-39", (30, 40)), ("bytes=12-13", (12, 14))] {
        assert_part(&range(&edge, wanted).await, "Miss", bytes, &body(1_000, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_on_disk_survives_a_restart() {
    let origin = Parted::start(3_000_000, FRESH).await;
    let tiers = "cache_size = \"4 MB\"\ncache_object_size_max = \"1 MB\"\n\
        cache_disk = { directory = \"cache\", size = \"64 MB\" }";
    let edge = Edge::builder().server(tiers).config(&site(&origin.url, "")).start().await;
    edge.said("the cache has read").await;
    // The larger one never is in memory whole.
    let parts = [("bytes=1000000-1000099", (1_000_000, 1_000_100)), ("bytes=500000-2499999", (500_000, 2_500_000))];
    for (wanted, bytes) in parts {
        assert_part(&range(&edge, wanted).await, "Miss", bytes, &body(3_000_000, 1));
    }
    selvedge_tests::wait_for("both parts on disk", || async {
        let folders = std::fs::read_dir(edge.path().join("cache")).ok()?.flatten();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
        (files.filter(|file| file.path().extension().is_some_and(|end| end == "record")).count() == 2).then_some(())
    })
    .await;
    let edge = edge.restart().await;
    edge.said("the cache has read").await;
    for (wanted, bytes) in parts {
        assert_part(&range(&edge, wanted).await, "Hit", bytes, &body(3_000_000, 1));
    }
    assert_eq!(origin.asked.lock().len(), 2);
}

/// A small generator, so that a failure can be run again with its seed.
fn below(state: &mut u64, limit: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).expect("31 bits fit") % limit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_parts_of_a_changing_resource_are_each_of_one_version() {
    let given = std::env::var("SELVEDGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish()) | 1;
    let (mut state, length) = (seed, 2_000);
    let origin = Parted::start(length, FRESH).await;
    let edge = Edge::builder()
        .config(&site(&origin.url, "cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\" }"))
        .start()
        .await;
    let mut versions: HashMap<String, Bytes> = HashMap::from([("\"1\"".to_owned(), body(length, 1))]);
    let (mut hits, mut parts) = (0, 0);
    for step in 0..1_000 {
        match below(&mut state, 12) {
            0 => {
                origin.becomes(step + 2);
                versions.insert(format!("\"{}\"", step + 2), body(length, step + 2));
            }
            1 => origin.has.lock().headers = "cache-control: max-age=600\r\nage: 600\r\n".to_owned(),
            2 => origin.has.lock().headers = FRESH.to_owned(),
            3 => origin.has.lock().headers = "cache-control: no-store\r\n".to_owned(),
            _ => {}
        }
        // Few beginnings and lengths, so that they meet; most steps have an address of their own for a while.
        let (first, size) = (below(&mut state, 20) * 100, [1, 50, 100, 900][below(&mut state, 4)]);
        let wanted = match below(&mut state, 5) {
            0 => format!("bytes=-{size}"),
            1 => format!("bytes={first}-"),
            _ => format!("bytes={first}-{}", first + size - 1),
        };
        let said = format!("seed {seed}, step {step}: {wanted}");
        let ask = Ask::get(&format!("/{}", step / 100));
        let whole = below(&mut state, 25) == 0;
        let ask = if whole { ask } else { ask.header("range", &wanted) };
        let reply = edge.ask(ask).await;
        let version = versions.get(reply.header("etag")).unwrap_or_else(|| panic!("{said}: {:?}", reply.headers));
        if whole {
            assert!(reply.status == 200 && reply.body == *version, "{said}: {:?}", reply.headers);
            continue;
        }
        let asked = Asked { range: wanted, ..Asked::default() };
        let has = Has { body: version.clone(), etag: String::new(), headers: String::new(), at_once: 0 };
        let (first, end) = asked.part(&has).expect("the range is one");
        assert_eq!(reply.status, 206, "{said}: {:?}", reply.headers);
        assert_eq!(reply.header("content-range"), format!("bytes {first}-{}/{length}", end - 1), "{said}");
        assert!(reply.body == version[first..end], "{said}: {:?}", reply.headers);
        hits += usize::from(reply.cache() == "Hit");
        parts += 1;
    }
    assert!(hits > parts / 10, "seed {seed}: {hits} hits of {parts} do not test much");
}
