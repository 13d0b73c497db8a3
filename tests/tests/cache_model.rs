//! The cache against a model of a few lines: random requests and random answers
//! of the origin, and at each step the model says what must come out. The same steps
//! against models with one fault each, which they must find: a cache with such a fault
//! would be told from the model as surely. Then under load, where every body carries its
//! key and must be the right one.

use futures_util::future::join_all;
use parking_lot::Mutex;
use selvedge_tests::raw::read_head;
use selvedge_tests::{Ask, Edge, site, viewer};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// The lines of a request head that the origin's answer depends on.
#[derive(Clone, Debug, Default)]
struct Asked {
    path: String,
    host: String,
    foo: String,
    conditional: bool,
}

impl Asked {
    fn parse(head: &str) -> Asked {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut asked = Asked { path, ..Asked::default() };
        for line in head.lines() {
            match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
                Some((name, value)) if name == "foo" => asked.foo = value.to_owned(),
                Some((name, value)) if name == "host" => asked.host = value.to_owned(),
                Some((name, _)) if name == "if-none-match" => asked.conditional = true,
                _ => {}
            }
        }
        asked
    }
}

/// An origin that answers each request by a function, on a connection of its own.
async fn origin(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                if !head.is_empty() {
                    let answer = answer(&Asked::parse(&String::from_utf8_lossy(&head)));
                    // The edge may have gone.
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    url
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

async fn edge(origin_url: &str) -> Edge {
    let behavior = "allowed_methods = \"all\"\nforward = \"AllViewer\"\n\
        cache = { min_ttl = \"0s\", default_ttl = \"0s\", max_ttl = \"365d\", query = \"all\", gzip = false, brotli = false }";
    let pages = [500, 502].map(|code| {
        format!("[[distributions.site.error_pages]]\nerror_code = {code}\nerror_caching_min_ttl = \"0s\"\n")
    });
    let config = site(origin_url, behavior) + &pages.concat();
    Edge::builder().server("connections_per_address = 5000").config(&config).start().await
}

/// A small generator, so that a failure can be run again with its seed.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }
}

fn seed() -> u64 {
    let given = std::env::var("SELVEDGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish()) | 1
}

/// What the origin does when it is asked next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Fresh,
    /// Stale on arrival, with a validator.
    Stale,
    /// The same, and never to be served without asking.
    Strict,
    NoStore,
    /// 304 to a conditional request, else as `Fresh`.
    Unchanged,
    Error,
}

const NEXT: [Next; 6] = [Next::Fresh, Next::Stale, Next::Strict, Next::NoStore, Next::Unchanged, Next::Error];

#[derive(Clone, Debug)]
struct Entry {
    body: String,
    fresh: bool,
    validator: bool,
    stands_in: bool,
}

/// What a model has wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// A response is fresh at the age of its lifetime.
    FreshForOneMore,
    VaryIgnored,
    KeyWithoutHost,
    /// A 304 makes a response of another path fresh.
    RefreshesAnother,
    NoStoreStored,
    /// An error takes the place of what is stored.
    ErrorStored,
    StrictStandsIn,
    /// A change drops one variant of its address.
    DropsOneVariant,
    /// A failed change drops its address.
    FailureDrops,
}

/// What is read: host, path and variant; `/b` varies on `foo`.
type Key = (String, String, String);

/// What the cache holds.
#[derive(Default)]
struct Model {
    held: HashMap<Key, Entry>,
    fault: Option<Fault>,
}

impl Model {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn key(&self, asked: &Asked) -> Key {
        let host = if self.has(Fault::KeyWithoutHost) { "" } else { &asked.host };
        let varies = asked.path == "/b" && !self.has(Fault::VaryIgnored);
        (host.to_owned(), asked.path.clone(), if varies { asked.foo.clone() } else { String::new() })
    }

    /// The status and body a read must get, whether the origin is asked, and whether conditionally.
    fn read(&mut self, asked: &Asked, next: Next, new_body: &str) -> (u16, String, bool, bool) {
        let key = self.key(asked);
        let held = self.held.get(&key).cloned();
        if let Some(entry) = held.as_ref().filter(|entry| entry.fresh) {
            return (200, entry.body.clone(), false, false);
        }
        let conditional = held.as_ref().is_some_and(|entry| entry.validator);
        let entry = |fresh, validator, stands_in| Entry { body: new_body.to_owned(), fresh, validator, stands_in };
        let stored = match (next, held) {
            (Next::Unchanged, Some(entry)) if conditional => {
                let refreshed = Entry { fresh: true, stands_in: true, ..entry };
                let body = refreshed.body.clone();
                self.held.insert(self.refreshes(key), refreshed);
                return (200, body, true, conditional);
            }
            (Next::Fresh | Next::Unchanged, _) => entry(true, false, true),
            (Next::Stale, _) => entry(self.has(Fault::FreshForOneMore), true, true),
            (Next::Strict, _) => entry(false, true, self.has(Fault::StrictStandsIn)),
            (Next::NoStore, _) if self.has(Fault::NoStoreStored) => entry(true, false, true),
            (Next::NoStore, _) => return (200, new_body.to_owned(), true, conditional),
            (Next::Error, Some(entry)) if entry.stands_in && !self.has(Fault::ErrorStored) => {
                return (200, entry.body, true, conditional);
            }
            (Next::Error, _) => {
                if self.has(Fault::ErrorStored) {
                    self.held.remove(&key);
                }
                return (500, "error".into(), true, conditional);
            }
        };
        let body = stored.body.clone();
        self.held.insert(key, stored);
        (200, body, true, conditional)
    }

    fn refreshes(&self, key: Key) -> Key {
        if self.has(Fault::RefreshesAnother) { (key.0, "/c".to_owned(), String::new()) } else { key }
    }

    fn change(&mut self, asked: &Asked, failed: bool) {
        if failed && !self.has(Fault::FailureDrops) {
            return;
        }
        let (host, path, variant) = self.key(asked);
        let one = self.has(Fault::DropsOneVariant);
        self.held.retain(|held, _| held.0 != host || held.1 != path || (one && held.2 != variant));
    }
}

fn play(next: Next, asked: &Asked, body: &str) -> String {
    let vary = if asked.path == "/b" { "vary: foo\r\n" } else { "" };
    let ok = |headers: &str| answer("200", &format!("{headers}{vary}"), body);
    match next {
        Next::Unchanged if asked.conditional => answer("304", "cache-control: max-age=600\r\netag: \"e\"\r\n", ""),
        Next::Fresh | Next::Unchanged => ok("cache-control: max-age=600\r\n"),
        Next::Stale => ok("cache-control: max-age=600\r\nage: 600\r\netag: \"e\"\r\n"),
        Next::Strict => ok("cache-control: max-age=600, must-revalidate\r\nage: 600\r\netag: \"e\"\r\n"),
        Next::NoStore => ok("cache-control: no-store\r\n"),
        Next::Error => answer("500", "", "error"),
    }
}

/// So many random requests; where the model says something else than the edge does.
async fn disagree(seed: u64, mut model: Model) -> Option<String> {
    let mut random = Random(seed);
    let next = Arc::new(Mutex::new((Next::Fresh, String::new())));
    let asked = Arc::new(Mutex::new(Vec::<Asked>::new()));
    let (playing, recording) = (Arc::clone(&next), Arc::clone(&asked));
    let url = origin(move |request| {
        recording.lock().push(request.clone());
        let (next, body) = playing.lock().clone();
        play(next, request, &body)
    })
    .await;
    let edge = edge(&url).await;
    for step in 0..STEPS {
        let (path, field) = (["/a", "/b", "/c"][random.below(3)], ["", "1", "2"][random.below(3)]);
        let host = ["a.example", "b.example"][usize::from(random.below(4) == 0)];
        let what = NEXT[random.below(NEXT.len())];
        let new_body = format!("{host} {path} {field} {step}");
        *next.lock() = (what, new_body.clone());
        asked.lock().clear();
        let method = if random.below(7) == 0 { "POST" } else { "GET" };
        let ask = Ask::new(method, path).host(host);
        let ask = if field.is_empty() { ask } else { ask.header("foo", field) };
        let asks = Asked { path: path.into(), host: host.into(), foo: field.into(), conditional: false };
        let reply = edge.ask(ask).await;
        let seen = asked.lock().clone();
        if method == "POST" {
            assert_eq!(seen.len(), 1, "seed {seed}, step {step}");
            model.change(&asks, what == Next::Error);
            continue;
        }
        let expected = model.read(&asks, what, &new_body);
        let conditional = seen.first().is_some_and(|seen| seen.conditional);
        let found = (reply.status, reply.text(), !seen.is_empty(), conditional);
        if found != expected || seen.len() > 1 {
            return Some(format!(
                "step {step}: GET {host}{path} foo={field} when the origin is {what:?}: {found:?}, not {expected:?}"
            ));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_and_answers_agree_with_a_model_of_the_cache() {
    let seed = seed();
    let said = disagree(seed, Model::default()).await;
    assert!(said.is_none(), "seed {seed}, {}", said.unwrap_or_default());
}

/// The same steps tell the cache from a model with this fault.
async fn finds(fault: Fault) {
    let seed = seed();
    let said = disagree(seed, Model { fault: Some(fault), ..Model::default() }).await;
    assert!(said.is_some(), "seed {seed}: {STEPS} steps do not find {fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lifetime_that_is_a_moment_too_long_is_found() {
    finds(Fault::FreshForOneMore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vary_that_is_ignored_is_found() {
    finds(Fault::VaryIgnored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_without_the_host_is_found() {
    finds(Fault::KeyWithoutHost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_304_that_refreshes_another_response_is_found() {
    finds(Fault::RefreshesAnother).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_store_that_is_stored_is_found() {
    finds(Fault::NoStoreStored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_place_of_what_is_stored_is_found() {
    finds(Fault::ErrorStored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_response_that_may_not_stand_in_is_found() {
    finds(Fault::StrictStandsIn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_leaves_variants_is_found() {
    finds(Fault::DropsOneVariant).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_change_that_drops_is_found() {
    finds(Fault::FailureDrops).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_with_a_failing_origin_every_body_is_the_right_one_and_whole() {
    let seed = seed();
    let dice = Arc::new(AtomicU64::new(seed));
    let url = origin(move |asked| {
        let nth = dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut random = Random(nth | 1);
        random.below(2);
        let body = format!("{} {} {}", asked.path, asked.foo, "x".repeat(random.below(20_000)) + " end");
        let headers = format!("vary: foo\r\netag: \"{}\"\r\n", body.len());
        let whole = |control: &str| answer("200", &format!("cache-control: {control}\r\n{headers}"), &body);
        match random.below(8) {
            0 => answer("500", "", "error"),
            1 => String::new(),
            // Half of what was promised.
            2 => {
                let mut cut = whole("max-age=600");
                cut.truncate(cut.len() - body.len() / 2);
                cut
            }
            3 => whole("no-store"),
            4 => whole("max-age=0"),
            5 => whole("max-age=600, stale-while-revalidate=600\r\nage: 601"),
            6 if asked.conditional => answer("304", "cache-control: max-age=1\r\n", ""),
            _ => whole("max-age=1"),
        }
    })
    .await;
    let edge = edge(&url).await;
    // More of them by hand: the load of a minute and not of a second.
    let each = std::env::var("SELVEDGE_TEST_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(75);
    let workers = (0..WORKERS).map(|worker| {
        let address = edge.http;
        async move {
            let mut random = Random(seed ^ (worker + 1) | 1);
            let mut answered = 0;
            for _ in 0..each {
                let (path, foo) = (format!("/{}", random.below(6)), ["1", "2", "3"][random.below(3)]);
                let ask = Ask::get(&path).header("foo", foo);
                // A fetch that was cut is a cut answer: an error here.
                let Ok(reply) = viewer::ask(address, ask).await else { continue };
                if reply.status == 200 {
                    let text = reply.text();
                    assert!(
                        text.starts_with(&format!("{path} {foo} ")),
                        "seed {seed}: {path} {foo} got {text:.20}: {:?}",
                        reply.headers
                    );
                    assert!(
                        text.ends_with(" end"),
                        "seed {seed}: {path} {foo} got {} bytes, cut: {:?}",
                        text.len(),
                        reply.headers
                    );
                    answered += 1;
                }
            }
            answered
        }
    });
    let answered: usize = join_all(workers).await.into_iter().sum();
    let asked = each * usize::try_from(WORKERS).expect("they are few");
    assert!(answered > asked / 6, "{answered} of {asked} were answered");
}

const STEPS: usize = 1_500;
const WORKERS: u64 = 40;
