//! Packages signed by `selvedge sign`, and functions that insist on a signer.

use selvedge_tests::{Controlled, Edge, selvedge};
use std::path::{Path, PathBuf};

/// A place with three signed packages; the ARNs of the two signers.
fn packages(place: &Path) -> (String, String) {
    std::fs::create_dir(place.join("code")).expect("the directory is writable");
    let code = "export const handler = async () => 'signed';";
    std::fs::write(place.join("code/index.mjs"), code).expect("the directory is writable");
    let key = |name: &str| {
        let words = ["sign", "--key", name, "--make-key", "--profile", "release"];
        selvedge(place, &words).trim().to_owned()
    };
    let (trusted, other) = (key("trusted.pem"), key("other.pem"));
    assert!(trusted.contains(":/signing-profiles/release/") && trusted != other, "{trusted}");
    for (key, out, days) in
        [("trusted.pem", "trusted.zip", "30"), ("other.pem", "other.zip", "30"), ("trusted.pem", "expired.zip", "0")]
    {
        let words = ["sign", "code", "--key", key, "--profile", "release", "--days", days, "--out", out];
        assert!(selvedge(place, &words).contains(" is signed by arn:aws:signer:"));
    }
    (trusted, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_take_only_what_their_publishers_signed() {
    let controlled = Controlled::start(Edge::builder()).await;
    let (trusted, other) = packages(controlled.edge.path());
    let place = controlled.edge.path().to_str().expect("a path is text").to_owned();
    let variables = [("STEP", "play"), ("TRUSTED", &trusted), ("OTHER", &other), ("PLACE", &place)];
    controlled.run("lambda_signing.py", &variables).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_lost_its_signature_is_not_run() {
    let controlled = Controlled::start(Edge::builder()).await;
    let (trusted, other) = packages(controlled.edge.path());
    let place = controlled.edge.path().to_str().expect("a path is text").to_owned();
    let variables =
        |step| [("STEP", step), ("TRUSTED", trusted.as_str()), ("OTHER", other.as_str()), ("PLACE", place.as_str())];
    controlled.run("lambda_signing.py", &variables("keep")).await;
    let opened = opened(controlled.edge.pid().as_raw());
    let signed = std::fs::read(&opened).expect("the package is opened");
    let unsigned = String::from_utf8_lossy(&signed).contains("selvedge-signature-1").then(|| {
        let end = signed.windows(4).rposition(|window| window == b"PK\x05\x06").expect("it is an archive");
        let mut unsigned = signed[..end + 20].to_vec();
        unsigned.extend([0, 0]);
        unsigned
    });
    std::fs::write(&opened, unsigned.expect("it was signed")).expect("this user may write it");
    controlled.run("lambda_signing.py", &variables("spoilt")).await;
}

/// The one package that an edge has opened.
fn opened(pid: i32) -> PathBuf {
    let prefix = format!("selvedge-code-{pid}.");
    let mut places = std::fs::read_dir("/dev/shm").expect("there is memory").flatten();
    let place =
        places.find(|place| place.file_name().to_string_lossy().starts_with(&prefix)).expect("the edge has one");
    let mut files = std::fs::read_dir(place.path()).expect("it can be read").flatten();
    files.find(|file| file.path().extension().is_some_and(|kind| kind == "zip")).expect("one is opened").path()
}
