//! Code that the template compiled is compiled in its copies.

use selvedge_tests::{Edge, Origin, site};
use std::fmt::Write;
use std::time::{Duration, Instant};

const HOOK: &str = "hooks.viewer-request = \"f\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_does_not_compile_what_its_template_compiled() {
    let shared = first_answer("\"on\"").await;
    let loaded = first_answer("\"off\"").await;
    assert!(
        shared * 5 < loaded,
        "a copy answers after {shared:?}, an environment that loads by itself after {loaded:?}"
    );
}

/// From a request that finds no environment to its answer; the least of a few.
async fn first_answer(snap_start: &str) -> Duration {
    let origin = Origin::start().await;
    let settings =
        format!("snap_start = {snap_start}\nenvironment_idle_timeout = \"0s\"\nmemory_mb = 512\ntimeout = \"20s\"");
    let edge =
        Edge::builder().function_with("f", &large_module(), &settings).config(&site(&origin.url(), HOOK)).start().await;
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(edge.get("/").await.text(), EXPECTED.to_string());
        least = least.min(asked.elapsed());
    }
    least
}

/// Functions that are compiled when they are called first, which the module does and its handler does again.
fn large_module() -> String {
    let mut code = String::new();
    for nth in 0..FUNCTIONS {
        writeln!(
            code,
            "function f{nth}(a) {{ const b = [a, {nth}]; return b.map((c) => c % 7).length + (a > {nth} ? 1 : 1); }}"
        )
        .expect("text grows");
    }
    let calls: String = (0..FUNCTIONS).map(|nth| format!("s += f{nth}(s);\n")).collect();
    code + "const all = () => { let s = 0;\n"
        + &calls
        + "return s; };\nall();\n\
            export const handler = async () => ({ status: '200', body: String(all()) });\n"
}

const FUNCTIONS: usize = 5_000;
const EXPECTED: usize = FUNCTIONS * 3;
