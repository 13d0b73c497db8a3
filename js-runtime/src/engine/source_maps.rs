//! Source maps of a function's own files, so that stack traces name the sources
//! a person wrote: TypeScript, bundled modules. Used by the module loader.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deno_core::url::Url;
use std::path::{Path, PathBuf};

/// Bytes of the largest file that is read for a stack trace.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const MARK: &str = "//# sourceMappingURL=";

/// Says whether a handler may read a path, and which file that is.
pub(super) type Readable<'a> = &'a dyn Fn(PathBuf) -> Option<PathBuf>;

/// The map that the script `name` (a path or a `file:` URL) points to in its last
/// line: inline as base64, or a file beside it. `None` when there is none.
pub(super) fn read(name: &str, readable: Readable<'_>) -> Option<Vec<u8>> {
    let script = path_of(name)?;
    let text = String::from_utf8(read_file(script.clone(), readable)?).ok()?;
    let (_, target) = text.trim_end().rsplit_once(MARK)?;
    if target.contains('\n') {
        return None;
    }
    match target.strip_prefix("data:") {
        Some(inline) => STANDARD.decode(inline.split_once(";base64,")?.1).ok(),
        None => read_file(script.parent()?.join(target), readable),
    }
}

/// Whether a source that a map names lies where a handler may read it.
pub(super) fn source_exists(url: &str, readable: Readable<'_>) -> bool {
    path_of(url).and_then(readable).is_some_and(|path| path.is_file())
}

/// The file of a script's name.
pub(super) fn path_of(name: &str) -> Option<PathBuf> {
    if Path::new(name).is_absolute() {
        return Some(PathBuf::from(name));
    }
    Url::parse(name).ok()?.to_file_path().ok()
}

fn read_file(path: PathBuf, readable: Readable<'_>) -> Option<Vec<u8>> {
    let path = readable(path)?;
    let small = path.metadata().ok()?.len() <= FILE_BYTES_MAX;
    small.then(|| std::fs::read(path).ok()).flatten()
}
