//! Key value stores: AWS's APIs with the signatures that their clients make, and what
//! handlers read.

use selvedge_tests::control::script_ended;
use selvedge_tests::edge::{EdgeBuilder, program};
use selvedge_tests::python::interpreters;
use selvedge_tests::{Controlled, Edge, free_port, site, wait_for};
use std::process::Command;
use std::time::Duration;

/// What signs requests to stores, and so boto3 as a whole.
const SIGV4A: (&str, &str) = ("SIGNER", "crt");

/// An edge that takes imports from a bucket at this address.
async fn with_bucket() -> (Controlled, String) {
    let services = free_port().to_string();
    let key = "[outside]\naws_access_key_id = AKIDOUTSIDE\naws_secret_access_key = outside/secret+key\n";
    let lines = format!(
        "s3 = {{ endpoint = \"http://{services}\", credentials = \"outside\", region = \"eu-west-3\", bucket = \"packages\" }}"
    );
    let controlled = Controlled::start_with(Edge::builder().file("outside", key), &lines).await;
    (controlled, services)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_and_pairs_live_and_end_as_boto3_expects() {
    let (controlled, services) = with_bucket().await;
    controlled.run("key_value_stores.py", &[("SERVICES", &services), SIGV4A]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_sign_for_one_region_are_understood_too() {
    let (controlled, services) = with_bucket().await;
    controlled.run("key_value_stores.py", &[("SERVICES", &services)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_201st_store_is_refused() {
    Controlled::start(Edge::builder()).await.run("key_value_store_count.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_pair_survives_every_kill() {
    const KILLS: u64 = 20;
    let mut controlled = Controlled::start(Edge::builder()).await;
    let (progress, stop) = (controlled.edge.path().join("progress"), controlled.edge.path().join("stop"));
    let (progress_text, stop_text, kills) =
        (progress.display().to_string(), stop.display().to_string(), KILLS.to_string());
    let variables = [("PROGRESS", progress_text.as_str()), ("STOP", &stop_text), ("KILLS", &kills), SIGV4A];
    let mut survivor = controlled.command("key_value_survivor.py", &variables).spawn().expect("python is there");
    let mut seen = 0;
    for nth in 0..KILLS {
        // It has looked at what the last kill left, and changes pairs again.
        assert!(survivor.try_wait().expect("the script is our child").is_none(), "the script gave up");
        seen = wait_for("another update", || async {
            let updates: u64 = std::fs::read_to_string(&progress).ok()?.parse().ok()?;
            (updates > seen).then_some(updates)
        })
        .await;
        // Moments of all kinds, which are what is tested.
        tokio::time::sleep(Duration::from_millis(nth * 37 % 100)).await;
        controlled = controlled.restart().await;
    }
    std::fs::write(&stop, "").expect("the directory is writable");
    let ended = script_ended(&mut survivor).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_seen_within_a_second_under_load() {
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("key_value_load.py", &[("ORIGIN", "127.0.0.1:9"), SIGV4A]).await;
}

/// One function named `f` at every path, with this table, and the stores `words` and `secret`.
fn edge(settings: &str) -> EdgeBuilder {
    let function = format!("[functions.f]\ncode = \"code\"\ntimeout = \"10s\"\nmemory_mb = 1769\n{settings}\n");
    let site = site("http://192.0.2.1", "hooks.viewer-request = \"f\"\ncache = \"CachingDisabled\"");
    let stores =
        "[key_value_stores.words]\nsource = \"words.json\"\n[key_value_stores.secret]\nsource = \"secret.json\"\n";
    Edge::builder()
        .file("words.json", r#"{"data": [{"key": "one", "value": "eins"}, {"key": "json", "value": "{\"a\": [1]}"}]}"#)
        .file("secret.json", r#"{"data": [{"key": "one", "value": "of another function"}]}"#)
        .config(&format!("{function}{site}{stores}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_javascript_handler_reads_its_stores_as_in_cloudfront_functions() {
    let code = "import cf from 'cloudfront';
import { createRequire } from 'node:module';
const required = createRequire(import.meta.url)('cloudfront');
const store = cf.kvs();
const early = await store.get('one');
const said = async (work) => { try { return await work(); } catch (error) { return `${error.name}: ${error.message}`; } };
export const handler = async () => {
  const meta = await store.meta();
  const answer = [early, await store.get('one'), await store.get('json', { format: 'json' }),
    (await store.get('one', { format: 'bytes' })).toString('hex'), await store.exists('one'), await store.exists('two'),
    await store.count(), meta.keyCount, Math.abs(Date.now() - Date.parse(meta.lastUpdatedDateTime)) < 600000,
    required === cf, await cf.kvs('words').get('one'), await said(() => store.get('two')),
    await said(() => store.get('one', { format: 'xml' })), await said(() => store.get(1)), await said(() => cf.kvs('secret'))];
  return { status: '200', body: JSON.stringify(answer) };
};";
    let edge = edge("key_value_stores = [\"words\"]").file("code/index.mjs", code).start().await;
    let expected = concat!(
        r#"["eins","eins",{"a":[1]},"65696e73",true,false,2,2,true,true,"eins","#,
        r#""Error: key \"two\" is not in key value store words","#,
        r#""TypeError: format is xml, it must be \"string\", \"json\" or \"bytes\"","#,
        r#""TypeError: a key is a string, not number","#,
        r#""Error: \"secret\" is not a key value store that the function names"]"#
    );
    assert_eq!(edge.get("/").await.text(), expected, "{}", edge.log("f"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commonjs_handler_reads_its_store_and_a_module_of_its_own_comes_first() {
    let reads = "const cf = require('cloudfront'); const store = cf.kvs();
exports.handler = async () => ({ status: '200', body: await store.get('one') });";
    let own = "const cf = require('cloudfront'); exports.handler = async () => ({ status: '200', body: cf.own });";
    let edge = edge("key_value_stores = [\"words\"]").file("code/index.js", reads).start().await;
    assert_eq!(edge.get("/").await.text(), "eins", "{}", edge.log("f"));
    let package = edge.path().join("code/node_modules/cloudfront");
    std::fs::create_dir_all(&package).expect("writable");
    std::fs::write(package.join("index.js"), "exports.own = 'its own';").expect("writable");
    std::fs::write(edge.path().join("code/index.js"), own).expect("writable");
    wait_for("the own module", || async { (edge.get("/").await.text() == "its own").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_handler_reads_its_stores_and_reaches_no_others() {
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let id = runtime.id();
    let handler = "import json, os, cloudfront
store = cloudfront.kvs()
early = store.get('one')


def said(work):
    try:
        return work()
    except Exception as error:
        return '%s: %s' % (type(error).__name__, error)


def handler(event, context):
    here = '/var/key-value-stores'
    write = lambda: open(here + '/file.words/pairs', 'w')
    answer = [early, store.get('one'), store.get('json', 'json'), store.get('one', 'bytes').hex(), store.exists('two'), store.count(),
              store.meta()['keyCount'], said(lambda: store.get('two')), said(lambda: cloudfront.kvs('secret')), os.listdir(here),
              os.listdir(here + '/file.words'), said(write).split(']')[0], said(lambda: os.listdir(here + '/file.secret')).split(']')[0]]
    return {'status': '200', 'body': json.dumps(answer)}
";
    let edge = edge(&format!(
        "key_value_stores = [\"words\"]\nruntime = {id:?}\nhandler = \"index.handler\"\n[runtimes]\n{id:?} = {interpreter:?}"
    ))
    .file("code/index.py", handler)
    .start()
    .await;
    let expected = concat!(
        r#"["eins", "eins", {"a": [1]}, "65696e73", false, 2, 2, "KeyError: \"key 'two' is not in key value store words\"", "#,
        r#""ValueError: \"secret\" is not a key value store that the function names", ["file.words"], ["pairs"], "#,
        r#""OSError: [Errno 30", "FileNotFoundError: [Errno 2"]"#
    );
    assert_eq!(edge.get("/").await.text(), expected, "{}", edge.log("f"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_read_by_running_environments() {
    let code = "import cf from 'cloudfront'; const store = cf.kvs(); const born = Math.random();
export const handler = async () => ({ status: '200', body: JSON.stringify([born, await store.get('one')]) });";
    let edge = edge("key_value_stores = [\"words\"]\nenvironments_max = 1").file("code/index.mjs", code).start().await;
    let before = edge.get("/").await.text();
    assert!(before.ends_with(",\"eins\"]"), "{before}: {}", edge.log("f"));
    let after = before.replace("eins", "uno");
    let words = edge.path().join("words.json");
    std::fs::write(&words, r#"{"data": [{"key": "one", "value": "uno"}]}"#).expect("writable");
    wait_for("the new value", || async { (edge.get("/").await.text() == after).then_some(()) }).await;
    // What no store takes is refused, and what was there stays.
    std::fs::write(&words, r#"{"data": [{"key": "one", "value": 1}]}"#).expect("writable");
    edge.said("invalid type: integer").await;
    assert_eq!(edge.get("/").await.text(), after);
}

#[test]
fn check_refuses_stores_that_cannot_be() {
    let root = tempfile::tempdir().expect("temporary files can be made");
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).expect("writable");
    std::fs::create_dir(root.path().join("code")).expect("writable");
    write("code/index.mjs", "export const handler = async () => {};");
    write("good.json", r#"{"data": []}"#);
    write("long.json", &format!(r#"{{"data": [{{"key": "k", "value": "{}"}}]}}"#, "v".repeat(1_025)));
    let store = |source: &str| format!("[key_value_stores.s]\nsource = {source:?}\n");
    let names = |list: &str| format!("[functions.f]\ncode = \"code\"\nkey_value_stores = {list}\n");
    let many: Vec<String> = (0..11).map(|nth| format!("[key_value_stores.s{nth}]\nsource = \"good.json\"\n")).collect();
    let all: Vec<String> = (0..11).map(|nth| format!("\"s{nth}\"")).collect();
    for (text, said) in [
        (names("[\"s\"]") + &store("good.json"), ""),
        (store("long.json"), "the value of key \"k\" has 1025 bytes, at most 1024"),
        (store("absent.json"), "absent.json: No such file"),
        ("[key_value_stores.s]\n".to_owned(), "key value store s has no source"),
        ("[key_value_stores.\"a b\"]\nsource = \"good.json\"\n".to_owned(), "1 to 64 letters"),
        (names("[\"t\"]") + &store("good.json"), "\"t\" is not in [key_value_stores]"),
        (names("[\"s\", \"s\"]") + &store("good.json"), "\"s\" is named twice"),
        (names("[{ name = \"s\", id = \"i\" }]") + &store("good.json"), "is a list of names"),
        (names(&format!("[{}]", all.join(", "))) + &many.concat(), "names 11, at most 10"),
        (
            "[server]\nstrict_aws = true\n".to_owned() + &names("[\"s\"]") + &store("good.json"),
            "strict_aws: key_value_stores",
        ),
    ] {
        write("selvedge.toml", &text);
        let output = Command::new(program("selvedge")).current_dir(root.path()).arg("check").output().expect("built");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), said.is_empty(), "{text}: {errors}");
        assert!(errors.contains(said), "{text}: {errors}");
    }
}

/// What `docs/key-value-stores.md` says of speed: reads stay in the process. Bounds with room for a busy machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_costs_microseconds() {
    let code = "import cf from 'cloudfront'; const store = cf.kvs();
export const handler = async () => {
  await store.get('one');
  const began = performance.now();
  for (let nth = 0; nth < 1000; nth++) await store.get('one');
  return { status: '200', body: String((performance.now() - began)) };
};";
    let edge = edge("key_value_stores = [\"words\"]").file("code/index.mjs", code).start().await;
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        best = best.min(edge.get("/").await.text().parse().expect("the handler answers with microseconds"));
    }
    assert!(best < 100.0, "a read took {best} us");
}
