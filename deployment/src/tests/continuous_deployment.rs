//! Staging distributions and the continuous deployments that lead to them.

use super::*;
use crate::{Session, SessionKey, Traffic};

/// The site, the next one, and this continuous deployment of the site's.
fn both(policy: &str) -> String {
    let next = SITE.replace("site]", "next]").replace("site.", "next.").replace("domains = ['*']", "staging = true");
    let next = next + &DEFAULT.replace("site.", "next.");
    format!("{SITE}{DEFAULT}{next}[distributions.site.continuous_deployment]\n{policy}\n")
}

fn traffic(policy: &str) -> Option<Traffic> {
    let project = Project::new();
    fs::write(project.root.path().join("key"), "k".repeat(32)).unwrap();
    let deployment = project.load(&both(policy)).unwrap().deployment;
    let site = deployment.distributions.iter().find(|distribution| distribution.name == "site").unwrap();
    let policy = site.continuous_deployment.as_ref()?;
    assert!(policy.staging.is_staging && policy.staging.name == "next");
    Some(policy.traffic.clone())
}

#[test]
fn a_header_or_a_weight_leads_to_the_staging_distribution() {
    let header = traffic("staging = 'next'\nheader = { name = 'Aws-Cf-Cd-Next', value = 'yes' }");
    let Some(Traffic::Header { name, value }) = header else { panic!("{header:?}") };
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("aws-cf-cd-next", "yes"));
    assert_eq!(traffic("staging = 'next'\nweight = 0"), Some(Traffic::Weight { weight: 0.0, session: None }));
    let sticky = "weight = 0.15\nsession = { idle_ttl = '5m', maximum_ttl = '1h', key = 'key' }";
    let session = Session {
        idle: Duration::from_secs(300),
        maximum: Duration::from_secs(3_600),
        key: SessionKey::of("k".repeat(32).as_bytes()).unwrap(),
    };
    let expected = Some(Traffic::Weight { weight: 0.15, session: Some(session) });
    assert_eq!(traffic(&format!("staging = 'next'\n{sticky}")), expected);
    assert_eq!(traffic(&format!("staging = 'next'\nenabled = false\n{sticky}")), None);
}

#[test]
fn no_host_leads_to_a_staging_distribution() {
    let deployment = Project::new().load(&both("staging = 'next'\nweight = 0.1")).unwrap().deployment;
    let next = deployment.distributions.iter().find(|distribution| distribution.is_staging).unwrap();
    assert_eq!(deployment.distribution(&next.domain_name).unwrap().name, "site");
}

#[test]
fn continuous_deployments_that_cannot_be_are_problems_where_they_are_written() {
    for (policy, line, part) in [
        ("staging = 'absent'\nweight = 0.1", 14, "\"absent\" does not exist"),
        ("staging = 'site'\nweight = 0.1", 14, "\"site\" is no staging distribution"),
        ("staging = 'next'", 13, "either header or weight"),
        (
            "staging = 'next'\nweight = 0.1\nheader = { name = 'aws-cf-cd-a', value = 'b' }",
            13,
            "either header or weight",
        ),
        ("staging = 'next'\nweight = 0.151", 15, "weight is 0.151, it must be 0 to 0.15"),
        ("staging = 'next'\nweight = -0.1", 15, "it must be 0 to 0.15"),
        ("staging = 'next'\nweight = nan", 15, "it must be 0 to 0.15"),
        ("staging = 'next'\nheader = { name = 'x-next', value = 'b' }", 15, "must begin with aws-cf-cd-"),
        ("staging = 'next'\nheader = { name = 'aws-cf-cd-', value = 'b' }", 15, "must begin with aws-cf-cd-"),
        ("staging = 'next'\nheader = { name = 'aws-cf-cd-a', value = '' }", 15, "no value of a header"),
        (
            "staging = 'next'\nheader = { name = 'aws-cf-cd-a', value = 'b' }\n\
             session = { idle_ttl = '5m', maximum_ttl = '5m', key = 'selvedge.toml' }",
            16,
            "session needs weight",
        ),
    ] {
        assert_problem(&both(policy), line, part);
    }
    let session = |lines: &str| both(&format!("staging = 'next'\nweight = 0.1\nsession = {{ {lines} }}"));
    for (lines, part) in [
        ("idle_ttl = '299s', maximum_ttl = '5m', key = 'selvedge.toml'", "idle_ttl is 299s, it must be 5m to 1h"),
        ("idle_ttl = '5m', maximum_ttl = '2h', key = 'selvedge.toml'", "maximum_ttl is 2h, it must be 5m to 1h"),
        ("idle_ttl = '10m', maximum_ttl = '5m', key = 'selvedge.toml'", "which is more than maximum_ttl, 5m"),
        ("idle_ttl = '5m', maximum_ttl = '5m', key = 'absent'", "cannot be read"),
        ("idle_ttl = '5m', maximum_ttl = '5m', key = 'short'", "has 5 bytes, it must have 32 at least"),
    ] {
        let project = Project::new();
        fs::write(project.root.path().join("short"), "short").unwrap();
        let problems = project.problems(&session(lines));
        assert!(problems.len() == 1 && problems[0].starts_with("16: "), "{problems:#?}");
        assert!(problems[0].contains(part), "{part}: {problems:#?}");
    }
}

#[test]
fn a_staging_distribution_has_no_domains_no_staging_of_its_own_and_one_primary() {
    let policy = "staging = 'next'\nweight = 0.1";
    let with_domain = both(policy).replace("staging = true", "staging = true\ndomains = ['a.test']");
    assert_problem(&with_domain, 9, "which has no domains");
    let own = "[distributions.next.continuous_deployment]\nstaging = 'next'\nweight = 0.1\n";
    assert_problem(&format!("{}{own}", both(policy)), 16, "which has none of its own");
    let other =
        (SITE.to_owned() + DEFAULT).replace("site]", "more]").replace("site.", "more.").replace("'*'", "'b.test'");
    let twice = format!("{}{other}[distributions.more.continuous_deployment]\n{policy}\n", both(policy));
    let problems = Project::new().problems(&twice);
    assert!(problems.len() == 1 && problems[0].contains("has requests of distribution more already"), "{problems:#?}");
}

#[test]
fn the_digest_changes_with_the_key_of_sessions() {
    let project = Project::new();
    let text = both("staging = 'next'\nweight = 0.1\nsession = { idle_ttl = '5m', maximum_ttl = '5m', key = 'key' }");
    let digest = |key: &str| {
        fs::write(project.root.path().join("key"), key.repeat(32)).unwrap();
        project.load(&text).unwrap().deployment.digest
    };
    assert_eq!(digest("a"), digest("a"));
    assert_ne!(digest("a"), digest("b"));
}
