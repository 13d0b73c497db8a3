//! Whether a handler string can name a module of the package
//! (AWS: "Define Lambda function handler in Node.js"). Whether the module has
//! the export is found out when it is loaded.

use super::PackageError;
use super::listing::{Listing, relative_name};

/// Checks the handler's form and that its module is a file of the package.
pub(super) fn check(handler: &str, listing: &Listing) -> Result<(), PackageError> {
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
        || listing.has(&format!("{path}/package.json"))
        || listing.has(&format!("node_modules/{path}"));
    if !found {
        return refuse(format!("needs one of {path}.js, {path}.mjs, {path}.cjs in the package"));
    }
    Ok(())
}

const EXTENSIONS: [&str; 4] = ["", ".js", ".mjs", ".cjs"];
