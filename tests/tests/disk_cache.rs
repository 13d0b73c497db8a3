//! The cache's disk: what does not fit memory, what outlives the process, and that
//! nothing of it is ever served torn or damaged. docs/caching.md has the rules.

use bytes::Bytes;
use nix::sys::signal::Signal;
use selvedge_tests::raw::read_head;
use selvedge_tests::{Answer, Ask, Edge, Origin, Reply, edge::EdgeBuilder, site, viewer, wait_for};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Memory takes objects of 1 MB, 4 MB of them; the disk takes them all.
const TIERS: &str = "cache_size = \"4 MB\"\ncache_object_size_max = \"1 MB\"\n\
    cache_disk = { directory = \"cache\", size = \"64 MB\", object_size_max = \"32 MB\" }";
const PASS: &str = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
    cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";
const MB: usize = 1 << 20;

fn builder(origin_url: &str) -> EdgeBuilder {
    Edge::builder().server(TIERS).config(&site(origin_url, PASS))
}

/// An edge that has read its directory: nothing is written before.
async fn start(builder: EdgeBuilder) -> Edge {
    let edge = builder.start().await;
    edge.said("the cache has read").await;
    edge
}

async fn restart(edge: Edge) -> Edge {
    let edge = edge.restart().await;
    edge.said("the cache has read").await;
    edge
}

/// A body that tells each of its positions from the others.
fn body(length: usize) -> Bytes {
    (0..length)
        .step_by(8)
        .flat_map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

fn files(edge: &Edge, extension: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(edge.path().join("cache")).expect("the directory is there").flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Returns once so many objects are whole on disk.
async fn stored(edge: &Edge, objects: usize) {
    wait_for(&format!("{objects} objects on disk"), || async {
        (files(edge, "record").len() == objects).then_some(())
    })
    .await;
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("the file is that long");
    file.write_all_at(&[byte[0] ^ 0x40], at).expect("the file is writable");
}

fn assert_reply(reply: &Reply, cache: &str, body: &Bytes) {
    assert_eq!((reply.status, reply.cache(), reply.body.len()), (200, cache, body.len()));
    assert!(reply.body == *body, "the body is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_larger_than_the_memory_of_the_cache_is_a_hit() {
    let origin = Origin::start().await;
    let large = body(100 * MB + 123);
    origin.answer("/known", Answer::fresh_for(600, large.clone()).header("etag", "\"e\""));
    let pieces = large.chunks(100_000).map(Bytes::copy_from_slice).collect();
    origin.answer("/unknown", Answer::new(200).header("cache-control", "max-age=600").chunked(pieces));
    let tiers = TIERS.replace("64 MB", "512 MB").replace("32 MB", "128 MB");
    let edge = start(Edge::builder().server(&tiers).config(&site(&origin.url(), PASS))).await;
    for path in ["/known", "/unknown"] {
        assert_reply(&edge.get(path).await, "Miss", &large);
        let hit = edge.get(path).await;
        assert_reply(&hit, "Hit", &large);
        assert_eq!(hit.header("content-length"), large.len().to_string());
        let head = edge.ask(Ask::new("HEAD", path)).await;
        assert_eq!((head.status, head.cache(), head.body.len()), (200, "Hit", 0));
        assert_eq!(origin.count(path), 1);
    }
    let many = futures_util::future::join_all((0..8).map(|_| edge.get("/known"))).await;
    many.iter().for_each(|reply| assert_reply(reply, "Hit", &large));
    // Neither of them ever was in memory whole.
    let status = fs::read_to_string(format!("/proc/{}/status", edge.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<usize>().unwrap() < 160 * 1024, "the process took {peak} kB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_disk_survives_a_kill_and_a_stop() {
    let origin = Origin::start().await;
    let bodies = [("/small", body(100)), ("/medium", body(300_000)), ("/large", body(5 * MB))];
    for (path, body) in &bodies {
        origin.answer(path, Answer::fresh_for(600, body.clone()).header("etag", "\"e\"").header("X-Case", "kept"));
    }
    for language in ["de", "en"] {
        origin.answer("/vary", Answer::fresh_for(600, language).header("vary", "accept-language"));
    }
    let vary = |language| Ask::get("/vary").header("accept-language", language);
    let mut edge = start(builder(&origin.url())).await;
    for (path, body) in &bodies {
        assert_reply(&edge.get(path).await, "Miss", body);
    }
    for language in ["de", "en"] {
        assert_reply(&edge.ask(vary(language)).await, "Miss", &language.into());
    }
    stored(&edge, 5).await;
    edge = restart(edge).await;
    for _ in 0..2 {
        for (path, body) in &bodies {
            let hit = edge.get(path).await;
            assert_reply(&hit, "Hit", body);
            assert_eq!((hit.header("etag"), hit.header("x-case")), ("\"e\"", "kept"));
        }
        for language in ["en", "de"] {
            assert_reply(&edge.ask(vary(language)).await, "Hit", &language.into());
        }
    }
    edge.signal(Signal::SIGTERM);
    assert_eq!(edge.ended().await, Some(0));
    edge = restart(edge).await;
    assert_reply(&edge.get("/large").await, "Hit", &bodies[2].1);
    assert_eq!(origin.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_an_object_on_disk_is_read_there() {
    let origin = Origin::start().await;
    let large = body(20 * MB);
    origin.answer("/a", Answer::fresh_for(600, large.clone()).header("etag", "\"e\""));
    let edge = start(builder(&origin.url())).await;
    edge.get("/a").await;
    let [path] = &files(&edge, "body")[..] else { panic!("one body is on disk") };
    // A block that is not asked for is not read: its damage is not noticed.
    flip(path, 10 * MB as u64);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=65530-65545", 65530, 65546),
        ("bytes=15000000-15999999", 15_000_000, 16_000_000),
        ("bytes=-7", 20 * MB - 7, 20 * MB),
    ] {
        let reply = edge.ask(Ask::get("/a").header("range", range)).await;
        assert_eq!((reply.status, reply.cache(), reply.body.len()), (206, "Hit", end - start), "{range}");
        assert!(reply.body == large.slice(start..end), "{range}");
    }
    let several = edge.ask(Ask::get("/a").header("range", "bytes=100-199,15000000-15000099")).await;
    assert_eq!(several.status, 206);
    for part in [large.slice(100..200), large.slice(15_000_000..15_000_100)] {
        assert!(several.body.windows(100).any(|window| window == part), "a part is missing");
    }
    assert_eq!(origin.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_never_served_as_good() {
    let origin = Origin::start().await;
    let (small, large) = (body(50_000), body(5 * MB));
    origin.answer("/small", Answer::fresh_for(600, small.clone()));
    origin.answer("/large", Answer::fresh_for(600, large.clone()));
    let mut edge = start(builder(&origin.url())).await;
    edge.get("/small").await;
    edge.get("/large").await;
    stored(&edge, 2).await;
    edge = restart(edge).await;
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let record = files(&edge, "record").into_iter().max_by_key(size).unwrap();
    flip(&record, size(&record) / 2);
    // The small one is looked at whole before anything of it is sent.
    assert_reply(&edge.get("/small").await, "Miss", &small);
    edge.said("does not match its checksum").await;
    let [path] = &files(&edge, "body")[..] else { panic!("one body is on disk") };
    flip(path, 4 * MB as u64);
    // The large one is on its way: it ends where the damage begins.
    assert!(viewer::ask(edge.http, Ask::get("/large")).await.is_err(), "a damaged response is cut off");
    assert_reply(&edge.get("/large").await, "Miss", &large);
    assert_reply(&edge.get("/large").await, "Hit", &large);
    assert_eq!((origin.count("/small"), origin.count("/large")), (2, 2));
}

/// An origin that sends half of a body of 20 MB and waits; its address, and the way on.
async fn halting_origin(whole: Bytes) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let (go, gate) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (whole, mut gate) = (whole.clone(), gate.clone());
            tokio::spawn(async move {
                read_head(&mut stream).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: {}\r\n\r\n", whole.len());
                // The edge is killed in the middle of it.
                let (first, second) = whole.split_at(whole.len() / 2);
                let _ = stream.write_all(&[head.as_bytes(), first].concat()).await;
                let _ = gate.wait_for(|go| *go).await;
                let _ = stream.write_all(second).await;
            });
        }
    });
    (url, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_fetch_leaves_nothing_to_serve() {
    let whole = body(20 * MB);
    let (url, go) = halting_origin(whole.clone()).await;
    let edge = start(builder(&url)).await;
    let (address, directory) = (edge.http, edge.path().to_owned());
    let viewer = tokio::spawn(viewer::ask(address, Ask::get("/a")));
    let half_is_there = || async {
        let bodies = files(&edge, "body");
        bodies.iter().any(|path| fs::metadata(path).is_ok_and(|file| file.len() > 9 * MB as u64)).then_some(())
    };
    wait_for("half of the body on disk", half_is_there).await;
    let edge = restart(edge).await;
    assert!(viewer.await.unwrap().is_err());
    assert_eq!(edge.path(), directory);
    assert_eq!((files(&edge, "body").len(), files(&edge, "unfinished").len()), (0, 0), "leftovers are removed");
    go.send(true).unwrap();
    assert_reply(&edge.get("/a").await, "Miss", &whole);
    assert_reply(&edge.get("/a").await, "Hit", &whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_an_object_on_its_way_to_disk_share_one_fetch() {
    let whole = body(20 * MB);
    let (url, go) = halting_origin(whole.clone()).await;
    let edge = start(builder(&url)).await;
    let first = tokio::spawn(viewer::ask(edge.http, Ask::get("/a")));
    wait_for("the body's beginning", || async { (!files(&edge, "body").is_empty()).then_some(()) }).await;
    // What is on disk by now is there for a second viewer, before the rest has come.
    let range = edge.ask(Ask::get("/a").header("range", "bytes=1000000-1000099")).await;
    assert_eq!((range.status, range.body), (206, whole.slice(1_000_000..1_000_100)));
    let second = tokio::spawn(viewer::ask(edge.http, Ask::get("/a")));
    go.send(true).unwrap();
    assert!(first.await.unwrap().unwrap().body == whole);
    assert!(second.await.unwrap().unwrap().body == whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_takes_no_more_than_it_may() {
    let origin = Origin::start().await;
    let tiers = TIERS.replace("64 MB", "16 MB").replace("32 MB", "8 MB");
    let edge = start(Edge::builder().server(&tiers).config(&site(&origin.url(), PASS))).await;
    for nth in 0..12 {
        let (target, body) = (format!("/{nth}"), body(3 * MB + nth));
        origin.answer(&target, Answer::fresh_for(600, body.clone()));
        assert_reply(&edge.get(&target).await, "Miss", &body);
        let found = ["record", "body", "unfinished"].map(|kind| files(&edge, kind)).concat();
        let taken: u64 = found.iter().map(|path| fs::metadata(path).map_or(0, |file| file.blocks() * 512)).sum();
        assert!(taken <= 16 * MB as u64, "{taken} bytes are on disk");
    }
    // The last ones are there, the first ones went for them.
    assert_reply(&edge.get("/11").await, "Hit", &body(3 * MB + 11));
    assert_reply(&edge.get("/0").await, "Miss", &body(3 * MB));
    origin.answer("/huge", Answer::fresh_for(600, body(9 * MB)));
    for _ in 0..2 {
        assert_reply(&edge.get("/huge").await, "Miss", &body(9 * MB));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsafe_request_drops_what_is_on_disk_for_good() {
    let origin = Origin::start().await;
    for path in ["/small", "/large"] {
        let length = if path == "/small" { 100 } else { 3 * MB };
        origin.answer(path, Answer::fresh_for(600, body(length)));
        origin.answer(path, Answer::new(200));
        origin.answer(path, Answer::fresh_for(600, "new"));
    }
    let mut edge = start(builder(&origin.url())).await;
    edge.get("/small").await;
    edge.get("/large").await;
    stored(&edge, 2).await;
    // Neither is in memory, then one is.
    edge = restart(edge).await;
    assert_eq!(edge.get("/small").await.cache(), "Hit");
    for path in ["/small", "/large"] {
        edge.ask(Ask::post(path, "x")).await;
    }
    assert_eq!((files(&edge, "record").len(), files(&edge, "body").len()), (0, 0));
    edge = restart(edge).await;
    for path in ["/small", "/large"] {
        assert_reply(&edge.get(path).await, "Miss", &"new".into());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_304_refreshes_an_object_on_disk_and_a_stale_one_stands_in_for_a_failed_origin() {
    let origin = Origin::start().await;
    let large = body(3 * MB);
    let stored_answer = Answer::new(200).header("cache-control", "max-age=60, stale-if-error=600").header("age", "60");
    for (path, then) in [
        ("/a", Answer::new(304).header("etag", "\"e\"").header("cache-control", "max-age=600").header("x-test", "new")),
        ("/b", Answer::new(503)),
    ] {
        origin.answer(path, stored_answer.clone().header("etag", "\"e\"").header("x-test", "old").body(large.clone()));
        origin.answer(path, then);
    }
    let mut edge = start(builder(&origin.url())).await;
    edge.get("/a").await;
    edge.get("/b").await;
    edge = restart(edge).await;
    let refreshed = edge.get("/a").await;
    assert_reply(&refreshed, "RefreshHit", &large);
    assert_eq!((origin.last().header("if-none-match"), refreshed.header("x-test")), ("\"e\"", "new"));
    edge = restart(edge).await;
    let hit = edge.get("/a").await;
    assert_reply(&hit, "Hit", &large);
    assert_eq!(hit.header("x-test"), "new");
    let stale = edge.get("/b").await;
    assert_eq!((stale.status, stale.body.len(), stale.header("x-test")), (200, large.len(), "old"));
    assert_eq!((origin.count("/a"), origin.count("/b")), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_directory_is_refused() {
    let origin = Origin::start().await;
    let first = start(builder(&origin.url())).await;
    let shared = TIERS.replace("\"cache\"", &format!("{:?}", first.path().join("cache")));
    let second = Edge::builder().server(&shared).config(&site(&origin.url(), PASS));
    let config = format!("[server]\nhttp = [\"127.0.0.1:0\"]\n{shared}\n{}", site(&origin.url(), PASS));
    let file = second.path().join("selvedge.toml");
    fs::write(&file, config).unwrap();
    let program = selvedge_tests::edge::program("selvedge");
    let ended = tokio::process::Command::new(program).arg("serve").arg("--config").arg(&file).output();
    let output = tokio::time::timeout(selvedge_tests::WAIT_MAX, ended).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is in use by another process"), "{said}");
    assert!(!said.contains("listening on"), "{said}");
    assert_eq!(first.get("/a").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_error_for_the_log_and_not_for_viewers() {
    let origin = Origin::start().await;
    let large = body(20 * MB);
    origin.answer("/large", Answer::fresh_for(600, large.clone()));
    origin.answer("/small", Answer::fresh_for(600, "small"));
    // It is full in the middle of the object: 10 MB, said in halves of 1 KB.
    let limited = "trap '' XFSZ; ulimit -f 20480; exec \"$0\" \"$@\"";
    let edge = start(builder(&origin.url()).launched_by(&["sh", "-c", limited])).await;
    for _ in 0..2 {
        assert_reply(&edge.get("/large").await, "Miss", &large);
    }
    edge.said("the cache cannot write to").await;
    assert_eq!(edge.get("/small").await.cache(), "Miss");
    assert_eq!(edge.get("/small").await.cache(), "Hit");
    wait_for("what was written to go", || async { files(&edge, "body").is_empty().then_some(()) }).await;
    assert_eq!(edge.terminal().matches("the cache cannot write to").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_used_leaves_the_cache_in_memory() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "a"));
    let nowhere = TIERS.replace("\"cache\"", "\"file/cache\"");
    let edge = Edge::builder().file("file", "").server(&nowhere).config(&site(&origin.url(), PASS)).start().await;
    edge.said("the cache keeps to memory: cache_disk.directory").await;
    assert_eq!((edge.get("/a").await.cache(), edge.get("/a").await.cache()), ("Miss", "Hit"));
    // One that goes away while it is used is no worse.
    let edge = start(builder(&origin.url())).await;
    fs::remove_dir_all(edge.path().join("cache")).unwrap();
    origin.answer("/large", Answer::fresh_for(600, body(3 * MB)));
    assert_reply(&edge.get("/large").await, "Miss", &body(3 * MB));
    edge.said("the cache cannot write to").await;
    assert_eq!((edge.get("/a").await.cache(), edge.get("/a").await.cache()), ("Miss", "Hit"));
}
