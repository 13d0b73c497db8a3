//! The rules of the house that a reader of the sources can check: who may name
//! which library, how long a file may get, and what every file opens with.

use std::fs;
use std::path::{Path, PathBuf};

/// Crate directory and the prefixes of crates that only it may name.
const OWNERS: [(&str, &[&str]); 6] = [
    ("js-runtime", &["deno_", "v8::"]),
    ("py-shim", &["pyo3"]),
    ("proxy", &["pingora"]),
    ("certs", &["rcgen", "x509_parser"]),
    ("control", &["rusqlite", "quick_xml"]),
    ("inspector", &["tokio_tungstenite"]),
];

const CRATES: [&str; 15] = [
    "cli",
    "control",
    "environment",
    "event",
    "functions",
    "inspector",
    "deployment",
    "proxy",
    "certs",
    "sigv4",
    "sandbox",
    "runtime",
    "js-runtime",
    "py-shim",
    "custom-runtime",
];

const FILE_LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_path_buf()
}

fn sources_below(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            sources_below(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let mut all = Vec::new();
    for name in CRATES {
        let mut files = Vec::new();
        sources_below(&root().join(name).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("a source is text");
            all.push((name.to_string(), file, text));
        }
    }
    assert!(all.len() > 20, "only {} sources found", all.len());
    all
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

#[test]
fn libraries_are_named_only_by_the_crate_that_owns_them() {
    let mut offences = Vec::new();
    for (name, file, text) in sources() {
        for (owner, prefixes) in OWNERS {
            let named = prefixes.iter().find(|prefix| code_lines(&text).any(|line| line.contains(**prefix)));
            if let (true, Some(prefix)) = (name != owner, named) {
                offences.push(format!("{} names {prefix}, which belongs to {owner}", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    let order = ["sigv4", "environment", "event", "functions", "inspector", "deployment", "certs", "control", "proxy"];
    for (position, name) in order.iter().enumerate() {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a crate has a manifest");
        for later in &order[position + 1..] {
            let line = format!("\n{later} = ");
            assert!(!manifest.contains(&line), "{name} depends on {later}, which stands above it");
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_stays_short() {
    let mut offences = Vec::new();
    for (_, file, text) in sources() {
        if !text.starts_with("//!") {
            offences.push(format!("{} does not open with //!", file.display()));
        }
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        let only_tests = file.file_stem().is_some_and(|stem| stem == "tests");
        if lines > FILE_LINES_MAX && !only_tests {
            offences.push(format!("{} has {lines} lines without tests, over {FILE_LINES_MAX}", file.display()));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_play_is_a_module_of_the_binary_that_runs_them() {
    let plays = root().join("tests/tests");
    let main = fs::read_to_string(plays.join("main.rs")).expect("the plays are there");
    for entry in fs::read_dir(&plays).expect("a folder can be listed") {
        let name = entry.expect("its files can be listed").file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        let is_there = ["main", "hostile"].contains(&module) || main.contains(&format!("mod {module};\n"));
        assert!(is_there, "tests/tests/{name} is never run: write `mod {module};` into main.rs");
    }
}
