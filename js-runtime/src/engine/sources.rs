//! Where the function's sources are on the disk of whoever develops it: debuggers
//! are told of scripts by these names, so that an editor's breakpoints meet them.
//! Inside, and in what a handler sees of itself, paths stay those of Lambda.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deno_core::url::Url;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Two names of one directory.
pub(crate) struct Sources {
    pub(crate) inside: PathBuf,
    pub(crate) on_disk: PathBuf,
}

impl Sources {
    /// The text of a script with a last line that says where it is on disk; any other file's as it is.
    pub(crate) fn sign(&self, path: &Path, mut text: String) -> String {
        let is_script = matches!(
            path.extension().and_then(|it| it.to_str()),
            None | Some("js" | "cjs" | "mjs" | "ts" | "cts" | "mts")
        );
        let url = path.strip_prefix(&self.inside).ok().filter(|_| is_script);
        if let Some(Ok(url)) = url.map(|below| Url::from_file_path(self.on_disk.join(below))) {
            text.push_str(MARK);
            // V8 takes no quotes in it.
            text.push_str(&url.as_str().replace('\'', "%27"));
        }
        text
    }

    /// The JavaScript of a TypeScript module with its source map in it, as whoever looks for that on disk would not
    /// find it: the source has the script's own name, and is in the map.
    pub(crate) fn with_map(&self, path: &Path, code: String, map: &[u8]) -> String {
        let url = Url::from_file_path(path).ok();
        let name = url.as_ref().and_then(|url| url.path_segments()?.next_back());
        let (Some(name), Ok(Value::Object(mut map)), Ok(source)) =
            (name, serde_json::from_slice(map), std::fs::read_to_string(path))
        else {
            return code;
        };
        map.remove("sourceRoot");
        map.insert("sources".to_owned(), json!([name]));
        map.insert("sourcesContent".to_owned(), json!([source]));
        format!("{code}{MAP_MARK}{}", STANDARD.encode(Value::Object(map).to_string()))
    }

    /// The name inside of a script that stacks may call by either.
    pub(crate) fn inside<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let below = Url::parse(name).ok().and_then(|url| url.to_file_path().ok());
        let below = below.as_deref().and_then(|path| path.strip_prefix(&self.on_disk).ok());
        match below.map(|below| Url::from_file_path(self.inside.join(below))) {
            Some(Ok(url)) => Cow::Owned(url.into()),
            _ => Cow::Borrowed(name),
        }
    }
}

const MARK: &str = "\n//# sourceURL=";
const MAP_MARK: &str = "\n//# sourceMappingURL=data:application/json;base64,";

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        Sources { inside: "/var/task".into(), on_disk: "/home/me/it's here".into() }
    }

    #[test]
    fn scripts_of_the_function_are_signed_and_nothing_else() {
        let signed = "x\n//# sourceURL=file:///home/me/it%27s%20here/lib/a.mjs";
        for (path, expected) in [
            ("/var/task/lib/a.mjs", signed),
            ("/var/task/data.json", "x"),
            ("/opt/nodejs/node_modules/b/index.js", "x"),
        ] {
            assert_eq!(sources().sign(Path::new(path), "x".into()), expected, "{path}");
        }
    }

    #[test]
    fn names_on_disk_lead_inside() {
        let sources = sources();
        assert_eq!(sources.inside("file:///home/me/it%27s%20here/lib/a.mjs"), "file:///var/task/lib/a.mjs");
        for name in ["file:///var/task/lib/a.mjs", "/var/task/a.mjs", "ext:core/mod.js", "file:///home/me/other.js"] {
            assert_eq!(sources.inside(name), name);
        }
    }
}
