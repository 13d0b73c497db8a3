//! The hostile cases as values (`tests/hostile/README.md`). Running them is left
//! to the test.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One folder of `tests/hostile`.
#[derive(Clone, Debug)]
pub struct Hostile {
    pub name: String,
    /// The function's package.
    pub dir: PathBuf,
    pub about: About,
}

/// `case.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Lines of the function's table; `{origin}` stands for the address of the origin.
    #[serde(default)]
    pub settings: String,
    /// Empty files in the package besides.
    #[serde(default)]
    pub files: usize,
    /// Whether nothing may be asked before: what is hostile comes before the first invocation.
    #[serde(default)]
    pub cold: bool,
    pub status: u16,
    pub x_cache: String,
    /// The hook's outcome in the access log.
    pub outcome: String,
    /// When the viewer has its answer, at the earliest and the latest.
    pub ends_ms: Option<(u64, u64)>,
    /// What the function's log holds, in this order.
    pub log: Vec<String>,
    /// Bytes of the function's log at the most.
    pub log_bytes_max: Option<usize>,
    /// The status of the next request to the same function.
    #[serde(default = "ok")]
    pub next: u16,
    /// What the log holds after that request.
    #[serde(default)]
    pub next_log: Vec<String>,
}

/// Every case, by name.
///
/// # Panics
/// When a folder is no case.
#[must_use]
pub fn hostile_cases() -> Vec<Hostile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
    let entries = std::fs::read_dir(&root).expect("tests/hostile is there");
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    dirs.retain(|path| path.is_dir());
    dirs.sort();
    dirs.into_iter().map(case).collect()
}

fn case(dir: PathBuf) -> Hostile {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let about = std::fs::read_to_string(dir.join("case.toml")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let about = toml::from_str(&about).unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
    Hostile { name, dir, about }
}

fn ok() -> u16 {
    200
}
