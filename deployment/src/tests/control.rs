//! The `[control]` table, and what a control plane adds to the file.

use super::*;

#[test]
fn the_control_table_is_checked_and_stays_on_this_machine() {
    assert!(Project::new().load("").unwrap().server.control.is_none());
    let control = Project::new().load("[control]\n").unwrap().server.control.unwrap();
    assert_eq!(control.listen, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(control.async_retry_waits, [Duration::from_secs(60), Duration::from_secs(120)]);
    assert_problem("[control]\nlisten = 'everywhere'\n", 2, "is not an IP address and port");
    assert_problem("[control]\nkey_file = 'absent'\n", 2, "is not a file");
    assert_problem("[control]\nasync_retry_waits = ['1m']\n", 2, "two durations");
    assert_problem("[control]\nasync_retry_waits = ['1m', '2h']\n", 2, "it must be 0s to 1h");
    assert_problem("[control]\nurl_destinations = ['https://a.test/path']\n", 2, "must be a scheme and a host");
    assert_problem("[control]\nsqs = { endpoint = 'http://a.test' }\n", 2, "sqs needs an endpoint and credentials");
    assert_problem("[control]\ns3 = { endpoint = 'http://a.test', credentials = 'key' }\n", 2, "s3 needs the bucket");
    for (table, part) in [
        ("sns = { endpoint = 'http://a.test', credentials = 'absent' }", "absent: No such file"),
        ("sns = { endpoint = 'http://a.test', credentials = 'selvedge.toml' }", "has no aws_access_key_id"),
        ("origin_access = { credentials = 'absent' }", "absent: No such file"),
        ("origin_access = { credentials = 'key', region = 'EU' }", "region \"EU\" must be 1 to 32"),
        ("origin_access = {}", "origin_access needs credentials"),
        ("origin_access = { credentials = { environment = 'SELVEDGE_ABSENT' } }", "SELVEDGE_ABSENT_ACCESS_KEY_ID"),
    ] {
        assert_problem(&format!("[control]\n{table}\n"), 2, part);
    }
    assert_eq!((control.function_url_domain.as_str(), control.has_https), ("selvedge.local", false));
    for domain in ["", "a b", "-a.test", "a..test", &"a.".repeat(100)] {
        assert_problem(&format!("[control]\nfunction_url_domain = '{domain}'\n"), 2, "is no domain");
    }
}

#[test]
fn what_is_added_becomes_part_of_the_deployment_and_shares_no_name_with_the_file() {
    let project = Project::new();
    let file = project.root.path().join("selvedge.toml");
    fs::write(&file, format!("{FUNCTION}{}{DEFAULT}", SITE.replace('*', "file.test"))).unwrap();
    let added = |name: &str, domain: &str| Added {
        text: format!(
            "[functions.'{name}:3']\ncode = 'echo'\n\
             [distributions.E1]\ndomains = ['{domain}']\n[distributions.E1.origins.o]\nurl = 'http://o'\n\
             [distributions.E1.default_behavior]\norigin = 'o'\nhooks.viewer-request = '{name}:3'\n"
        ),
        directory: project.root.path().join("functions"),
        functions: [name.to_owned()].into(),
        ..Added::default()
    };
    let alone = load(&file).unwrap().deployment;
    let both = load_with(&file, &added("new", "new.test")).unwrap().deployment;
    assert_ne!(alone.digest, both.digest);
    assert_eq!(alone.digest, load_with(&file, &Added::default()).unwrap().deployment.digest);
    let function = &both.functions["new:3"];
    assert_eq!((function.name.as_str(), function.version.as_str()), ("new", "3"));
    let distribution = both.distribution("new.test").unwrap();
    assert_eq!((distribution.id.as_str(), both.distributions.len()), ("E1", 2));
    let refused = |added: &Added| load_with(&file, added).unwrap_err().to_string();
    let message = refused(&added("echo", "new.test"));
    assert!(message.contains("function echo is also a function of the control plane"), "{message}");
    let message = refused(&added("new", "file.test"));
    assert!(message.contains("file.test is already a domain of distribution site"), "{message}");
}
