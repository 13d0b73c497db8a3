//! Terraform with its AWS provider, unchanged, against the control plane. The configuration
//! and the script are in `tests/clients`.

use selvedge_tests::origin::Answer;
use selvedge_tests::terraform::command_line_config;
use selvedge_tests::{Controlled, Edge, Origin};
use std::fs;
use std::path::Path;

#[expect(clippy::print_stdout, reason = "what did not run is said")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terraform_applies_finds_no_drift_changes_and_destroys() {
    let origin = Origin::start().await;
    origin.answer("/plain/broken", Answer::new(503));
    origin.answer("/absent", Answer::new(404));
    let key = "[origin]\naws_access_key_id = AKIDORIGIN\naws_secret_access_key = secret\n";
    let line = "origin_access = { credentials = \"origin\" }";
    let controlled = Controlled::start_with(Edge::builder().file("origin", key), line).await;
    let config = match command_line_config(controlled.edge.path()) {
        Ok(config) => config,
        Err(reason) => {
            println!("SKIPPED: {reason}");
            return;
        }
    };
    let (place, address) = (controlled.edge.path().join("terraform"), origin.address().to_string());
    let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let variables = [
        ("ORIGIN", &*address),
        ("TF_CLI_CONFIG_FILE", &text(&config)),
        ("PLACE", &text(&place)),
        ("VECTORS", concat!(env!("CARGO_MANIFEST_DIR"), "/signed/vectors.json")),
    ];
    controlled.run("terraform.py", &variables).await;
    let recorded = origin.requests();
    let asked = |target: &str| recorded.iter().find(|one| one.target == target).expect("the origin was asked");
    let posted = asked("/echo");
    assert_eq!((&posted.body[..], posted.header("x-origin-request")), (&b"seen: a body"[..], "one with one"));
    assert_eq!((posted.header("x-from"), posted.header("x-tell-origin")), ("the edge", "this"));
    assert!(
        asked("/second/plain/broken").header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDORIGIN/")
    );
    assert_eq!(asked("/old/list?page=1&other=2").header("cookie"), "session=a");
}

#[test]
fn the_provider_block_of_control_md_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/control.md")).unwrap();
    let block = fs::read_to_string(root.join("tests/clients/terraform/provider.tf")).unwrap();
    assert!(page.contains(&format!("```hcl\n{block}```\n")), "docs/control.md shows another block");
}
