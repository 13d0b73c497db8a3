//! The process tree of `selvedge-js`, driven the way a PoP drives it: a zygote
//! with a control socket, templates and environments by descriptor passing.

mod pop;

use environment::frame::{Exiting, Frame};
use environment::{ControlReply, Exit};
use pop::{Environment, Zygote};
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[test]
fn a_zygote_says_that_it_is_ready() {
    let zygote = Zygote::start();
    assert!(zygote.engine.starts_with("V8 "), "{}", zygote.engine);
}

#[test]
fn an_environment_of_a_template_answers_and_its_end_is_reported() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = async (event) => ({ twice: event.n * 2 })");
    let mut environment = template.environment(7);
    assert_eq!(environment.result(r#"{"n":21}"#), r#"{"twice":42}"#);
    assert_eq!(environment.result(r#"{"n":1}"#), r#"{"twice":2}"#);
    drop(environment.socket);
    match template.control.receive().0 {
        ControlReply::Exited { id: 7, exit: Exit::Code(0), memory_max_kb, .. } => assert!(memory_max_kb > 1000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn log_lines_come_before_the_result_in_order() {
    let zygote = Zygote::start();
    let template =
        zygote.template("exports.handler = async () => { console.log('one'); console.log('two'); return 3 }");
    let mut environment = template.environment(1);
    environment.invoke("{}", Duration::from_secs(3));
    let (logged, last) = environment.until_answer();
    assert_eq!(last, Frame::Result("3".into()));
    assert!(logged.len() == 2 && logged[0].contains("one") && logged[1].contains("two"), "{logged:?}");
}

#[test]
fn a_line_of_a_waiting_handler_arrives_before_it_ends() {
    let zygote = Zygote::start();
    let template = zygote.template(
        "exports.handler = async () => { console.log('early'); await new Promise(r => setTimeout(r, 1500)) }",
    );
    let mut environment = template.environment(1);
    let started = Instant::now();
    environment.invoke("{}", Duration::from_secs(5));
    assert!(matches!(environment.frame(), Some(Frame::Log(line)) if line.ends_with(b"early")));
    assert!(started.elapsed() < Duration::from_millis(1000), "{:?}", started.elapsed());
    assert!(matches!(environment.until_answer().1, Frame::Result(_)));
}

#[test]
fn a_hundred_environments_of_one_template_are_not_alike() {
    let zygote = Zygote::start();
    let template = zygote.template(
        "const c = require('crypto');
         Math.random(); c.randomUUID(); c.randomBytes(8); globalThis.crypto.randomUUID();
         exports.handler = async () => [
           String(Math.random()), c.randomUUID(), c.randomBytes(8).toString('hex'), globalThis.crypto.randomUUID()]",
    );
    let mut seen = HashSet::new();
    for id in 0..100 {
        let values: Vec<String> = serde_json::from_str(&template.environment(id).result("{}")).unwrap();
        assert_eq!(values.len(), 4);
        for value in values {
            assert!(seen.insert(value.clone()), "environment {id} repeats {value}");
        }
    }
}

#[test]
fn a_spinning_handler_ends_at_its_deadline() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = async () => { for (;;) { try { for (;;) {} } catch {} } }");
    let mut environment = template.environment(1);
    let started = Instant::now();
    environment.invoke("{}", Duration::from_millis(300));
    let (said, end) = environment.until_answer();
    assert_eq!(end, Frame::Exiting(Exiting::Deadline));
    assert!(said.len() == 1 && said[0].starts_with("JavaScript stack when it was stopped:\n    at "), "{said:?}");
    assert_eq!(environment.frame(), None);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(295) && took < Duration::from_millis(1300), "{took:?}");
}

#[test]
fn a_waiting_handler_ends_at_its_deadline() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = () => new Promise(r => setTimeout(r, 60000))");
    let mut environment = template.environment(1);
    environment.invoke("{}", Duration::from_millis(300));
    assert_eq!(environment.until_answer().1, Frame::Exiting(Exiting::Deadline));
}

#[test]
fn an_environment_outlives_its_template() {
    let zygote = Zygote::start();
    let template = zygote.template(
        "exports.handler = async (event) => { await new Promise(r => setTimeout(r, event.ms)); return 'done' }",
    );
    let mut environment = template.environment(1);
    environment.invoke(r#"{"ms":300}"#, Duration::from_secs(5));
    pop::kill(template.pid);
    match zygote.control.receive().0 {
        ControlReply::Exited { exit: Exit::Signal(9), .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(environment.until_answer().1, Frame::Result(r#""done""#.into()));
    assert_eq!(environment.result(r#"{"ms":0}"#), r#""done""#);
}

#[test]
fn a_spinning_environment_ends_when_its_pop_hangs_up() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = async () => { console.log('in'); for (;;) {} }");
    let mut environment = template.environment(1);
    environment.invoke("{}", Duration::from_secs(30));
    assert!(matches!(environment.frame(), Some(Frame::Log(_))));
    let Environment { socket, pid, .. } = environment;
    drop(socket);
    let started = Instant::now();
    assert!(matches!(template.control.receive().0, ControlReply::Exited { id: 1, .. }));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!pop::lives(pid));
}

#[test]
fn an_environment_of_the_zygote_loads_the_code_itself() {
    let zygote = Zygote::start();
    let mut environment = zygote.environment(3, "exports.handler = async () => 'own'");
    assert!(matches!(environment.frame(), Some(Frame::Ready { init_ms }) if init_ms > 0.0));
    assert_eq!(environment.result("{}"), r#""own""#);
}

#[test]
fn hooks_run_in_the_template_and_in_each_copy_and_not_where_nothing_is_copied() {
    let code = "let before = 0, after = 0;
        process.on('beforeSnapshot', () => { before++; });
        process.on('afterRestore', async () => { await null; after++; });
        exports.handler = async () => [before, after];";
    let zygote = Zygote::start();
    let template = zygote.template(code);
    for id in [1, 2] {
        let mut copy = template.environment(id);
        assert!(matches!(copy.frame(), Some(Frame::Ready { .. })));
        assert_eq!(copy.result("{}"), "[1,1]");
    }
    let mut alone = zygote.environment(3, code);
    assert!(matches!(alone.frame(), Some(Frame::Ready { .. })));
    assert_eq!(alone.result("{}"), "[0,0]");
}

#[test]
fn a_copy_whose_hook_throws_says_so_and_ends() {
    let code = "process.on('afterRestore', () => { throw new RangeError('no'); }); exports.handler = async () => 1;";
    let zygote = Zygote::start();
    let template = zygote.template(code);
    let mut environment = template.environment(1);
    match environment.until_answer().1 {
        Frame::InitFailed(error) => {
            assert_eq!((error.error_type.as_str(), error.error_message.as_str()), ("RangeError", "no"))
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(template.control.receive().0, ControlReply::Exited { id: 1, .. }));
}

#[test]
fn a_copy_whose_hooks_need_too_much_memory_says_so_and_ends() {
    let code = "process.on('afterRestore', () => { const all = []; for (;;) all.push({ nth: all.length }); });
        exports.handler = async () => 1;";
    let zygote = Zygote::start();
    let template = zygote.template(code);
    match template.environment(1).until_answer().1 {
        Frame::InitFailed(error) => {
            assert_eq!(error.error_message, "memory limit of 128 MB exceeded in afterRestore hooks")
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(template.control.receive().0, ControlReply::Exited { id: 1, .. }));
}

#[test]
fn a_module_that_throws_is_reported_by_template_and_environment() {
    let zygote = Zygote::start();
    let template = zygote.fork_template("throw new TypeError('broken at the top')");
    match template.control.answer() {
        ControlReply::InitFailed { error } => assert!(error.error_message.contains("broken at the top"), "{error:?}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(zygote.control.receive().0, ControlReply::Exited { .. }));
    let mut environment = zygote.environment(2, "throw new TypeError('broken at the top')");
    match environment.until_answer().1 {
        Frame::InitFailed(error) => assert_eq!(error.error_type, "TypeError"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn process_exit_ends_the_environment_with_its_code() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = async () => { process.exit(3) }");
    let mut environment = template.environment(1);
    environment.invoke("{}", Duration::from_secs(3));
    assert_eq!(environment.until_answer().1, Frame::Exiting(Exiting::Code(3)));
    assert!(matches!(template.control.receive().0, ControlReply::Exited { exit: Exit::Code(3), .. }));
}

#[test]
fn a_zygote_and_its_templates_end_when_the_pop_is_gone() {
    let zygote = Zygote::start();
    let template = zygote.template("exports.handler = async () => 1");
    let (mut child, template_pid) = (zygote.child, template.pid);
    drop(zygote.control);
    drop(template.control);
    assert!(child.wait().unwrap().success());
    let patience = Instant::now() + Duration::from_secs(5);
    while pop::lives(template_pid) {
        assert!(Instant::now() < patience, "the template lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}
