//! Requests of every kind run through an edge whose functions, policies and distributions
//! change all the while: each is answered, by one state from its beginning to its end.

use selvedge_tests::control::script_ended;
use selvedge_tests::viewer::KeptConnection;
use selvedge_tests::{Answer, Ask, Controlled, Edge, Origin, Reply, wait_for};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const CHANGES: u32 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_through_the_api_drop_no_request() {
    let origin = Origin::start().await;
    origin.answer("/cached", Answer::fresh_for(600, "kept"));
    let controlled = Controlled::start(Edge::builder()).await;
    let ready = controlled.edge.path().join("ready");
    let (address, changes) = (origin.address().to_string(), CHANGES.to_string());
    let variables = [("ORIGIN", &*address), ("CHANGES", &changes), ("READY", ready.to_str().expect("a path is text"))];
    let mut churn = controlled.command("churn.py", &variables).spawn().expect("python is there");
    wait_for("the distribution", || async { ready.exists().then_some(()) }).await;
    let (newest, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let load = Load { edge: &controlled.edge, origin: &origin, newest: &newest, over: &over };
    let end = async {
        let ended = script_ended(&mut churn).await;
        over.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, made, cached, posted, waited) =
        tokio::join!(end, load.made(), load.cached(), load.posted(), load.waited_for());
    assert!(ended.success(), "{ended}");
    let counts = format!("{made} made, {cached} cached, {posted} posted, {waited} over a change");
    assert!(made > 200 && cached > 100 && posted > 100 && waited > 3, "{counts}");
    assert_eq!(newest.load(Ordering::Relaxed), CHANGES - 1);
}

/// Viewers of one distribution. Each returns how many answers it got.
struct Load<'a> {
    edge: &'a Edge,
    origin: &'a Origin,
    /// The last change that an answer was from.
    newest: &'a AtomicU32,
    over: &'a AtomicBool,
}

impl Load<'_> {
    /// Answers that a function makes, over one connection.
    async fn made(&self) -> u32 {
        let mut connection = KeptConnection::open(self.edge.http).await.expect("the edge listens");
        let (mut count, mut last) = (0, 0);
        while !self.is_over() {
            let ask = Ask::get(&format!("/made/{count}")).host("churn.test");
            let reply = connection.ask(ask).await.unwrap_or_else(|error| panic!("after {count}: {error:#}"));
            last = self.at_least(last, &reply, &reply.text());
            count += 1;
        }
        count
    }

    /// Answers of the cache, which is emptied now and then, each over a connection of its own.
    async fn cached(&self) -> u32 {
        let (mut count, mut last) = (0, 0);
        while !self.is_over() {
            let reply = self.edge.ask(Ask::get("/cached").host("churn.test")).await;
            assert_eq!(reply.text(), "kept", "{reply:?}");
            last = self.at_least(last, &reply, reply.header("x-viewer-response"));
            count += 1;
        }
        count
    }

    /// Bodies that a function has seen and the origin gets.
    async fn posted(&self) -> u32 {
        let (mut count, mut last) = (0, 0);
        while !self.is_over() {
            let target = format!("/posted/{count}");
            let reply = self.edge.ask(Ask::post(&target, "a body".repeat(1_000)).host("churn.test")).await;
            assert_eq!(reply.text(), format!("origin says {target}"), "{reply:?}");
            last = self.at_least(last, &reply, reply.header("x-viewer-response"));
            count += 1;
        }
        let all = self.origin.requests();
        assert!(all.iter().filter(|one| one.target.starts_with("/posted/")).all(|one| one.body.len() == 6_000));
        count
    }

    /// Answers that the origin gives after the state that they began with is gone.
    async fn waited_for(&self) -> u32 {
        let mut count = 0;
        while !self.is_over() {
            let target = format!("/waited/{count}");
            let (open, gate) = tokio::sync::watch::channel(false);
            self.origin.answer(&target, Answer::new(200).body("late").after(gate));
            let change = async {
                wait_for("the request at the origin", || async { (self.origin.count(&target) == 1).then_some(()) })
                    .await;
                let until = self.newest.load(Ordering::Relaxed) + 2;
                let changed = || self.newest.load(Ordering::Relaxed) >= until || self.is_over();
                wait_for("two changes", || async { changed().then_some(()) }).await;
                open.send(true).expect("the origin waits");
            };
            let (reply, ()) = tokio::join!(self.edge.ask(Ask::get(&target).host("churn.test")), change);
            assert_eq!((reply.status, &*reply.text()), (200, "late"));
            let sent = self.origin.requests().into_iter().rfind(|one| one.target == target).expect("it was sent");
            let marks = [reply.header("x-origin-response"), reply.header("x-viewer-response")];
            assert_eq!(marks, [sent.header("x-origin-request"); 2], "{reply:?} of {sent:?}");
            count += 1;
        }
        count
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The change that an answer is from, which is never older than the one before it.
    fn at_least(&self, last: u32, reply: &Reply, mark: &str) -> u32 {
        let mark: u32 = mark.parse().unwrap_or_else(|_| panic!("{mark:?} in {reply:?}"));
        assert!(reply.status == 200 && mark >= last, "{mark} after {last}: {reply:?}");
        self.newest.fetch_max(mark, Ordering::Relaxed);
        mark
    }
}
