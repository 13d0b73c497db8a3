//! `selvedge dev`: what is saved is what answers, and what is wrong is said where it is.

use selvedge_tests::dev::Dev;
use selvedge_tests::{Origin, wait_for};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const ANSWER: &str = "interface Event { Records: { cf: { request: { uri: string } } }[] }
export const viewerRequest = async (event: Event) => {
  const { uri } = event.Records[0].cf.request;
  if (uri === '/pass') return event.Records[0].cf.request;
  return { status: '200', body: `first ${uri}` };
};
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_s_file_is_enough() {
    let dev = Dev::start(&[("index.ts", ANSWER)], &[]).await;
    assert_eq!(dev.get("/a").await.text(), "first /a");
    // Without an origin there is one that shows what it is asked.
    let reply = dev.get("/pass").await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().starts_with("GET /pass\n"), "{}", reply.text());
    dev.said("200 GET /a").await;
    dev.said("viewer-request   viewerRequest of ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_answers_without_a_failed_request() {
    let dev = Dev::start(&[("index.ts", ANSWER)], &[]).await;
    assert_eq!(dev.get("/").await.text(), "first /");
    dev.save("index.ts", &ANSWER.replace("first", "second"));
    wait_for("the new code", || async {
        let reply = dev.get("/").await;
        assert_eq!(reply.status, 200);
        (reply.text() == "second /").then_some(())
    })
    .await;
    // An editor puts another file in its place.
    dev.replace("index.ts", &ANSWER.replace("first", "third"));
    dev.answers("/", "third /").await;
    dev.said("reloaded viewer-request in ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_does_not_load_says_where_until_it_is_mended() {
    let dev = Dev::start(&[("index.ts", ANSWER)], &[]).await;
    dev.save("index.ts", &ANSWER.replace("status: '200'", "status: = '200'"));
    let page = wait_for("the page of the error", || async {
        let reply = dev.get("/").await;
        (reply.status == 503).then(|| reply.text())
    })
    .await;
    assert!(page.contains("SyntaxError: "), "{page}");
    assert!(page.contains("index.ts:5:20\n"), "{page}");
    assert!(page.contains("> 5 |   return { status: = '200',"), "{page}");
    assert!(page.contains("\n    |                    ^"), "{page}");
    dev.said("> 5 |   return { status: = '200',").await;
    assert!(!dev.terminal().contains("/packages/"), "{}", dev.terminal());
    dev.save("index.ts", &ANSWER.replace("first", "mended"));
    dev.answers("/", "mended /").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_never_loaded_is_served_once_it_does() {
    let dev = Dev::start(&[("index.mjs", "export const viewerResponse = async () => { ;")], &[]).await;
    assert_eq!(dev.get("/").await.status, 503);
    dev.said("index.mjs:1:").await;
    let answer = "export const handler = async () => ({ status: '200', body: 'at last' });";
    dev.save("index.mjs", answer);
    dev.answers("/", "at last").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_while_it_runs_is_said_with_its_place() {
    let code = "import { twice } from './lib/numbers.js';
enum Kind { Page, Other }
export const handler = async (event: any) => {
  console.log(`kind ${Kind[twice(0)]}`);
  const wrong: number = 'not checked';
  return event.Records[0].cf.nothing.here;
};
";
    let files = [("index.ts", code), ("lib/numbers.ts", "export const twice = (n: number): number => 2 * n;\n")];
    let dev = Dev::start(&files, &[]).await;
    let reply = dev.get("/").await;
    assert_eq!(reply.status, 503);
    let page = reply.text();
    assert!(page.contains("TypeError: Cannot read properties of undefined"), "{page}");
    assert!(page.contains("index.ts:6:38\n") && page.contains("> 6 |   return event.Records"), "{page}");
    dev.said("[viewer-request] kind Page").await;
    dev.said("> 6 |   return event.Records").await;
    dev.said("503 GET /").await;
    // Once by the function, not once more by the edge.
    assert_eq!(dev.terminal().matches("Cannot read properties").count(), 1, "{}", dev.terminal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_become_hooks_when_they_are_saved() {
    let origin = Origin::start().await;
    let stamp = "export const viewerResponse = async (event) => {
      const { response } = event.Records[0].cf;
      response.headers['x-stamp'] = [{ value: process.env.STAGE }];
      return response;
    };\n";
    let dev = Dev::start(&[("src/index.mjs", stamp)], &["--origin", &origin.url(), "--env", "STAGE=here"]).await;
    let reply = dev.get("/a").await;
    assert_eq!((reply.text().as_str(), reply.header("x-stamp")), ("origin says /a", "here"));
    let more = "export async function originRequest(event) {
      const { request } = event.Records[0].cf;
      request.uri = '/b';
      return request;
    }\n";
    dev.save("src/index.mjs", &format!("{stamp}{more}"));
    dev.answers("/a", "origin says /b").await;
    dev.save("src/index.mjs", stamp);
    dev.answers("/a", "origin says /a").await;
    dev.save("src/index.mjs", "export const other = 1;\n");
    dev.said("exports no handler: call an export viewerRequest").await;
    assert_eq!(dev.get("/a").await.header("x-stamp"), "here");
}

/// Code without a handler is refused whenever it is saved, also while the code before it is being loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_in_a_row_are_not_served_half() {
    let code = |nth: u64| format!("export const handler = async () => ({{ status: '200', body: '{nth}' }});\n");
    let dev = Dev::start(&[("index.mjs", &code(0))], &[]).await;
    for nth in 1..=30 {
        dev.save("index.mjs", &code(nth));
        sleep(Duration::from_millis(2 * nth)).await;
        dev.save("index.mjs", "export const other = 1;\n");
        let refused = || dev.terminal().matches("exports no handler").count() as u64;
        wait_for("the refusal", || async {
            assert_eq!(dev.get("/").await.status, 200);
            (refused() >= nth).then_some(())
        })
        .await;
    }
    assert!(!dev.terminal().contains("cannot run"), "{}", dev.terminal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_served_as_it_is_written_to_this_machine_only() {
    let config = |cache: &str| {
        format!(
            "[server]\nhttp = [\"0.0.0.0:0\"]\ndata_dir = \"state\"\n[functions.edge]\ncode = \"edge\"\n\
             [distributions.site]\ndomains = [\"*\"]\n[distributions.site.origins.o]\ndirectory = \"site\"\n\
             [distributions.site.default_behavior]\norigin = \"o\"\ncache = \"{cache}\"\nhooks.origin-response = \"edge\"\n"
        )
    };
    let stamp = "export const handler = async (event) => {
      const { response } = event.Records[0].cf;
      response.headers['x-stamp'] = [{ value: 'one' }];
      return response;
    };\n";
    let files = [("selvedge.toml", &*config("CachingOptimized")), ("edge/index.mts", stamp), ("site/a.txt", "a")];
    let dev = Dev::start(&files, &[]).await;
    assert_eq!(dev.get("/a.txt").await.header("x-stamp"), "one");
    assert!(dev.get("/a.txt").await.header("x-cache").starts_with("Hit"));
    // What the old code put into the cache is gone with it.
    dev.save("edge/index.mts", &stamp.replace("one", "two"));
    wait_for("the new stamp", || async { (dev.get("/a.txt").await.header("x-stamp") == "two").then_some(()) }).await;
    dev.save("selvedge.toml", &config("NoSuchPolicy"));
    dev.said("NoSuchPolicy").await;
    dev.said("not reloaded: what was there before is served").await;
    assert_eq!(dev.get("/a.txt").await.header("x-stamp"), "two");
    assert!(!dev.terminal().contains("0.0.0.0"), "{}", dev.terminal());
}

/// The promise is 100 ms with the release build on a quiet machine; this one may be busy.
#[expect(clippy::print_stdout, reason = "the number is what a person runs it for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_answers_soon() {
    let dev = Dev::start(&[("index.ts", ANSWER)], &[]).await;
    let mut took = Vec::new();
    for nth in 0..SAVES {
        let text = format!("number {nth}");
        dev.save("index.ts", &ANSWER.replace("first", &text));
        let saved = Instant::now();
        dev.answers("/", &format!("{text} /")).await;
        took.push(saved.elapsed());
    }
    took.sort_unstable();
    println!("from save to answer: median {:?}, all {took:?}", took[SAVES / 2]);
    assert!(took[SAVES / 2] < SOON, "{took:?}");
}

const SAVES: usize = 11;
const SOON: Duration = Duration::from_millis(1000);
