//! The demo is true: examples/demo, on free ports, answers what `make
//! demo` says it will.

use selvedge_tests::python::interpreters;
use selvedge_tests::{Ask, Edge};
use std::fs;
use std::path::Path;

async fn demo() -> Edge {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/demo");
    let mut builder = Edge::builder();
    for name in ["site", "data", "functions"] {
        let link = builder.path().join(name);
        std::os::unix::fs::symlink(demo.join(name).canonicalize().expect("the demo is there"), link)
            .expect("links can be made");
    }
    let config = fs::read_to_string(demo.join("selvedge.toml")).expect("the demo has a configuration");
    let (_, rest) = config.split_once("\n\n# Adds the headers").expect("functions follow [server]");
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let rest = rest.replace("python3.11", runtime.id());
    builder = builder.config(&format!("[runtimes]\n{:?} = {interpreter:?}\n# {rest}", runtime.id()));
    builder.start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_security_headers_and_pretty_urls() {
    let edge = demo().await;
    for (target, text) in [("/", "Leaves, weighed"), ("/about", "About the ledger"), ("/docs", "How this page")] {
        let reply = edge.get(target).await;
        assert_eq!(reply.status, 200, "{target}");
        assert!(reply.text().contains(text), "{target}: {}", reply.text());
        assert_eq!(reply.header("x-frame-options"), "DENY", "{target}");
        assert_eq!(edge.get(target).await.cache(), "Hit", "{target}");
    }
    let absent = edge.get("/absent.html").await;
    assert_eq!(absent.status, 404);
    assert!(absent.text().contains("not in the ledger"), "{}", absent.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_split_keeps_a_viewer_in_its_group() {
    let edge = demo().await;
    let first = edge.get("/offer/").await;
    assert_eq!((first.status, first.header("location")), (302, "/offer/"));
    assert!(first.header("set-cookie").starts_with("group="), "{}", first.header("set-cookie"));
    for (group, text) in [("a", "Ten per cent"), ("b", "free infuser")] {
        let reply = edge.ask(Ask::get("/offer/").header("cookie", &format!("x=1; group={group}"))).await;
        assert!(reply.text().contains(text), "{group}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_need_a_token() {
    let edge = demo().await;
    let token = include_str!("../../examples/demo/token.txt").trim();
    assert_eq!(edge.get("/members/").await.status, 401);
    let forged = format!("Bearer {}x", &token[..token.len() - 2]);
    assert_eq!(edge.ask(Ask::get("/members/").header("authorization", &forged)).await.status, 401);
    let reply = edge.ask(Ask::get("/members/").header("authorization", &format!("Bearer {token}"))).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("Welcome back"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirect_and_echo_answer_from_the_edge() {
    let edge = demo().await;
    let reply = edge.get("/old/about").await;
    assert_eq!((reply.status, reply.header("location")), (302, "/about"));
    let reply = edge.ask(Ask::post("/api/echo", "name=Ada")).await;
    assert_eq!(reply.text(), "{\"text\":\"name=Ada\",\"bytes\":8,\"truncated\":false}\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_in_python_knows_the_tea_of_the_hour() {
    let edge = demo().await;
    let reply = edge.get("/api/tea").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let tea: serde_json::Value = serde_json::from_str(&reply.text()).expect("it is JSON");
    assert_eq!(tea["by"], "tea-time");
    assert!(["assam", "darjeeling", "rooibos"].contains(&tea["tea"].as_str().unwrap_or_default()), "{tea}");
    edge.logged("tea-time", "o'clock: ").await;
}
