//! The edge's verdict on the result of each conformance case that has both. No
//! handler runs here.

use selvedge_tests::conformance::cases;

#[test]
fn every_verdict_is_as_written() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for case in cases() {
        let (Some(result), Some(expected)) = (&case.result, &case.verdict) else { continue };
        judged += 1;
        let verdict = case.judge(result.to_string().as_bytes());
        if verdict != *expected {
            wrong.push(format!("{}: {verdict}, expected {expected}", case.name));
        }
    }
    assert!(judged >= 40, "{judged} cases were judged");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_expects_something_of_a_runtime_there_is() {
    for case in cases() {
        let expects = case.result.is_some() || case.error.is_some() || case.verdict.is_some();
        assert!(expects && !(case.result.is_some() && case.error.is_some()), "{}", case.name);
        assert!(!case.about.runtimes.is_empty(), "{}", case.name);
        for runtime in &case.about.runtimes {
            // `python` stands for all that the machine has an interpreter of.
            let known = runtime == "python" || environment::Runtime::from_id(runtime).is_some();
            assert!(known, "{}: {runtime}", case.name);
        }
    }
}
