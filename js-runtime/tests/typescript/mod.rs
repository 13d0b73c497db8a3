//! Handlers in TypeScript.

use super::support::{Play, error, result};
use environment::{ErrorPayload, Runtime};
use js_runtime::engine::Ending;

fn answer(files: &[(&str, &str)]) -> Ending {
    Play::with_files(Runtime::Nodejs22, files).invoke("{}")
}

fn refused(files: &[(&str, &str)]) -> ErrorPayload {
    Play::try_with_files(Runtime::Nodejs22, files).err().unwrap()
}

#[test]
fn what_is_no_javascript_is_turned_into_it() {
    let code = "import type { Missing } from './nowhere';
        import { Unused } from 'not-installed';
        enum Colour { Red = 'r', Blue = 'b' }
        namespace Words { export const hello = 'hi'; }
        class Point { constructor(private readonly x: number, public y = 2) {} sum(): number { return this.x + this.y; } }
        function twice(method: Function, _: ClassMethodDecoratorContext) {
          return function (this: unknown, ...given: unknown[]) { return [method.apply(this, given), 2]; };
        }
        class Decorated { @twice run() { return 'ran'; } }
        const wrong: number = 'a type error';
        export const handler = async (event: Unused): Promise<Missing | unknown[]> =>
          [Colour.Blue, Words.hello, new Point(1).sum(), new Decorated().run(), <string><unknown>wrong, event!.a satisfies unknown];";
    let mut play = Play::with_file(Runtime::Nodejs24, "index.ts", code);
    assert_eq!(play.invoke(r#"{"a":7}"#), result(r#"["b","hi",3,["ran",2],"a type error",7]"#));
}

#[test]
fn the_older_decorators_are_those_of_a_tsconfig() {
    let code = "const seen: string[] = [];
        function note(target: object, name: string) { seen.push(`${typeof target} ${name}`); }
        class Noted { @note method() {} }
        export const handler = async () => seen;";
    let config = r#"{ "compilerOptions": { /* as Nest has it */ "experimentalDecorators": true } }"#;
    assert_eq!(answer(&[("index.ts", code), ("tsconfig.json", config)]), result(r#"["object method"]"#));
}

#[test]
fn imports_lead_where_typescript_users_expect() {
    let files = [
        (
            "index.ts",
            "import { a } from './a'; import { b } from './b.js'; import { c } from './c.mjs'; import { d } from './lib';
             import { e } from './e.ts'; import f from './f.cjs'; import { g } from './g'; import { h } from './h.server';
             export const handler = async () => [a, b, c, d, e, f.f, g, h, (await import('./late.js')).late];",
        ),
        ("a.ts", "export const a: string = 'a';"),
        ("b.ts", "export const b: string = 'b';"),
        ("c.mts", "export const c: string = 'c';"),
        ("lib/index.ts", "import { up } from '..' ; export const d: string = up;"),
        ("e.ts", "export const e: string = 'e';"),
        ("f.cts", "import os = require('node:os'); const f: string = typeof os.cpus; export = { f };"),
        ("g.js", "exports.g = 'g';"),
        ("h.server.ts", "export const h = 'h' as const;"),
        ("late.ts", "export const late = 'late' as string;"),
        ("lib/package.json", "{}"),
    ];
    let up = [&files[..], &[("index.js", "exports.up = 'up';")]].concat();
    // A compiled file beside a source comes first, also as the handler's own.
    let refused = refused(&up);
    assert_eq!(refused.error_type, "Runtime.HandlerNotFound", "{refused:?}");
    let mut own = files.to_vec();
    own[4].1 = "export const d: string = 'd';";
    assert_eq!(answer(&own), result(r#"["a","b","c","d","e","function","g","h","late"]"#));
}

#[test]
fn commonjs_sources_require_each_other() {
    let files = [
        (
            "index.ts",
            "const { a } = require('./a'); const b: { b: string } = require('./b.js'); const { c } = require('./c');
             exports.handler = (_: unknown, __: unknown, callback: Function) => callback(null, [a, b.b, c]);",
        ),
        ("a.cts", "exports.a = 'a' as string;"),
        ("b.ts", "exports.b = 'b' as string;"),
        ("c/index.ts", "export const c: string = 'c';"),
    ];
    assert_eq!(answer(&files), result(r#"["a","b","c"]"#));
}

#[test]
fn a_stack_trace_has_the_places_of_the_source() {
    let code = "interface Long {\n  a: string;\n}\ntype Short = Long;\n\nexport const handler = async (event: Short) => {\n  throw new TypeError('x');\n};\n";
    let mut play = Play::with_file(Runtime::Nodejs22, "index.ts", code);
    let Ending::Error(payload) = play.invoke("{}") else { panic!("it throws") };
    assert!(payload.trace[1].contains("/index.ts:7:9"), "{:?}", payload.trace);
    assert!(play.log().join("\n").contains("/index.ts:7:9"), "{:?}", play.log());
}

#[test]
fn a_required_source_has_its_places_too() {
    let lib = "type A = string;\nexports.fail = (a: A) => {\n  throw new Error(a);\n};";
    let files = [
        ("index.js", "const { fail } = require('./lib.ts'); exports.handler = async () => fail('x');"),
        ("lib.ts", lib),
    ];
    let mut play = Play::with_files(Runtime::Nodejs22, &files);
    let Ending::Error(payload) = play.invoke("{}") else { panic!("it throws") };
    assert!(payload.trace[1].contains("/lib.ts:3:9"), "{:?}", payload.trace);
}

#[test]
fn a_syntax_error_says_where_with_the_line_and_a_caret() {
    for file in ["index.ts", "index.mts", "index.cts"] {
        let error = refused(&[(file, "const a: number = 1;\nconst b: = 2;\nexports.handler = async () => a;\n")]);
        assert_eq!(error.error_type, "Runtime.UserCodeSyntaxError");
        assert!(error.error_message.ends_with(&format!(" at {file}:2:10")), "{error:?}");
        assert!(error.trace[1].ends_with(&format!("/{file}:2:10")), "{error:?}");
        assert_eq!(&error.trace[2..4], ["    const b: = 2;", "             ^"], "{error:?}");
    }
}

#[test]
fn javascript_says_where_too() {
    for (file, code) in [
        ("index.mjs", "const a = 1;\nexport const b = = 2;\n"),
        ("index.cjs", "const a = 1;\nexports.handler = = 2;\n"),
    ] {
        let error = refused(&[(file, code)]);
        assert_eq!(error.error_message, "SyntaxError: Unexpected token '='", "{error:?}");
        assert!(error.trace[1].contains(&format!("/{file}:2:")), "{error:?}");
        assert!(error.trace[2].contains(" = = 2;") && error.trace[3].trim_end().ends_with('^'), "{error:?}");
    }
}

#[test]
fn an_error_of_an_imported_source_names_that() {
    let error =
        refused(&[("index.ts", "import './lib';\nexport const handler = async () => 1;"), ("lib.ts", "let let = 1;")]);
    assert!(error.trace[1].contains("/lib.ts:1:5"), "{error:?}");
}

#[test]
fn a_missing_module_is_missing() {
    let error = refused(&[("index.ts", "import './nowhere';\nexport const handler = async () => 1;")]);
    assert!(error.error_message.contains("nowhere"), "{error:?}");
}

#[test]
fn a_source_that_is_imported_late_may_be_broken() {
    let files = [
        ("index.ts", "export const handler = async () => (await import('./late')).a;"),
        ("late.ts", "export const a = ;"),
    ];
    let mut play = Play::with_files(Runtime::Nodejs22, &files);
    let (_, message) = error(play.invoke("{}"));
    assert!(message.ends_with(" at late.ts:1:18"), "{message}");
}
