//! The engine with real handlers: each test is a process of its own (V8 starts
//! once per process), with one engine, a package on disk and the lines it logs.

#![allow(clippy::unwrap_used)]

mod support;
mod typescript;

use environment::Runtime;
use environment::frame::Exiting;
use js_runtime::engine::Ending;
use support::{Play, error, result};

#[test]
fn a_commonjs_handler_answers() {
    let mut play = Play::new(Runtime::Nodejs22, "exports.handler = async (event) => ({ got: event.a });");
    assert_eq!(play.invoke(r#"{"a":1}"#), result(r#"{"got":1}"#));
    assert_eq!(play.invoke(r#"{"a":2}"#), result(r#"{"got":2}"#));
}

#[test]
fn an_es_module_with_top_level_await_answers() {
    let code = "import { setTimeout as wait } from 'node:timers/promises'; import fs from 'fs';\n\
                await wait(5); const n = await Promise.resolve(7); export const handler = async () => [n, typeof fs.readFileSync];";
    let mut play = Play::with_file(Runtime::Nodejs22, "index.mjs", code);
    assert_eq!(play.invoke("{}"), result(r#"[7,"function"]"#));
}

#[test]
fn a_timer_works_after_an_init_phase_that_used_timers() {
    let code = "await new Promise((r) => setTimeout(r, 5)); export const handler = () => new Promise((r) => setTimeout(() => r('late'), 10));";
    let mut play = Play::with_file(Runtime::Nodejs24, "index.mjs", code);
    assert_eq!(play.unshared, None);
    assert_eq!(play.invoke("{}"), result(r#""late""#));
}

#[test]
fn open_timers_make_a_function_unshared() {
    let play = Play::new(Runtime::Nodejs22, "setInterval(() => {}, 1000); exports.handler = async () => 1;");
    assert!(play.unshared.clone().unwrap().contains("timers"), "{:?}", play.unshared);
}

#[test]
fn hooks_run_before_the_copy_in_reverse_and_after_it_in_order() {
    let code = "const said = []; const wait = () => new Promise((resolve) => setTimeout(resolve, 5));
        const timer = setInterval(() => {}, 1000);
        process.on('beforeSnapshot', async () => { await wait(); said.push('b1'); });
        process.once('beforeSnapshot', () => { said.push('b2'); clearInterval(timer); });
        process.on('afterRestore', async () => { await wait(); said.push('a1', process.env.TMPDIR.length > 1); });
        process.on('afterRestore', () => said.push('a2'));
        exports.handler = async () => said;";
    let mut play = Play::new(Runtime::Nodejs22, code);
    // A hook may close what would keep the process from being copied.
    assert_eq!(play.unshared, None);
    assert_eq!(play.invoke("{}"), result(r#"["b2","b1","a1",true,"a2"]"#));
}

#[test]
fn a_hook_that_throws_is_an_error_of_the_init_phase_or_of_the_copy() {
    let code = "process.on('beforeSnapshot', async () => { throw new TypeError('not now'); }); exports.handler = async () => 1;";
    let refused = Play::try_new(Runtime::Nodejs22, "index.handler", "index.js", code).err().unwrap();
    assert_eq!((refused.error_type.as_str(), refused.error_message.as_str()), ("TypeError", "not now"));
}

#[test]
fn a_hook_that_throws_after_the_copy_is_reported() {
    let code = "process.on('afterRestore', () => { throw new RangeError('no'); }); exports.handler = async () => 1;";
    let refused = Play::try_new(Runtime::Nodejs22, "index.handler", "index.js", code).err().unwrap();
    assert_eq!((refused.error_type.as_str(), refused.error_message.as_str()), ("RangeError", "no"));
}

#[test]
fn n1_a_callback_waits_for_the_event_loop() {
    let code = "exports.handler = (e, c, cb) => { cb(null, 'r'); setTimeout(() => console.log('late'), 50); };";
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert_eq!(play.invoke("{}"), result(r#""r""#));
    assert!(play.log().last().unwrap().ends_with("\tINFO\tlate"), "{:?}", play.log());
}

#[test]
fn n2_a_callback_that_does_not_wait_answers_at_once_and_the_rest_is_frozen() {
    let code = "exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, 'r'); setTimeout(() => console.log('late'), 10); };";
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert_eq!(play.invoke("{}"), result(r#""r""#));
    assert!(play.log().is_empty(), "{:?}", play.log());
}

#[test]
fn n3_to_n16_on_node_22() {
    for (code, expected) in [
        ("(e) => 'r'", "null"),
        ("async (e, c, cb) => { cb(null, 'a'); return 'b'; }", r#""a""#),
        ("async (e, c, cb) => 'r'", r#""r""#),
        ("(e, c) => c.done(null, 'd')", r#""d""#),
        ("(e, c) => c.succeed('s')", r#""s""#),
        ("async () => {}", "null"),
        ("(e, c, cb) => { cb(null, typeof c.memoryLimitInMB); }", r#""string""#),
        ("() => ({ then(r) { r('t'); } })", r#""t""#),
        ("async () => process.version", r#""v22.20.0""#),
    ] {
        let mut play = Play::new(Runtime::Nodejs22, &format!("exports.handler = {code};"));
        assert_eq!(play.invoke("{}"), result(expected), "{code}");
    }
    for (code, kind, message) in [
        ("() => Promise.reject('x')", "string", "x"),
        ("(e, c) => c.fail()", "string", "handled"),
        ("async () => ({ a: 1n })", "Error", "Unable to stringify response body"),
        ("() => { throw new TypeError('sync'); }", "TypeError", "sync"),
        ("(e, c, cb) => cb(new RangeError('called'))", "RangeError", "called"),
        ("async () => { throw Object.assign(new Error('own'), { name: 'Own', code: 'E_X' }); }", "Own", "own"),
    ] {
        let mut play = Play::new(Runtime::Nodejs22, &format!("exports.handler = {code};"));
        assert_eq!(error(play.invoke("{}")), (kind.to_string(), message.to_string()), "{code}");
    }
}

#[test]
fn n4_to_n16_on_node_24() {
    for (code, expected) in [
        ("(e) => 'r'", r#""r""#),
        ("async () => {}", "null"),
        ("() => ({ then(r) { r('t'); } })", r#""t""#),
        ("async () => process.version.startsWith('v24.')", "true"),
    ] {
        let mut play = Play::new(Runtime::Nodejs24, &format!("exports.handler = {code};"));
        assert_eq!(play.invoke("{}"), result(expected), "{code}");
    }
    for (code, kind, message) in [
        ("() => Promise.reject('x')", "string", "x"),
        ("async () => ({ a: 1n })", "Runtime.JSONStringifyError", "Unable to stringify response body"),
        ("(e, c) => c.fail()", "TypeError", "c.fail is not a function"),
    ] {
        let mut play = Play::new(Runtime::Nodejs24, &format!("exports.handler = {code};"));
        assert_eq!(error(play.invoke("{}")), (kind.to_string(), message.to_string()), "{code}");
    }
}

#[test]
fn init_errors_carry_lambdas_names() {
    for (runtime, handler, code, kind) in [
        (
            Runtime::Nodejs24,
            "index.handler",
            "exports.handler = (e, c, cb) => cb(null, 1);",
            "Runtime.CallbackHandlerDeprecated",
        ),
        (
            Runtime::Nodejs24,
            "index.handler",
            "exports.handler = async (e, c, cb) => 1;",
            "Runtime.CallbackHandlerDeprecated",
        ),
        (Runtime::Nodejs22, "index", "", "Runtime.MalformedHandlerName"),
        (Runtime::Nodejs22, "../x.handler", "", "Runtime.MalformedHandlerName"),
        (Runtime::Nodejs22, "index.nope", "exports.handler = 1;", "Runtime.HandlerNotFound"),
        (Runtime::Nodejs22, "index.handler", "exports.handler = 1;", "Runtime.HandlerNotFound"),
        (Runtime::Nodejs22, "nomod.handler", "", "Runtime.ImportModuleError"),
        (Runtime::Nodejs22, "index.handler", "require('./missing');", "Runtime.ImportModuleError"),
        (Runtime::Nodejs22, "index.handler", "exports.handler = (", "Runtime.UserCodeSyntaxError"),
        (Runtime::Nodejs22, "index.handler", "throw new RangeError('at init');", "RangeError"),
        (Runtime::Nodejs22, "index.handler", "process.exit(3);", "Runtime.ExitError"),
    ] {
        let failed = Play::try_new(runtime, handler, "index.js", code).map(|_| ()).unwrap_err();
        assert_eq!(failed.error_type, kind, "{handler} {code} {failed:?}");
    }
}

#[test]
fn nested_properties_and_directories_resolve() {
    let mut play =
        Play::try_new(Runtime::Nodejs22, "a/b/index.h.sub", "a/b/index.js", "exports.h = { sub: async () => 'deep' };")
            .unwrap();
    assert_eq!(play.invoke("{}"), result(r#""deep""#));
}

#[test]
fn context_has_exactly_lambdas_keys() {
    let sorted = "Object.keys(c).sort()";
    let mut play = Play::new(Runtime::Nodejs22, &format!("exports.handler = async (e, c) => {sorted};"));
    let expected = r#"["awsRequestId","callbackWaitsForEmptyEventLoop","clientContext","done","fail","functionName","functionVersion","getRemainingTimeInMillis","identity","invokedFunctionArn","logGroupName","logStreamName","memoryLimitInMB","succeed","tenantId"]"#;
    assert_eq!(play.invoke("{}"), result(expected));
    let mut play = Play::new(Runtime::Nodejs24, &format!("exports.handler = async (e, c) => {sorted};"));
    let expected = r#"["awsRequestId","clientContext","functionName","functionVersion","getRemainingTimeInMillis","identity","invokedFunctionArn","logGroupName","logStreamName","memoryLimitInMB","tenantId","xRayTraceId"]"#;
    assert_eq!(play.invoke("{}"), result(expected));
}

#[test]
fn console_lines_have_lambdas_format() {
    let code = "console.log('at init'); exports.handler = async () => { console.warn('a\\nb', { x: 1 }); process.stdout.write('raw\\n'); };";
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert!(play.log()[0].ends_with("Z\tundefined\tINFO\tat init"), "{:?}", play.log());
    play.invoke("{}");
    let id = support::REQUEST_ID;
    assert!(play.log()[1].ends_with(&format!("Z\t{id}\tWARN\ta\rb {{ x: 1 }}")), "{:?}", play.log());
    assert_eq!(play.log()[2], "raw");
}

#[test]
fn errors_nobody_catches_end_the_environment() {
    let mut play = Play::new(
        Runtime::Nodejs22,
        "exports.handler = () => { Promise.reject(new Error('lost')); return new Promise(() => setTimeout(() => {}, 1000)); };",
    );
    match play.invoke("{}") {
        Ending::Exiting(Exiting::Code(128), Some(payload)) => {
            assert_eq!(payload.error_type, "Runtime.UnhandledPromiseRejection")
        }
        other => panic!("{other:?}"),
    }
    let mut play = Play::new(
        Runtime::Nodejs22,
        "exports.handler = () => new Promise(() => setTimeout(() => { throw new RangeError('late'); }, 5));",
    );
    match play.invoke("{}") {
        Ending::Exiting(Exiting::Code(129), Some(payload)) => assert_eq!(payload.error_type, "RangeError"),
        other => panic!("{other:?}"),
    }
    let mut play = Play::new(Runtime::Nodejs22, "exports.handler = async () => { process.exit(7); };");
    assert_eq!(play.invoke("{}"), Ending::Exiting(Exiting::Code(7), None));
}

#[test]
fn a_handler_that_waits_ends_at_its_deadline() {
    let mut play = Play::new(Runtime::Nodejs22, "exports.handler = () => new Promise((r) => setTimeout(r, 60000));");
    assert_eq!(play.invoke_for("{}", 50), Ending::Exiting(Exiting::Deadline, None));
}

/// Stops the handler, from another thread, once it has written the file `spins`.
fn stop_when_it_spins(play: &Play) {
    let (stopper, spins) = (play.engine.stopper(), play.tmp.path().join("spins"));
    std::thread::spawn(move || {
        while !spins.exists() {
            std::thread::yield_now();
        }
        stopper.stop();
    });
}

#[test]
fn a_handler_that_computes_is_stopped_and_its_stack_noted() {
    let code = "const fs = require('fs');\nfunction spin() {\n  fs.writeFileSync('/tmp/spins', '');\n  for (;;) {}\n}\n\
                exports.handler = async () => { try { spin(); } catch {} for (;;) {} };";
    let mut play = Play::new(Runtime::Nodejs22, code);
    stop_when_it_spins(&play);
    assert_eq!(play.invoke("{}"), Ending::Exiting(Exiting::Deadline, None));
    let note = play.note();
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!(lines[0], "JavaScript stack when it was stopped:");
    assert!(lines[1].starts_with("    at spin (/") && lines[1].contains("/index.js:"), "{note}");
    assert!(lines[2].starts_with("    at exports.handler (") || lines[2].contains("handler ("), "{note}");
    assert!(!note.contains("ext:"), "{note}");
}

#[test]
fn a_noted_stack_names_the_source_that_a_source_map_points_to() {
    let code = "exports.handler = async () => { require('fs').writeFileSync('/tmp/spins', ''); for (;;) {} };\n\
                //# sourceMappingURL=index.js.map\n";
    let map = r#"{"version":3,"sources":["index.ts"],"names":[],"mappings":"AAwCA"}"#;
    let mut play = Play::with_files(Runtime::Nodejs22, &[("index.js", code), ("index.js.map", map), ("index.ts", "")]);
    stop_when_it_spins(&play);
    assert_eq!(play.invoke("{}"), Ending::Exiting(Exiting::Deadline, None));
    assert!(play.note().contains("index.ts:41:"), "{}", play.note());
}

#[test]
fn a_handler_that_waits_is_noted_as_waiting() {
    let mut play = Play::new(Runtime::Nodejs22, "exports.handler = () => new Promise((r) => setTimeout(r, 60000));");
    assert_eq!(play.invoke_for("{}", 50), Ending::Exiting(Exiting::Deadline, None));
    assert!(play.note().ends_with("the handler waited: timers pending: 1, operations pending: 0"), "{}", play.note());
}

#[test]
fn memory_over_the_limit_ends_the_environment() {
    for code in [
        "async () => { const a = []; for (;;) a.push({ x: a.length }); }",
        "async () => { const a = []; for (;;) a.push(Buffer.alloc(1 << 20)); }",
    ] {
        let mut play = Play::new(Runtime::Nodejs22, &format!("exports.handler = {code};"));
        let ending = play.invoke("{}");
        assert_eq!(ending, Ending::Exiting(Exiting::OutOfMemory, None), "{code}");
        assert!(play.note().contains("\n    at "), "{code}: {}", play.note());
    }
}

#[test]
fn a_result_over_the_limit_is_too_large() {
    let mut play = Play::new(Runtime::Nodejs22, "exports.handler = async () => 'x'.repeat(7 << 20);");
    assert_eq!(play.invoke("{}"), Ending::TooLarge((7 << 20) + 2));
}

#[test]
fn internals_are_invisible() {
    let code = "exports.handler = async () => ['Deno', '__bootstrap', 'bootstrap', '__selvedge', '__privateInternals', 'Temporal', 'nodeBootstrap'].filter((n) => n in globalThis);";
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert_eq!(play.invoke("{}"), result("[]"));
}

#[test]
fn variables_are_the_functions_own_and_the_reserved_ones() {
    let code = "exports.handler = async () => [process.env.GREETING, process.env.AWS_REGION, process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE, process.env.HOME, process.env.CARGO_PKG_NAME ?? null];";
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert_eq!(play.invoke("{}"), result(r#"["hi","us-east-1","128",null,null]"#));
}

#[test]
fn a_stack_trace_names_the_source_that_a_source_map_points_to() {
    let code = "exports.handler = async () => { throw new Error('x'); };\n//# sourceMappingURL=index.js.map\n";
    // One segment: line 1 from column 0 on comes from line 41 of index.ts.
    let map = r#"{"version":3,"sources":["index.ts"],"names":[],"mappings":"AAwCA"}"#;
    let mut play = Play::with_files(Runtime::Nodejs22, &[("index.js", code), ("index.js.map", map), ("index.ts", "")]);
    let Ending::Error(error) = play.invoke("{}") else { panic!("the handler throws") };
    assert!(error.trace[1].contains("index.ts:41:"), "{:?}", error.trace);
}

#[test]
fn a_source_map_may_be_inline_in_an_es_module() {
    let map = "eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImluZGV4LnRzIl0sIm5hbWVzIjpbXSwibWFwcGluZ3MiOiJBQXdDQSJ9";
    let code = format!(
        "export const handler = async () => {{ throw new Error('x'); }};\n//# sourceMappingURL=data:application/json;base64,{map}\n"
    );
    let mut play = Play::with_files(Runtime::Nodejs24, &[("index.mjs", &code), ("index.ts", "")]);
    let Ending::Error(error) = play.invoke("{}") else { panic!("the handler throws") };
    assert!(error.trace[1].contains("index.ts:41:"), "{:?}", error.trace);
}
