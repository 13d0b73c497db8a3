//! Origins whose requests are signed.

use super::*;

/// A site whose origin has these lines of its own; they begin at line 5.
fn site(kind: &str, lines: &str) -> String {
    let head = SITE.replace("directory = 'site'", kind);
    format!("{head}[distributions.site.origins.files.access_control]\n{lines}\n{DEFAULT}")
}

fn origin(config: &Config) -> &Origin {
    &config.deployment.distributions[0].origins["files"]
}

#[test]
fn an_origin_says_how_its_requests_are_signed() {
    let load = |lines: &str| Project::new().load(&site("url = 'https://o.test'", lines)).unwrap();
    let config = load("credentials = 'key'");
    let control = origin(&config).access_control.as_ref().unwrap();
    assert_eq!((control.signing, control.service), (Signing::Always, SignedService::S3));
    assert_eq!((control.signer.region(), control.signer.service()), ("us-east-1", "s3"));
    let config = load("signing = 'no-override'\nservice = 'lambda'\nregion = 'eu-west-3'\ncredentials = 'key'");
    let control = origin(&config).access_control.as_ref().unwrap();
    assert_eq!((control.signing, control.service), (Signing::NoOverride, SignedService::Lambda));
    assert_eq!((control.signer.region(), control.signer.service()), ("eu-west-3", "lambda"));
    assert!(origin(&load("signing = 'never'")).access_control.is_none());
}

#[test]
fn what_cannot_be_signed_is_a_problem_with_its_line() {
    let url = "url = 'https://o.test'";
    for (kind, lines, line, part) in [
        (url, "signing = 'sometimes'\ncredentials = 'key'", 6, "\"always\", \"never\", \"no-override\""),
        (url, "service = 'mediastore'\ncredentials = 'key'", 6, "is not one of \"s3\", \"lambda\""),
        (url, "region = 'a b'\ncredentials = 'key'", 6, "region \"a b\" must be"),
        (url, "credentials = 'absent'", 6, "absent: No such file"),
        (url, "credentials = { environment = 'SELVEDGE_ABSENT' }", 6, "SELVEDGE_ABSENT_ACCESS_KEY_ID is not set"),
        (url, "", 5, "access_control needs credentials"),
        (url, "secret = 'x'\ncredentials = 'key'", 6, "unknown field `secret`"),
        ("directory = 'site'", "credentials = 'key'", 5, "has no meaning for an origin on this machine"),
        ("socket = 'app.sock'", "credentials = 'key'", 5, "has no meaning for an origin on this machine"),
    ] {
        assert_problem(&site(kind, lines), line, part);
    }
}

#[test]
fn other_credentials_are_another_deployment_with_the_same_digest() {
    let project = Project::new();
    let text = site("url = 'https://o.test'", "credentials = 'key'");
    let before = project.load(&text).unwrap();
    fs::write(project.root.path().join("key"), "[key]\naws_access_key_id = B\naws_secret_access_key = c\n").unwrap();
    let after = project.load(&text).unwrap();
    assert_eq!(before.deployment.digest, after.deployment.digest);
    assert_ne!(origin(&before), origin(&after));
    assert!(!format!("{:?}", before.deployment).contains("secret"));
}
