//! The built-ins a handler may use, what is refused, and that copies of a
//! template do not repeat each other.
#![allow(clippy::unwrap_used)]

mod support;

use environment::Runtime;
use js_runtime::engine::Ending;
use support::{Play, result};

fn answer(code: &str) -> String {
    let mut play = Play::new(Runtime::Nodejs22, &format!("exports.handler = async (event, context) => {{ {code} }};"));
    match play.invoke("{}") {
        Ending::Result(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{code}: {other:?} {:?}", play.log()),
    }
}

#[test]
fn every_listed_built_in_loads_by_require_and_import() {
    let code = "const failed = [];
        for (const name of ['assert','async_hooks','buffer','crypto','diagnostics_channel','events','fs','fs/promises',
            'http','http2','https','module','net','os','path','process','querystring','stream','string_decoder','timers',
            'tls','tty','url','util','worker_threads','zlib','dns','perf_hooks','stream/promises','timers/promises',
            'stream/web','util/types','path/posix','assert/strict','readline','vm','v8','punycode','constants','console']) {
          try { if (!require(name) || !require('node:' + name)) failed.push(name); } catch (e) { failed.push(`${name}: ${e.stack}`); }
          try { await import('node:' + name); await import(name); } catch (e) { failed.push(`import ${name}: ${e.stack}`); }
        }
        return failed;";
    assert_eq!(answer(code), "[]");
}

#[test]
fn hashing_compression_and_encoding_work() {
    assert_eq!(
        answer("return require('crypto').createHash('sha256').update('a').digest('hex').slice(0, 8);"),
        r#""ca978112""#
    );
    assert_eq!(answer("return require('crypto').createHmac('sha256', 'k').update('a').digest('base64').length;"), "44");
    assert_eq!(
        answer(
            "const z = require('zlib'); return [z.gunzipSync(z.gzipSync('hello')).toString(), z.brotliDecompressSync(z.brotliCompressSync('hi')).toString()];"
        ),
        r#"["hello","hi"]"#
    );
    assert_eq!(
        answer(
            "return Buffer.from('Z29vZA==', 'base64').toString() + btoa('x') + new TextDecoder().decode(new TextEncoder().encode('é'));"
        ),
        r#""goodeA==é""#
    );
    assert_eq!(answer("return (await crypto.subtle.digest('SHA-256', new Uint8Array(1))).byteLength;"), "32");
    assert_eq!(
        answer(
            "const { privateKey, publicKey } = require('crypto').generateKeyPairSync('ec', { namedCurve: 'P-256' }); const s = require('crypto').sign('sha256', Buffer.from('a'), privateKey); return require('crypto').verify('sha256', Buffer.from('a'), publicKey, s);"
        ),
        "true"
    );
}

#[test]
fn asynchronous_parts_of_the_standard_library_work() {
    assert_eq!(
        answer(
            "const { AsyncLocalStorage } = require('async_hooks'); const s = new AsyncLocalStorage(); return s.run(5, async () => { await null; return s.getStore(); });"
        ),
        "5"
    );
    assert_eq!(
        answer(
            "const { pipeline } = require('stream/promises'); const { Readable, Writable } = require('stream'); const seen = []; await pipeline(Readable.from(['a', 'b']), new Writable({ objectMode: true, write(c, _, d) { seen.push(c); d(); } })); return seen;"
        ),
        r#"["a","b"]"#
    );
    assert_eq!(
        answer("return new Promise((r) => setImmediate(() => process.nextTick(() => r('ticked'))));"),
        r#""ticked""#
    );
    assert_eq!(
        answer(
            "const m = new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0])); return new WebAssembly.Instance(m) instanceof WebAssembly.Instance;"
        ),
        "true"
    );
    assert_eq!(answer("return structuredClone(new Map([[1, { a: new Date(0) }]])).get(1).a.getTime();"), "0");
}

#[test]
fn fetch_and_http_reach_an_origin() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
        }
    });
    assert_eq!(answer(&format!("return (await fetch('http://127.0.0.1:{port}/')).text();")), r#""ok""#);
    assert_eq!(
        answer(&format!(
            "return new Promise((done, no) => require('http').get('http://127.0.0.1:{port}/', (r) => {{ let t = ''; r.on('data', (d) => t += d); r.on('end', () => done(t)); }}).on('error', no));"
        )),
        r#""ok""#
    );
}

#[test]
fn the_temporary_directory_is_writable_and_nothing_else_is_readable() {
    assert_eq!(
        answer(
            "const f = require('path').join(require('os').tmpdir(), 'x'); require('fs').writeFileSync(f, 'kept'); return (await require('fs/promises').readFile(f, 'utf8'));"
        ),
        r#""kept""#
    );
    assert_eq!(
        answer("try { require('fs').readFileSync('/etc/passwd'); return 'read'; } catch (e) { return e.code; }"),
        r#""EACCES""#
    );
    assert_eq!(
        answer("try { require('fs').writeFileSync(__filename, ''); return 'written'; } catch (e) { return e.code; }"),
        r#""EACCES""#
    );
    assert_eq!(
        answer("try { await import('/etc/hostname'); return 'read'; } catch (e) { return 'refused'; }"),
        r#""refused""#
    );
    assert_eq!(answer("return require('fs').existsSync('/etc/passwd');"), "false");
    assert_eq!(answer("return require('fs').readFileSync(__filename, 'utf8').length > 0;"), "true");
}

#[test]
fn processes_threads_addons_and_listeners_are_refused() {
    for code in [
        "require('child_process').execSync('true')",
        "require('child_process').spawn('true')",
        "new (require('worker_threads').Worker)('x')",
        "require('net').createServer().listen(0)",
        "require('http').createServer().listen(0)",
        "require('dgram').createSocket('udp4').bind(0)",
        "process.dlopen({}, 'x.node')",
        "process.kill(process.pid)",
    ] {
        let message = answer(&format!("try {{ {code}; return 'started'; }} catch (e) {{ return e.message; }}"));
        assert!(message.contains("is not supported in an execution environment"), "{code}: {message}");
    }
}

#[test]
fn slash_tmp_is_the_environments_own_directory() {
    let code = "import { writeFileSync } from 'fs'; import { readFile, readdir } from 'node:fs/promises'; import fs from 'fs';
        export const handler = async () => { writeFileSync('/tmp/kept', 'a'); await fs.promises.rename('/tmp/kept', '/tmp/moved');
          return [await readFile('/tmp/moved', 'utf8'), await readdir('/tmp'), fs.existsSync('/tmp/kept')]; };";
    let mut play = Play::with_file(Runtime::Nodejs22, "index.mjs", code);
    assert_eq!(play.invoke("{}"), result(r#"["a",["moved"],false]"#));
    assert!(play.tmp.path().join("moved").exists());
}

#[test]
fn every_part_of_the_file_system_module_compiles() {
    let code = "const fs = require('fs'), d = fs.mkdtempSync('/tmp/d-'); fs.mkdirSync(d + '/a/b', { recursive: true });
        fs.writeFileSync(d + '/a/x', 'x'); fs.cpSync(d + '/a', d + '/c', { recursive: true });
        const names = await new Promise((r) => fs.readdir(d, (e, n) => r(n))); const dir = await fs.promises.opendir(d);
        for await (const entry of dir) names.push(entry.name); const read = [];
        for await (const c of fs.createReadStream(d + '/c/x', 'utf8')) read.push(c);
        await new Promise((r) => fs.createWriteStream(d + '/y').end('y', r)); await fs.promises.rm(d, { recursive: true });
        return [names.sort(), read, fs.existsSync(d)];";
    assert_eq!(answer(code), r#"[["a","a","c","c"],["x"],false]"#);
}

#[test]
fn files_are_looked_at_with_and_without_waiting() {
    let code = "const fs = require('fs');
      const shown = (stat) => [stat.isFile(), stat.isDirectory(), stat.size, stat.mtime instanceof Date, stat.nlink];
      exports.handler = async () => {
        fs.writeFileSync('/tmp/seen', 'four');
        const open = fs.openSync('/tmp/seen'), all = [fs.statSync('/tmp/seen'), fs.lstatSync('/tmp/seen'), fs.fstatSync(open),
          await fs.promises.stat('/tmp/seen'), await new Promise((done) => fs.stat('/tmp/seen', (error, stat) => done(stat)))];
        return [all.map((stat) => shown(stat).join()), fs.statSync('/tmp').isDirectory(), fs.statSync('/tmp/no', { throwIfNoEntry: false }) === undefined,
          Number(fs.statSync('/tmp/seen', { bigint: true }).size)];
      };";
    let one = r#""true,false,4,true,1""#;
    let all = [one; 5].join(",");
    let mut play = Play::new(Runtime::Nodejs22, code);
    assert_eq!(play.invoke("{}"), Ending::Result(format!("[[{all}],true,true,4]").into()));
}

#[test]
fn a_resumed_engine_draws_other_values() {
    let code = "const c = require('crypto'); Math.random(); c.randomUUID(); c.randomBytes(8); globalThis.crypto.randomUUID();
        exports.handler = async () => [Math.random(), c.randomUUID(), c.randomBytes(8).toString('hex'), crypto.randomUUID()];";
    let mut play = Play::new(Runtime::Nodejs22, code);
    let first = play.invoke("{}");
    play.engine.resume(play.tmp.path()).unwrap();
    assert_ne!(play.invoke("{}"), first);
}

#[test]
fn packages_in_node_modules_resolve_for_require_and_import() {
    let mut play = Play::with_files(
        Runtime::Nodejs22,
        &[
            (
                "index.mjs",
                "import a, { named } from 'a'; import { createRequire } from 'module'; const b = createRequire(import.meta.url)('b'); export const handler = async () => [a.named, named, b];",
            ),
            ("node_modules/a/package.json", r#"{"name":"a","main":"lib.js"}"#),
            ("node_modules/a/lib.js", "exports.named = 1;"),
            ("node_modules/b/index.js", "module.exports = 'b';"),
        ],
    );
    assert_eq!(play.invoke("{}"), result(r#"[1,1,"b"]"#));
}
