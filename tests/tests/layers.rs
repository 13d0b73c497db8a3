//! Layers as functions of each language see them, what an operator is told, and layers that are
//! published through the API. The scripts of the latter are in `tests/clients`.

use selvedge_tests::custom::{RUNS, put_bootstrap};
use selvedge_tests::edge::{EdgeBuilder, program};
use selvedge_tests::python::interpreters;
use selvedge_tests::{Controlled, Edge, site, wait_for};
use std::process::Command;

/// One function named `f` at every path, with this table.
fn edge(settings: &str) -> EdgeBuilder {
    let function = format!("[functions.f]\ncode = \"code\"\ntimeout = \"10s\"\nmemory_mb = 1769\n{settings}\n");
    let site = site("http://192.0.2.1", "hooks.viewer-request = \"f\"\ncache = \"CachingDisabled\"");
    Edge::builder().config(&format!("{function}{site}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_imports_and_requires_from_layers() {
    let code = "import one from 'one'; import { two } from 'two'; import fs from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
export const handler = async () => {
  let written = 'written';
  try { fs.writeFileSync('/opt/x', ''); } catch (error) { written = error.code; }
  const answer = [one, two, require('one'), require('versioned'), fs.readFileSync('/opt/data.txt', 'utf8'), written];
  return { status: '200', body: JSON.stringify(answer) };
};";
    let edge = edge("layers = [\"first\", \"second\"]")
        .file("code/index.mjs", code)
        .file("first/nodejs/node_modules/one/index.js", "module.exports = 'one of first';")
        .file("first/nodejs/node_modules/two/package.json", "{\"type\": \"module\", \"main\": \"main.js\"}")
        .file("first/nodejs/node_modules/two/main.js", "import one from 'one'; export const two = `two with ${one}`;")
        .file("first/nodejs/node22/node_modules/versioned/index.js", "module.exports = 22;")
        .file("first/nodejs/node24/node_modules/versioned/index.js", "module.exports = 24;")
        .file("first/data.txt", "of first")
        .file("second/nodejs/node_modules/one/index.js", "module.exports = 'one of second';")
        .file("second/data.txt", "of second")
        .start()
        .await;
    let expected = r#"["one of second","two with one of second","one of second",22,"of second","EACCES"]"#;
    assert_eq!(edge.get("/").await.text(), expected, "{}", edge.log("f"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_imports_from_layers() {
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let id = runtime.id();
    let handler = "import json, sys, one, two, colorsys


def handler(event, context):
    answer = [one.said, two.said, colorsys.said, sys.path[:3], open('/opt/data.txt').read()]
    return {'status': '200', 'body': json.dumps(answer)}
";
    let edge = edge(&format!(
        "layers = [\"layer\"]\nruntime = {id:?}\nhandler = \"in_layer.handler\"\n[runtimes]\n{id:?} = {interpreter:?}"
    ))
    .file("code/own.py", "")
    .file("layer/python/in_layer.py", handler)
    .file("layer/python/one.py", "said = 'one'\n")
    .file(&format!("layer/python/lib/{id}/site-packages/two/__init__.py"), "said = 'two'\n")
    .file("layer/python/colorsys.py", "said = 'before the interpreter s'\n")
    .file("layer/data.txt", "data")
    .start()
    .await;
    let expected = format!(
        r#"["one", "two", "before the interpreter s", ["/var/task", "/opt/python/lib/{id}/site-packages", "/opt/python"], "data"]"#
    );
    assert_eq!(edge.get("/").await.text(), expected, "{}", edge.log("f"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_runtime_and_its_tools_may_be_layers() {
    let tool = "#!/bin/sh\necho \"a tool in $0, $LD_LIBRARY_PATH\"\n";
    let runs = RUNS.replace(
        "answer = run(json.loads(event), id, headers)",
        "answer = {'status': '200', 'body': subprocess.run(['tool'], capture_output=True, text=True).stdout}",
    );
    let builder = edge("layers = [\"layer\"]\nruntime = \"provided.al2023\"").file("code/data", "");
    put_bootstrap(&builder.path().join("layer"), runs.as_bytes());
    put_bootstrap(&builder.path().join("layer/bin"), tool.as_bytes());
    let bin = builder.path().join("layer/bin");
    std::fs::rename(bin.join("bootstrap"), bin.join("tool")).expect("the tool can be renamed");
    let edge = builder.start().await;
    let text = edge.get("/").await.text();
    assert!(
        text.starts_with("a tool in /opt/bin/tool, ") && text.ends_with(":/opt/lib\n"),
        "{text}: {}",
        edge.log("f")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_layer_is_swapped_in() {
    let code = "import { word } from 'word'; export const handler = async () => ({ status: '200', body: word });";
    let package = "layer/nodejs/node_modules/word/index.mjs";
    let edge = edge("layers = [\"layer\"]")
        .file("code/index.mjs", code)
        .file("layer/nodejs/node_modules/word/package.json", "{\"exports\": \"./index.mjs\"}")
        .file(package, "export const word = 'before';")
        .start()
        .await;
    assert_eq!(edge.get("/").await.text(), "before");
    std::fs::write(edge.path().join(package), "export const word = 'after';").expect("writable");
    wait_for("the new layer", || async { (edge.get("/").await.text() == "after").then_some(()) }).await;
}

#[test]
fn check_refuses_layers_that_cannot_be() {
    let root = tempfile::tempdir().expect("temporary files can be made");
    let write = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("writable");
        std::fs::write(path, bytes).expect("writable");
    };
    write("code/index.mjs", b"export const handler = async () => 1;");
    write("layer/nodejs/node_modules/a/index.js", b"");
    write("no.txt", b"");
    let check = |table: &str| {
        let config = format!("[functions.f]\ncode = \"code\"\n{table}\n");
        std::fs::write(root.path().join("selvedge.toml"), config).expect("writable");
        let file = root.path().join("selvedge.toml");
        let output = Command::new(program("selvedge")).arg("check").arg("--config").arg(file).output();
        let output = output.expect("selvedge starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(check("layers = [\"layer\", \"layer\"]").0);
    for (table, expected) in [
        ("layers = [\"missing\"]", "layer "),
        ("layers = [\"no.txt\"]", "is neither a directory nor a .zip file"),
        (
            "layers = [\"layer\", \"layer\", \"layer\", \"layer\", \"layer\", \"layer\"]",
            "function has 6 layers, at most 5 are allowed",
        ),
        ("layers = [\"layer\"]\n[server]\nstrict_aws = true", "a function at the edge has no layers"),
    ] {
        let (passes, said) = check(table);
        assert!(!passes && said.contains(expected), "{table}: {said}");
    }
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("layer/out")).expect("links can be made");
    let (passes, said) = check("layers = [\"layer\"]");
    assert!(!passes && said.contains("layer: package entry \"out\": the link leads out of the package"), "{said}");
    std::fs::remove_file(root.path().join("layer/out")).expect("removable");
    for name in ["layer/large", "code/large"] {
        let file = std::fs::File::create(root.path().join(name)).expect("writable");
        file.set_len(130 << 20).expect("sparse files can be made");
    }
    let (passes, said) = check("layers = [\"layer\"]");
    assert!(!passes && said.contains("package and layers have more than 262144000 bytes unpacked together"), "{said}");
}

/// An edge with a control plane, and where it keeps packages and logs.
async fn controlled() -> (Controlled, [String; 2]) {
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let builder = Edge::builder().config(&format!("[runtimes]\n{:?} = {interpreter:?}\n", runtime.id()));
    let controlled = Controlled::start(builder).await;
    let places = ["state/control/packages", "state/logs"].map(|place| {
        let path = controlled.edge.path().join(place);
        path.to_str().expect("a path is text").to_owned()
    });
    (controlled, places)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_published_listed_shared_and_deleted_as_boto3_expects() {
    controlled().await.0.run("lambda_layers.py", &[("STEP", "play")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_has_the_layers_that_it_was_given_also_when_they_are_deleted() {
    let (controlled, [packages, _]) = controlled().await;
    controlled.run("lambda_layers.py", &[("STEP", "attach"), ("PACKAGES", &packages)]).await;
    let controlled = controlled.restart().await;
    controlled.run("lambda_layers.py", &[("STEP", "look"), ("PACKAGES", &packages)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_runtime_finds_published_layers_below_opt() {
    let (controlled, [_, logs]) = controlled().await;
    let bootstrap = controlled.edge.path().join("bootstrap.py");
    std::fs::write(&bootstrap, RUNS).expect("the directory is writable");
    let bootstrap = bootstrap.to_str().expect("a path is text");
    let runtime = interpreters().swap_remove(0).0.id();
    let variables = [("STEP", "runtimes"), ("RUNTIME", runtime), ("BOOTSTRAP", bootstrap), ("LOGS", &logs)];
    controlled.run("lambda_layers.py", &variables).await;
}
