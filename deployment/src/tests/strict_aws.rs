//! What `strict_aws = true` refuses.

use super::*;

#[test]
fn strict_aws_refuses_what_lambda_at_the_edge_does_not_have() {
    let with = |lines: &str| format!("[server]\nstrict_aws = true\n{FUNCTION}{lines}\n{SITE}{DEFAULT}");
    for (line, part) in [
        ("environment = { A = 'b' }", "strict_aws: variable A: a function at the edge has no environment variables"),
        ("provisioned = 2", "strict_aws: provisioned = 2: a function at the edge has no provisioned concurrency"),
        ("quotas = 'lambda'", "strict_aws: quotas = \"lambda\": the timeout of a function at the edge is at most 30s"),
    ] {
        assert_problem(&with(line), 5, part);
        assert!(Project::new().load(&with(line).replace("strict_aws = true\n", "")).is_ok(), "{line}");
        assert!(Project::new().load(&with(line).replace("true", "false")).is_ok(), "{line}");
    }
    assert!(Project::new().load(&with("timeout = '30s'\nmemory_mb = 10240")).is_ok());
}

#[test]
fn strict_aws_bounds_the_functions_of_a_distribution() {
    let project = Project::new();
    let function = |nth: usize| format!("[functions.f{nth}]\ncode = 'functions/echo'\n");
    // Four functions to a behavior: a distribution has fewer behaviors than functions.
    let hooks = ["viewer-request", "origin-request", "origin-response", "viewer-response"];
    let behavior = |nth: usize, count: usize| {
        let used = hooks.iter().enumerate().filter(|(hook, _)| nth * 4 + hook < count);
        let lines: String = used.map(|(hook, name)| format!("hooks.{name} = 'f{}'\n", nth * 4 + hook)).collect();
        format!("[[distributions.site.behaviors]]\norigin = 'files'\npath = '/{nth}'\n{lines}")
    };
    let with = |count: usize| {
        let functions: String = (0..count).map(function).collect();
        let behaviors: String = (0..count.div_ceil(4)).map(|nth| behavior(nth, count)).collect();
        format!("[server]\nstrict_aws = true\n{functions}{SITE}{DEFAULT}{behaviors}")
    };
    assert!(project.load(&with(100)).is_ok());
    let problems = project.problems(&with(101));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("uses 101 functions: a distribution has at most 100 functions"), "{problems:#?}");
}
