//! Whether a handler string can name a module of the package
//! (AWS: "Define Lambda function handler in Node.js", "... in Python"). Whether the
//! module has the export is found out when it is loaded.

use super::PackageError;
use super::layers::Layers;
use super::listing::{Entry, Listing, relative_name};
use crate::config::FunctionConfig;
use environment::Language;
use environment::manifest::BOOTSTRAP;
use std::path::Path;

/// Checks the handler's form and that its module is a file of the package.
pub(super) fn check(config: &FunctionConfig, listing: &Listing, layers: &Layers<'_>) -> Result<(), PackageError> {
    if config.runtime.language() != Language::Custom
        && let Some(name) = layers.paths().find(|name| name.starts_with("extensions/"))
    {
        return Err(PackageError::Extension(name.to_owned()));
    }
    match config.runtime.language() {
        Language::JavaScript => check_javascript(&config.handler, listing),
        Language::Python => check_python(&config.handler, listing, layers),
        Language::Custom => check_bootstrap(listing, layers),
    }
}

/// What the handler string means is the program's own affair.
fn check_bootstrap(listing: &Listing, layers: &Layers<'_>) -> Result<(), PackageError> {
    match listing.entries.get(BOOTSTRAP).or_else(|| layers.entry(BOOTSTRAP)) {
        Some(Entry::File { executable: true, .. } | Entry::Link { .. }) => Ok(()),
        Some(Entry::File { executable: false, .. }) => Err(PackageError::Bootstrap("is not executable")),
        Some(Entry::Directory) => Err(PackageError::Bootstrap("is a directory")),
        None => Err(PackageError::Bootstrap("is missing")),
    }
}

/// A module path with dots or slashes, and a function after the last dot.
fn check_python(handler: &str, listing: &Listing, layers: &Layers<'_>) -> Result<(), PackageError> {
    let refuse = |reason: String| Err(PackageError::Handler { handler: handler.to_owned(), reason });
    let Some((module, function)) = handler.rsplit_once('.') else {
        return refuse(
            "must be a module and a function with a dot between, for example lambda_function.handler".into(),
        );
    };
    let path = relative_name(&module.replace('.', "/"));
    let Some(path) = path.filter(|_| !function.is_empty() && !module.contains("..")) else {
        return refuse("names no module inside the package".into());
    };
    let native = format!("{path}.");
    let found = listing.is_file(&format!("{path}.py"))
        || listing.is_file(&format!("{path}/__init__.py"))
        || listing.entries.keys().any(|name| name.starts_with(&native) && name.ends_with(".so"));
    let in_layer = layers.paths().any(|name| {
        let below = name.strip_prefix("python/").and_then(|name| name.strip_prefix(path.as_str()));
        let in_site = name.split_once("/site-packages/").and_then(|(_, name)| name.strip_prefix(path.as_str()));
        [below, in_site]
            .into_iter()
            .flatten()
            .any(|rest| rest == ".py" || rest == "/__init__.py" || (rest.starts_with('.') && rest.ends_with(".so")))
    });
    if !found && !in_layer {
        return refuse(format!("needs {path}.py or {path}/__init__.py in the package"));
    }
    Ok(())
}

fn check_javascript(handler: &str, listing: &Listing) -> Result<(), PackageError> {
    let refuse = |reason: String| Err(PackageError::Handler { handler: handler.to_owned(), reason });
    if handler.contains("..") {
        return refuse("must not contain \"..\"".into());
    }
    let (above, last) = handler.rsplit_once('/').unwrap_or(("", handler));
    let Some((module, export)) = last.split_once('.') else {
        return refuse("must be a module and an export with a dot between, for example index.handler".into());
    };
    if module.is_empty() || export.is_empty() {
        return refuse("must be a module and an export with a dot between, for example index.handler".into());
    }
    let path = if above.is_empty() { module.to_owned() } else { format!("{above}/{module}") };
    let Some(path) = relative_name(&path) else {
        return refuse("names no path inside the package".into());
    };
    let found = EXTENSIONS.iter().any(|extension| listing.is_file(&format!("{path}{extension}")))
        || listing.has(&format!("{path}/index.js"))
        || listing.has(&format!("{path}/index.ts"))
        || listing.has(&format!("{path}/package.json"))
        || listing.has(&format!("node_modules/{path}"));
    if !found {
        return refuse(format!(
            "needs one of {path}.js, {path}.mjs, {path}.cjs, {path}.ts, {path}.mts, {path}.cts in the package"
        ));
    }
    Ok(())
}

/// Whether `name` is that of a module's bytecode, as the interpreter looks for it, inside a package.
pub(crate) fn is_bytecode_name(name: &str) -> bool {
    let in_cache = Path::new(name).parent().and_then(Path::file_name).is_some_and(|parent| parent == "__pycache__");
    relative_name(name).is_some_and(|own| own == name) && in_cache && name.ends_with(".pyc")
}

/// In the order in which they are looked for: what a compiler left beside a source comes before it.
const EXTENSIONS: [&str; 7] = ["", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_stays_in_its_package() {
        for good in ["__pycache__/a.cpython-311.pyc", "pkg/sub/__pycache__/a.cpython-311.pyc"] {
            assert!(is_bytecode_name(good), "{good}");
        }
        for bad in
            ["../__pycache__/a.pyc", "/__pycache__/a.pyc", "a.pyc", "__pycache__/a.py", "__pycache__/../a.pyc", ""]
        {
            assert!(!is_bytecode_name(bad), "{bad}");
        }
    }
}
