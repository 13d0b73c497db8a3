//! What a behavior may ask of the cache, of its origins and of its viewers.

use super::*;

#[test]
fn error_pages_follow_cloudfront_s_rules() {
    let page = |lines: &str| format!("{SITE}{DEFAULT}[[distributions.site.error_pages]]\n{lines}");
    assert_problem(&page("error_code = 404\npath = '/x'\n"), 9, "no response_code");
    assert_problem(&page("error_code = 404\nresponse_code = 200\n"), 9, "no path");
    assert_problem(&page("error_code = 418\n"), 8, "error_code 418");
    assert_problem(&page("error_code = 404\npath = '/x'\nresponse_code = 201\n"), 10, "response_code 201");
    let project = Project::new();
    let config = project.load(&page("error_code = 500\nerror_caching_min_ttl = '1m'\n")).unwrap();
    assert_eq!(config.deployment.distributions[0].error_pages[0].page, None);
}

#[test]
fn policies_are_checked() {
    let with = |line: &str| format!("{SITE}{DEFAULT}{line}\n");
    assert_problem(&with("cache = 'Fast'"), 7, "CachingOptimized, CachingDisabled");
    assert_problem(&with("forward = 'Everything'"), 7, "AllViewer");
    assert_problem(&with("cache = { headers = ['cookie'] }"), 7, "set cookies");
    assert_problem(&with("cache = { cookies = 'some' }"), 7, "some");
    assert_problem(&with("forward = { query = ['*'] }"), 7, "names are exact");
}

#[test]
fn policies_that_cannot_hold_are_problems_where_they_are_written() {
    let line = |key: &str| format!("{SITE}{DEFAULT}{key}\n");
    for (text, part) in [
        (line("compress = true\ncache = { gzip = false, brotli = false }"), "neither gzip nor brotli"),
        (line("response_headers = \"Secure\""), "is not a managed response headers policy"),
        (line("response_headers = { remove = [\"content-length\"] }"), "content-length cannot be removed"),
        (line("response_headers = { add = [{ name = \"x-cache\", value = \"a\" }] }"), "x-cache cannot be added"),
        (line("response_headers = { server_timing = 101 }"), "it must be 0 to 100"),
        (
            line("response_headers = { cors = { origins = [\"*\"], methods = [\"GET\"], credentials = true } }"),
            "browsers refuse that",
        ),
        (
            line("response_headers = { cors = { origins = [\"https://*.a*\"], methods = [\"GET\"] } }"),
            "of cors must be",
        ),
        (line("response_headers = { security = { frame_options = { value = \"NO\" } } }"), "is not one of DENY"),
        (line("trusted_key_groups = [\"nobody\"]"), "key group \"nobody\" does not exist"),
        (line("cache = { headers = [\"CloudFront-Viewer-Country\"] }"), "needs [server] geo_database"),
        (line("forward = { edge_headers = [\"CloudFront-Viewer-Mood\"] }"), "this edge does not make"),
        (line("cache = { headers = [\"CloudFront-Viewer-TLS\"] }"), "cannot be part of a cache key"),
        (line("cached_methods = \"read+options\""), "which allowed_methods does not let in"),
        (line("cached_methods = \"all\""), "is not one of"),
        (line("forward = { edge_headers = [\"x-a\"] }"), "is the viewer's"),
        (format!("{SITE}{DEFAULT}[distributions.site.geo_restriction]\nallow = ['SE']\n"), "geo_restriction needs"),
    ] {
        let problems = Project::new().problems(&text);
        assert!(problems.len() == 1 && problems[0].contains(part), "{part}: {problems:#?}");
    }
}

#[test]
fn an_origin_group_has_two_origins_of_its_distribution() {
    let group =
        |group: &str| format!("{SITE}{DEFAULT}[distributions.site.origin_groups.both]\nprimary = 'files'\n{group}\n");
    for (text, part) in [
        (group("secondary = 'files'\nstatuses = [500]"), "secondary is the primary"),
        (group("secondary = 'other'\nstatuses = [500]"), "\"other\" is not an origin"),
    ] {
        let problems = Project::new().problems(&text);
        assert!(problems.len() == 1 && problems[0].contains(part), "{part}: {problems:#?}");
    }
    let spare = "[distributions.site.origins.spare]\ndirectory = 'site'\n";
    let both = "[distributions.site.origin_groups.both]\nprimary = 'files'\nsecondary = 'spare'\n";
    let uses = "[distributions.site.default_behavior]\norigin = 'both'\n";
    let bad = Project::new().problems(&format!("{SITE}{spare}{both}statuses = [200]\n{uses}"));
    assert!(bad.len() == 1 && bad[0].contains("status 200 is not one of"), "{bad:#?}");
    let config = Project::new().load(&format!("{SITE}{spare}{both}statuses = [503, 504]\n{uses}")).unwrap();
    let behavior = &config.deployment.distributions[0].behaviors[0];
    let failover = behavior.failover.as_ref().unwrap();
    assert_eq!((behavior.origin.name.as_str(), failover.secondary.name.as_str()), ("files", "spare"));
    assert_eq!(failover.statuses, [503, 504]);
}

#[test]
fn keys_are_rsa_or_p_256_in_pem() {
    let groups = "[key_groups.g.keys]\nK1 = 'k1.pem'\n";
    let with = |pem: &str| {
        let project = Project::new();
        fs::write(project.root.path().join("k1.pem"), pem).unwrap();
        project
    };
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../tests/signed/vectors.json")).unwrap();
    for key in ["RSA", "EC"] {
        assert!(with(vectors["keys"][key].as_str().unwrap()).load(groups).is_ok(), "{key}");
    }
    for (pem, part) in [
        ("not a key", "has no \"PUBLIC KEY\" in PEM"),
        (include_str!("../check/fixtures/rsa-1024.pem"), "is an RSA key of 1024 bits"),
        (include_str!("../check/fixtures/p-384.pem"), "neither an RSA key nor an ECDSA key on the curve P-256"),
    ] {
        let problems = with(pem).problems(groups);
        assert!(problems.len() == 1 && problems[0].contains(part), "{part}: {problems:#?}");
    }
}
