//! Names of TypeScript modules, and of what they import. TypeScript users write
//! the name of the file that a compiler would put there (`./a.js`), or none of
//! its extension (`./a`); what is meant is the source beside it.

use std::path::Path;

/// Whether the file is a TypeScript module. Declarations (`.d.ts`) say nothing that runs, and are none.
pub(crate) fn is_typescript(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension)) && !is_declaration(name)
}

fn is_declaration(name: &str) -> bool {
    [".d.ts", ".d.mts", ".d.cts"].iter().any(|extension| name.ends_with(extension))
}

/// What may be meant by a relative import of a TypeScript module when there is no file of that name, in order.
pub(crate) fn meant(specifier: &str) -> Vec<String> {
    for (javascript, typescript) in [(".js", ".ts"), (".mjs", ".mts"), (".cjs", ".cts")] {
        if let Some(stem) = specifier.strip_suffix(javascript) {
            return vec![format!("{stem}{typescript}")];
        }
    }
    if EXTENSIONS.iter().any(|extension| specifier.ends_with(extension)) {
        return Vec::new();
    }
    let directory = specifier.trim_end_matches('/');
    let file = |extension: &&str| format!("{specifier}{extension}");
    let in_directory = [".ts", ".js"].iter().map(|extension| format!("{directory}/index{extension}"));
    if specifier.ends_with('/') || specifier.ends_with("/..") || specifier == "." || specifier == ".." {
        return in_directory.collect();
    }
    [".ts", ".js", ".json"].iter().map(file).chain(in_directory).collect()
}

/// Whether a specifier names a file by its place.
pub(crate) fn is_relative(specifier: &str) -> bool {
    specifier.starts_with("./")
        || specifier.starts_with("../")
        || specifier.starts_with('/')
        || specifier == "."
        || specifier == ".."
}

/// Of modules, longest first.
const EXTENSIONS: [&str; 3] = [".mts", ".cts", ".ts"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_no_modules() {
        for name in ["a.ts", "a.mts", "a.b.cts"] {
            assert!(is_typescript(Path::new(name)), "{name}");
        }
        for name in ["a.d.ts", "a.d.mts", "a.js", "ts", "a.tsx"] {
            assert!(!is_typescript(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_compilers_name_means_the_source() {
        assert_eq!(meant("./a.js"), ["./a.ts"]);
        assert_eq!(meant("./a.mjs"), ["./a.mts"]);
        assert_eq!(meant("../a.cjs"), ["../a.cts"]);
        assert!(meant("./a.ts").is_empty());
    }

    #[test]
    fn a_name_without_an_extension_means_a_file_before_a_directory() {
        assert_eq!(
            meant("./a.server"),
            ["./a.server.ts", "./a.server.js", "./a.server.json", "./a.server/index.ts", "./a.server/index.js"]
        );
        assert_eq!(meant(".."), ["../index.ts", "../index.js"]);
        assert_eq!(meant("./lib/"), ["./lib/index.ts", "./lib/index.js"]);
    }
}
