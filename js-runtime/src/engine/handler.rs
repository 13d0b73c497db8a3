//! From a handler string to a module file and a property path (AWS: "Define
//! Lambda function handler in Node.js").

use environment::ErrorPayload;
use std::path::{Path, PathBuf};

/// Where a handler is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The directory of the module, inside the package.
    pub(crate) module_root: PathBuf,
    /// The module's name as written.
    pub(crate) module_name: String,
    /// Its file; `None` leaves it to the `node_modules` lookup.
    pub(crate) module: Option<PathBuf>,
    /// Whether that file is imported: ES modules, and TypeScript, which is imported whatever it is.
    pub(crate) esm: bool,
    /// The path of properties to the function.
    pub(crate) properties: Vec<String>,
}

/// Finds the target of `handler` below `code_dir`.
///
/// # Errors
/// `Runtime.MalformedHandlerName`.
pub(crate) fn find(code_dir: &Path, handler: &str) -> Result<Target, ErrorPayload> {
    if handler.contains("..") {
        return Err(malformed(format!(
            "'{handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names."
        )));
    }
    let (root, base) = handler.rsplit_once('/').unwrap_or(("", handler));
    let Some((module_name, properties)) = base.split_once('.') else {
        return Err(malformed("Bad handler".to_string()));
    };
    let module_root = code_dir.join(root.trim_start_matches('/'));
    let (module, esm) = match module_file(code_dir, &module_root.join(module_name)) {
        Some((file, esm)) => (Some(file), esm),
        None => (None, false),
    };
    Ok(Target {
        module_root,
        module_name: module_name.to_string(),
        module,
        esm,
        properties: properties.split('.').map(str::to_string).collect(),
    })
}

fn module_file(code_dir: &Path, stem: &Path) -> Option<(PathBuf, bool)> {
    let with = |extension: &str| PathBuf::from(format!("{}{extension}", stem.display()));
    ["", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"].into_iter().find_map(|extension| {
        let file = with(extension);
        let esm = match extension {
            ".mjs" | ".ts" | ".mts" | ".cts" => true,
            ".cjs" | "" => false,
            _ => in_module_package(code_dir, stem),
        };
        file.is_file().then_some((file, esm))
    })
}

/// Whether the nearest package.json, up to the package's root, says `"type": "module"`.
fn in_module_package(code_dir: &Path, file: &Path) -> bool {
    let nearest = file
        .ancestors()
        .skip(1)
        .take_while(|dir| dir.starts_with(code_dir) && !dir.ends_with("node_modules"))
        .find_map(|dir| std::fs::read(dir.join("package.json")).ok());
    nearest
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .is_some_and(|package| package["type"] == "module")
}

fn malformed(message: String) -> ErrorPayload {
    let error_type = "Runtime.MalformedHandlerName".to_string();
    let trace = vec![format!("{error_type}: {message}")];
    ErrorPayload { error_type, error_message: message, trace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_names_are_refused() {
        for handler in ["index", "../x.handler", "a/index", ""] {
            let error = find(Path::new("/f"), handler).unwrap_err();
            assert_eq!(error.error_type, "Runtime.MalformedHandlerName", "{handler}");
        }
    }

    #[test]
    fn the_first_dot_splits_module_and_properties() {
        let target = find(Path::new("/f"), "a/b/index.h.sub").unwrap();
        assert_eq!(target.module_root, Path::new("/f/a/b"));
        assert_eq!(target.module_name, "index");
        assert_eq!(target.properties, ["h", "sub"]);
    }

    #[test]
    fn candidates_are_tried_in_order_and_package_json_decides() {
        let dir = tempfile::tempdir().unwrap();
        let found = || {
            let target = find(dir.path(), "index.handler").unwrap();
            target.module.map(|file| (file.extension().unwrap().to_string_lossy().into_owned(), target.esm))
        };
        assert_eq!(found(), None);
        for (file, text, expected) in [
            ("index.cts", "", ("cts", true)),
            ("index.mts", "", ("mts", true)),
            ("index.ts", "", ("ts", true)),
            ("index.cjs", "", ("cjs", false)),
            ("index.mjs", "", ("mjs", true)),
            ("index.js", "", ("js", false)),
            ("package.json", r#"{"type":"module"}"#, ("js", true)),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
            assert_eq!(found(), Some((expected.0.to_string(), expected.1)), "{file}");
        }
    }
}
