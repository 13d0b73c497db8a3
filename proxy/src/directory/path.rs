//! From a request path to the file it names, or to nothing: no path leaves the root.
//!
//! Like an S3 bucket, a directory has no redirects and no listings: `/a/` is
//! `a/index.html`, and `/a` is a file called `a` or nothing, even where a directory has
//! that name.

use percent_encoding::percent_decode_str;
use std::path::{Path, PathBuf};

/// The file below `root` that `path` (percent-encoded, as received) names; `None` when
/// there is none that may be served. Blocks on the file system.
pub(super) fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = relative(path)?;
    let mut file = root.join(relative);
    if path.ends_with('/') {
        file.push(INDEX);
    }
    // Follows symbolic links, so that one that leads out of the root shows.
    let real = file.canonicalize().ok()?;
    (real.starts_with(root) && real.is_file()).then_some(real)
}

/// The components of `path`, each a plain name that is not hidden.
fn relative(path: &str) -> Option<PathBuf> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(PathBuf::new());
    }
    // Split before decoding: an encoded slash is no separator, and no name holds one.
    path.split('/').map(component).collect()
}

fn component(encoded: &str) -> Option<String> {
    let name = percent_decode_str(encoded).decode_utf8().ok()?.into_owned();
    let hidden = name.starts_with('.') && name != PUBLIC_DOT_DIRECTORY;
    (!name.is_empty() && !hidden && !name.contains(['/', '\0'])).then_some(name)
}

const INDEX: &str = "index.html";
/// RFC 8615; every other name that starts with a dot, `..` included, is not served.
const PUBLIC_DOT_DIRECTORY: &str = ".well-known";
const PATH_BYTES_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_files_below_the_root_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = base.join("root");
        fs::create_dir_all(root.join("a/b c")).unwrap();
        fs::create_dir_all(root.join(".well-known")).unwrap();
        for name in ["index.html", "a/index.html", "a/b c/d.txt", ".env", ".well-known/x", "..fine"] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(base.join("secret"), "secret").unwrap();
        fs::create_dir_all(base.join("root-sibling")).unwrap();
        fs::write(base.join("root-sibling/x"), "x").unwrap();
        symlink(base.join("secret"), root.join("leak")).unwrap();
        symlink(base.join("root-sibling"), root.join("sibling")).unwrap();
        symlink("a/index.html", root.join("alias")).unwrap();

        let finds = |path: &str| resolve(&root, path).map(|file| file.strip_prefix(&root).unwrap().to_owned());
        for (path, file) in [
            ("/", "index.html"),
            ("/a/", "a/index.html"),
            ("/a/b%20c/d.txt", "a/b c/d.txt"),
            ("/%61/index.html", "a/index.html"),
            ("/.well-known/x", ".well-known/x"),
            ("/alias", "a/index.html"),
        ] {
            assert_eq!(finds(path), Some(PathBuf::from(file)), "{path}");
        }
        for path in [
            "",
            "*",
            "/a",
            "/a/b%20c/",
            "/index.html/",
            "//index.html",
            "/a//index.html",
            "/../secret",
            "/a/../../secret",
            "/a/%2e%2e/index.html",
            "/%2e%2e/secret",
            "/%2E./secret",
            "/..%2fsecret",
            "/a%2findex.html",
            "/index.html%00",
            "/index.html%00.txt",
            "/%ff",
            "/.env",
            "/%2eenv",
            "/..fine",
            "/leak",
            "/sibling/x",
            "/missing",
        ] {
            assert_eq!(finds(path), None, "{path}");
        }
        assert_eq!(resolve(&root, &format!("/{}", "a".repeat(9000))), None);
    }
}
