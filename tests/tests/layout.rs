//! What runs for a request lies together in the programs: the lists that the linker places functions by have not
//! fallen behind the code. `make layout` writes them. Names with hashes are other ones with each compiler.

use selvedge_tests::edge::program;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of what a list names; what another compiler puts into its callers has no name.
const THERE_MIN_PERCENT: usize = 60;
/// Where nearly all of those lie. The whole programs have ten and thirty times that.
const SPAN_MAX: u64 = 2 * 1024 * 1024;

/// Address and name of each function.
fn functions(name: &str) -> Vec<(u64, String)> {
    let listed = Command::new("nm").arg("--defined-only").arg(program(name)).output().expect("binutils are installed");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let lines = String::from_utf8(listed.stdout).expect("names are ASCII");
    let fields = lines.lines().map(|line| line.splitn(3, ' ').collect::<Vec<_>>());
    let code = fields.filter(|fields| matches!(fields[1], "t" | "T" | "w" | "W"));
    code.map(|fields| (u64::from_str_radix(fields[0], 16).expect("an address"), fields[2].to_owned())).collect()
}

/// Panics unless most of what has these beginnings of names is there, nearly all of that in one stretch.
fn assert_together(program: &str, beginnings: &[&str]) {
    let mut functions = functions(program);
    functions.sort_by(|(_, one), (_, other)| one.cmp(other));
    let first = |beginning: &&str| {
        let at = functions.partition_point(|(_, name)| name.as_str() < *beginning);
        functions.get(at).filter(|(_, name)| name.starts_with(beginning)).map(|(address, _)| *address)
    };
    let mut addresses: Vec<u64> = beginnings.iter().filter_map(first).collect();
    addresses.sort_unstable();
    let there = addresses.len() * 100 / beginnings.len();
    assert!(there >= THERE_MIN_PERCENT, "{program} has {there} % of what ran when `make layout` did: run it again");
    // Assembly is in sections without names.
    let (low, high) = (addresses[addresses.len() / 10], addresses[addresses.len() * 9 / 10]);
    assert!(high - low < SPAN_MAX, "{program}: from {low:x} to {high:x}; was it linked by the list?");
}

fn list(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    fs::read_to_string(root.join(path)).expect("the list is there")
}

/// Of both kinds of Rust's names.
fn has_hash(pattern: &str) -> bool {
    let is_hash = |text: &str| {
        text.split_once('E')
            .is_some_and(|(hash, _)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    pattern.starts_with("_RN") || pattern.split("17h").skip(1).any(is_hash)
}

#[test]
fn what_the_edge_runs_for_a_request_lies_together() {
    let list = list("cli/hot.ld");
    let patterns = list.lines().filter_map(|line| line.trim().strip_prefix("*(.text.")?.strip_suffix(')'));
    let lasting = patterns.filter(|pattern| !has_hash(pattern));
    let beginnings: Vec<&str> = lasting.map(|pattern| pattern.split('*').next().unwrap_or(pattern)).collect();
    assert!(beginnings.len() > 500, "{}", beginnings.len());
    assert_together("selvedge", &beginnings);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_v8_runs_for_an_invocation_lies_together() {
    let list = list("js-runtime/hot.symbols");
    let names: Vec<&str> = list.lines().collect();
    assert!(names.len() > 150, "{}", names.len());
    assert_together("selvedge-js", &names);
}
