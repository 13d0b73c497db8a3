//! The control plane through real clients: AWS's SDK for Python speaks to it unchanged. The
//! scripts are in `tests/clients`; each says what it expects.

use selvedge_tests::control::script_ended;
use selvedge_tests::{Ask, Controlled, Edge, Origin, selvedge, site, wait_for};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_live_and_end_as_boto3_expects() {
    Controlled::start(Edge::builder()).await.run("lambda_functions.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_immutable_and_aliases_share_invocations_out() {
    Controlled::start(Edge::builder()).await.run("lambda_versions.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_secret_is_listened_to() {
    Controlled::start(Edge::builder()).await.run("signatures.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distribution_serves_at_once_changes_without_a_gap_and_ends() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("cloudfront_distributions.py", &[("ORIGIN", &address)]).await;
    let recorded = origin.requests();
    let posted = recorded.iter().find(|request| request.target == "/echo").expect("the body went to the origin");
    assert_eq!((&posted.body[..], posted.header("x-origin-request")), (&b"seen: a body"[..], "one"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_kept_used_and_changed() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    Controlled::start(Edge::builder()).await.run("cloudfront_policies.py", &[("ORIGIN", &address)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_behavior_opens_to_what_the_keys_of_its_groups_signed() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/signed/vectors.json");
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("cloudfront_keys.py", &[("ORIGIN", &address), ("VECTORS", vectors)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_goes_from_upload_to_rollback() {
    Controlled::start(Edge::builder()).await.run("aws_cli.py", &[("ORIGIN", "127.0.0.1:9")]).await;
}

#[expect(clippy::print_stdout, reason = "what did not run is said")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_for_javascript_is_understood() {
    let controlled = Controlled::start(Edge::builder()).await;
    if !controlled.run_javascript("sdk.mjs", &[("ORIGIN", "127.0.0.1:9")]).await {
        println!("SKIPPED: the AWS SDK for JavaScript is not installed");
    }
}

/// An edge that retries soon, and where its functions' logs are.
async fn retrying() -> (Controlled, String) {
    let lines = "async_retry_waits = [\"100ms\", \"200ms\"]";
    let controlled = Controlled::start_with(Edge::builder(), lines).await;
    let logs = controlled.edge.path().join("state/logs").to_str().expect("a path is text").to_owned();
    (controlled, logs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_run_retried_and_their_records_handed_over() {
    let (controlled, logs) = retrying().await;
    controlled.run("lambda_events.py", &[("STEP", "play"), ("LOGS", &logs)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_event_survives_a_kill() {
    let (controlled, logs) = retrying().await;
    controlled.run("lambda_events.py", &[("STEP", "accept"), ("LOGS", &logs)]).await;
    let controlled = controlled.restart().await;
    controlled.run("lambda_events.py", &[("STEP", "finish"), ("LOGS", &logs)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_survives_a_restart_and_the_key_is_shown_once() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("state.py", &[("ORIGIN", &address), ("STEP", "make")]).await;
    let controlled = controlled.restart().await;
    assert!(!controlled.edge.terminal().contains("aws_secret_access_key"));
    controlled.run("state.py", &[("ORIGIN", &address), ("STEP", "look")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_made_while_the_edge_ran_is_another_edge_s_state() {
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "make")]).await;
    let place = controlled.edge.path();
    selvedge(place, &["control", "backup", "copy"]);
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "spoil")]).await;
    let config = std::fs::read_to_string(place.join("selvedge.toml")).expect("the configuration can be read");
    let key = place.join("state/control/key");
    let other = config.replace("data_dir = \"state\"", "data_dir = \"other\"");
    let other = other.replace("[control]", &format!("[control]\nkey_file = \"{}\"", key.display()));
    std::fs::write(place.join("selvedge.toml"), other).expect("the configuration can be written");
    selvedge(place, &["control", "restore", "copy"]);
    let controlled = controlled.restart().await;
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "look")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_and_the_api_share_the_edge_and_no_name() {
    let origin = Origin::start().await;
    let address = origin.address().to_string();
    let builder = Edge::builder()
        .function("filed", "export const handler = async () => ({ status: '200', body: 'the file' });")
        .config(&site(&origin.url(), "hooks.viewer-request = \"filed\"").replace("\"*\"", "\"file.test\""));
    let controlled = Controlled::start(builder).await;
    controlled.run("beside_a_file.py", &[("ORIGIN", &address)]).await;
    let from_file = controlled.edge.ask(Ask::get("/a").host("file.test")).await;
    assert_eq!(from_file.text(), "the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_package_is_refused_and_never_run() {
    let controlled = Controlled::start(Edge::builder()).await;
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "upload")]).await;
    let packages = controlled.edge.path().join("state/control/packages");
    for entry in std::fs::read_dir(packages).expect("there are packages") {
        let path = entry.expect("the directory can be read").path();
        let mut sealed = std::fs::read(&path).expect("a package can be read");
        let middle = sealed.len() / 2;
        sealed[middle] ^= 1;
        std::fs::write(&path, sealed).expect("a package can be written");
    }
    let controlled = controlled.restart().await;
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "damaged")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_what_was_acknowledged_or_leaves_half_a_change() {
    const KILLS: u64 = 200;
    let mut controlled = Controlled::start(Edge::builder()).await;
    let (ready, stop) = (controlled.edge.path().join("ready"), controlled.edge.path().join("stop"));
    let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let kills = KILLS.to_string();
    let variables = [("ORIGIN", "127.0.0.1:9"), ("READY", &text(&ready)), ("STOP", &text(&stop)), ("KILLS", &kills)];
    let mut survivor = controlled.command("survivor.py", &variables).spawn().expect("python is there");
    wait_for("the first writes", || async { ready.exists().then_some(()) }).await;
    let mut random = RandomState::new().build_hasher().finish();
    for _ in 0..KILLS {
        assert!(survivor.try_wait().expect("the script is our child").is_none(), "the script gave up");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A moment at random, which is what is tested.
        tokio::time::sleep(Duration::from_millis(random >> 33 & 0xff)).await;
        controlled = controlled.restart().await;
    }
    std::fs::write(&stop, "").expect("the directory is writable");
    let ended = script_ended(&mut survivor).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_without_aws_s_tools_deploy_look_and_roll_back() {
    let code = "export const handler = async () => ({ status: '200', body: 'kept' });";
    let builder = Edge::builder().file("kept/index.mjs", code).file("kept/lib/more.mjs", "export {};");
    let controlled = Controlled::start(builder).await;
    let place = controlled.edge.path();
    let said = selvedge(place, &["deploy", "kept"]);
    assert!(said.starts_with("kept:1 is published after "), "{said}");
    controlled.run("state.py", &[("ORIGIN", "127.0.0.1:9"), ("STEP", "associate")]).await;
    let asked = || controlled.edge.ask(Ask::get("/").host("kept.test"));
    assert_eq!(asked().await.text(), "kept");
    std::fs::write(place.join("kept/index.mjs"), code.replace("kept", "newer")).expect("the code can be written");
    let said = selvedge(place, &["deploy", "kept"]);
    assert!(said.starts_with("kept:2 is live in E"), "{said}");
    assert_eq!(asked().await.text(), "newer");
    assert!(selvedge(place, &["functions"]).starts_with("kept: nodejs22.x, version 2, "));
    let listed = selvedge(place, &["distributions"]);
    assert!(listed.contains("enabled, kept.test ") && listed.contains("functions kept:2"), "{listed}");
    assert!(selvedge(place, &["rollback", "kept"]).starts_with("kept:1 is live in E"));
    assert_eq!(asked().await.text(), "kept");
    let code = "export const handler = async (): Promise<object> => ({ status: '200', body: 'another' });";
    std::fs::create_dir(place.join("another")).expect("the directory can be made");
    std::fs::write(place.join("another/index.ts"), code).expect("the code can be written");
    let said = selvedge(place, &["deploy", "another"]);
    assert!(said.contains("no distribution uses it, --event EVENT lets one"), "{said}");
    let words = ["deploy", "another", "--event", "viewer-request", "--distribution", "kept.test"];
    let said = selvedge(place, &words);
    assert!(said.starts_with("another:") && said.contains(" is live in E"), "{said}");
    assert_eq!(asked().await.text(), "another");
    assert!(selvedge(place, &["purge", "--distribution", "kept.test", "/*"]).contains("1 item invalidated"));
    let origin = Origin::start().await;
    let said = selvedge(place, &["distributions", "create", "--origin", &origin.url(), "--domain", "made.test"]);
    assert!(said.contains(" is live as made.test, d"), "{said}");
    assert_eq!(controlled.edge.ask(Ask::get("/a").host("made.test")).await.text(), "origin says /a");
    selvedge(place, &["deploy", "another", "--event", "viewer-request", "--distribution", "made.test"]);
    assert_eq!(controlled.edge.ask(Ask::get("/a").host("made.test")).await.text(), "another");
    controlled.edge.logged("kept", "REPORT RequestId").await;
    assert!(selvedge(place, &["logs", "kept", "-n", "1"]).contains("REPORT RequestId"));
}
