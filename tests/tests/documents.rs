//! What the documents claim of the sources.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_and_case_that_lambda_edge_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/lambda-edge.md")).unwrap();
    let single = ["proxy/src/error.rs", "tests/tests/events.rs"];
    let mut sources: String = single.iter().map(|file| fs::read_to_string(root.join(file)).unwrap()).collect();
    let files = fs::read_dir(root.join("event/src/tests")).unwrap();
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    sources.extend(files.iter().map(|file| fs::read_to_string(file).unwrap()));

    let quoted = page.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
    };
    let tests: Vec<&str> = quoted.filter(is_test).collect();
    assert!(tests.len() > 60, "{} tests are named", tests.len());
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test}");
    }
    for case in page.split("case `").skip(1).filter_map(|rest| rest.split('`').next()) {
        assert!(root.join("tests/conformance").join(case).is_dir(), "no case {case}");
    }
}

#[test]
fn every_test_that_limits_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut sources = String::new();
    for directory in [
        "tests/tests",
        "event/src",
        "proxy/src",
        "functions/src",
        "functions/tests",
        "deployment/src",
        "environment/src",
        "runtime/src",
        "js-runtime/src",
        "js-runtime/tests",
        "sandbox/tests",
        "custom-runtime/src",
        "control/src",
    ] {
        add_sources(&root.join(directory), &mut sources);
    }
    let rows = page.lines().filter(|line| line.starts_with('|') && line.ends_with("` |"));
    let cells = rows.filter_map(|row| row.strip_suffix(" |")?.rsplit_once("| ").map(|(_, cell)| cell));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let tests: Vec<&str> = names.filter(|name| !name.starts_with("hostile/")).collect();
    assert!(tests.len() > 12, "{} tests are named", tests.len());
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test}");
    }
}

#[test]
fn limits_md_names_every_hostile_case_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut named: Vec<&str> = page.split("`hostile/").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    named.sort_unstable();
    let cases = selvedge_tests::hostile::hostile_cases();
    let there: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(named, there);
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut sources = String::new();
    for directory in ["tests/tests", "sandbox/tests"] {
        add_sources(&root.join(directory), &mut sources);
    }
    let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains(['/', '.', ' ']);
    let tests: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(tests.len() > 15, "{} tests are named", tests.len());
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test}");
    }
}

#[test]
fn every_test_that_caching_policies_and_continuous_deployment_md_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = |name: &str| fs::read_to_string(root.join("docs").join(name)).unwrap();
    let page = page("caching.md") + &page("policies.md") + &page("continuous-deployment.md");
    let mut sources = String::new();
    for directory in ["tests/tests", "proxy/src", "deployment/src"] {
        add_sources(&root.join(directory), &mut sources);
    }
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
    };
    let tests: Vec<&str> = page.split('`').filter(is_test).collect();
    assert!(tests.len() > 20, "{} tests are named", tests.len());
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test}");
    }
}

#[test]
fn every_test_and_case_that_python_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/python.md")).unwrap();
    let mut sources = String::new();
    add_sources(&root.join("tests/tests"), &mut sources);
    let rows: Vec<&str> =
        page.lines().filter_map(|row| row.strip_suffix(" |")?.rsplit_once("| ")).map(|row| row.1).collect();
    let named: Vec<&str> = rows.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 15, "{} tests and cases are named", named.len());
    for name in named {
        let is_there = root.join("tests/conformance").join(name).is_dir() || sources.contains(&format!("fn {name}("));
        assert!(is_there, "no test or case {name}");
    }
}

#[test]
fn every_test_that_dev_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/dev.md")).unwrap();
    let mut sources = fs::read_to_string(root.join("tests/tests/dev.rs")).unwrap();
    add_sources(&root.join("js-runtime/tests"), &mut sources);
    let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains(['/', '.', ' ']);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 5, "{} tests are named", named.len());
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
    }
}

#[test]
fn every_test_that_layers_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/layers.md")).unwrap();
    let tests = fs::read_to_string(root.join("tests/tests/layers.rs")).unwrap();
    let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains(['/', '.', ' ']);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 4, "{} tests are named", named.len());
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

#[test]
fn every_test_that_inspector_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/inspector.md")).unwrap();
    let tests = fs::read_to_string(root.join("tests/tests/inspector.rs")).unwrap();
    let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains(['/', '.', ' ']);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 5, "{} tests are named", named.len());
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

#[test]
fn every_test_that_custom_runtimes_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/custom-runtimes.md")).unwrap();
    let mut sources = String::new();
    add_sources(&root.join("tests/tests"), &mut sources);
    let rows = page.lines().filter_map(|row| row.strip_suffix(" |")?.rsplit_once("| ")).map(|row| row.1);
    let named: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 15, "{} tests are named", named.len());
    for name in named {
        let case = name.strip_prefix("hostile/");
        let is_there = case.map_or_else(
            || sources.contains(&format!("fn {name}(")),
            |case| root.join("tests/hostile").join(case).is_dir(),
        );
        assert!(is_there, "no test or case {name}");
    }
}

#[test]
fn every_test_that_key_value_stores_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/key-value-stores.md")).unwrap();
    let tests = fs::read_to_string(root.join("tests/tests/key_value_stores.rs")).unwrap();
    let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains(['/', '.', ' ', '{']);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 3, "{} tests are named", named.len());
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

fn add_sources(directory: &Path, into: &mut String) {
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            add_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("sources are text"));
        }
    }
}

#[test]
fn aws_compatibility_md_lists_every_operation_and_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page = fs::read_to_string(root.join("docs/aws-compatibility.md")).unwrap();
    let mut tests = String::new();
    add_sources(&root.join("tests/tests"), &mut tests);
    for (service, heading) in [("lambda", "## Lambda"), ("cloudfront", "## CloudFront")] {
        let table =
            page.split(heading).nth(1).and_then(|rest| rest.split("\n\n").nth(1)).expect("the page has a table");
        let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
        let known = fs::read_to_string(root.join(format!("control/src/{service}/operations.rs"))).unwrap();
        let done = fs::read_to_string(root.join(format!("control/src/{service}.rs"))).unwrap();
        // The name is the first text of each entry, however the entry is broken into lines.
        let mut names: Vec<&str> =
            known.split("operation(").skip(1).filter_map(|entry| entry.split('"').nth(1)).collect();
        names.sort_unstable();
        names.dedup();
        let listed: Vec<&str> = rows.iter().skip(2).map(|row| row[1]).collect();
        assert_eq!(listed, names);
        for row in rows.iter().skip(2) {
            let (name, supported, test) = (row[1], row[2], row[4].trim_matches('`'));
            let there = done.contains(&format!("\"{name}\" =>")) || done.contains(&format!("== \"{name}\""));
            assert_eq!(supported == "yes", there, "{name}");
            assert_eq!(supported == "yes", tests.contains(&format!("async fn {test}()")), "{name}: {test}");
        }
    }
}
