//! The store, with certificates made on the spot.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::time::Instant;
use time::Duration as Span;

struct Made {
    certificate: String,
    key: String,
}

fn make(names: &[&str], lives: Span) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = OffsetDateTime::now_utc() - Span::days(60);
    params.not_after = OffsetDateTime::now_utc() + lives;
    Made { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn write(dir: &Path, stem: &str, made: &Made) {
    std::fs::write(dir.join(format!("{stem}.crt")), &made.certificate).unwrap();
    std::fs::write(dir.join(format!("{stem}.key")), &made.key).unwrap();
}

fn same(one: &Arc<CertifiedKey>, other: &Arc<CertifiedKey>) -> bool {
    one.cert == other.cert
}

#[test]
fn choice_is_exact_then_wildcard_then_default() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a-site", &make(&["www.example.com"], Span::days(90)));
    write(dir.path(), "b-wild", &make(&["*.example.com"], Span::days(90)));
    write(dir.path(), "default", &make(&["other.test"], Span::days(90)));
    let store = Store::open(dir.path()).unwrap();
    let exact = store.choose(Some("WWW.example.com"));
    let wildcard = store.choose(Some("api.example.com"));
    let default = store.choose(None);
    assert!(!same(&exact, &wildcard) && !same(&wildcard, &default) && !same(&exact, &default));
    assert!(same(&default, &store.choose(Some("other.test"))));
    assert!(same(&default, &store.choose(Some("a.b.example.com"))), "a wildcard covers one label");
    assert!(same(&default, &store.choose(Some("example.com"))));
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (make(&["a.test"], Span::days(90)), make(&["a.test"], Span::days(90)));
    write(dir.path(), "a", &Made { certificate: one.certificate, key: other.key });
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, CertError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("a.key"), "{error}");
}

#[test]
fn an_expired_certificate_is_refused_with_file_and_date() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "old", &make(&["a.test"], Span::days(-3)));
    let date = (OffsetDateTime::now_utc() - Span::days(3)).date().to_string();
    let text = Store::open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("old.crt") && text.contains(&date), "{text}");
}

#[test]
fn a_certificate_that_expires_within_two_weeks_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "soon", &make(&["a.test"], Span::days(13)));
    let store = Store::open(dir.path()).unwrap();
    assert!(store.warnings().iter().any(|line| line.contains("soon.crt: expires on")), "{:?}", store.warnings());
}

#[test]
fn missing_keys_rubbish_and_empty_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(dir.path()), Err(CertError::Empty { .. })));
    let made = make(&["a.test"], Span::days(90));
    std::fs::write(dir.path().join("a.pem"), &made.certificate).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(CertError::KeyMissing { .. })));
    std::fs::write(dir.path().join("a.key"), "rubbish").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(CertError::InvalidKey { .. })));
    std::fs::write(dir.path().join("a.pem"), "rubbish").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(CertError::InvalidCertificate { .. })));
}

#[test]
fn a_bad_reload_keeps_the_old_certificates() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a", &make(&["a.test"], Span::days(90)));
    let store = Store::open(dir.path()).unwrap();
    let before = store.choose(Some("a.test"));
    write(dir.path(), "b", &make(&["b.test"], Span::days(-1)));
    assert!(store.reload().is_err());
    assert!(same(&before, &store.choose(Some("a.test"))));
}

#[test]
fn a_changed_directory_is_served_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a", &make(&["a.test"], Span::days(90)));
    let store = Store::open(dir.path()).unwrap();
    let before = store.choose(Some("a.test"));
    store.watch();
    write(dir.path(), "a", &make(&["a.test", "longer-name.test"], Span::days(90)));
    let deadline = Instant::now() + Duration::from_secs(20);
    while same(&before, &store.choose(Some("a.test"))) {
        assert!(Instant::now() < deadline, "not reloaded within 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
