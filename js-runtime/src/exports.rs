//! `selvedge-js exports FILE`: the names that a module exports, read from its
//! text, without running it. `selvedge dev` asks.

use crate::engine::typescript::TypeScript;
use crate::engine::typescript::names::is_typescript;
use anyhow::{Context, anyhow};
use deno_ast::{MediaType, ParseParams, ParsedSource};
use deno_core::url::Url;
use std::path::Path;

/// The names, of an ES module or a CommonJS module, in the order of the text where it has one.
///
/// # Errors
/// The file cannot be read, or is no module.
pub fn of(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let file = std::path::absolute(file)?;
    let parsed = parse(&file, text, MediaType::from_path(&file))?;
    if !parsed.compute_is_script() {
        return Ok(parsed.analyze_es_runtime_exports().exports);
    }
    if !is_typescript(&file) {
        return Ok(parsed.analyze_cjs().exports);
    }
    let code = TypeScript::default().code(&file, || false).map_err(|error| anyhow!("{error}"))?;
    Ok(parse(&file, code, MediaType::Cjs)?.analyze_cjs().exports)
}

fn parse(file: &Path, text: String, media_type: MediaType) -> anyhow::Result<ParsedSource> {
    let specifier = Url::from_file_path(file).map_err(|()| anyhow!("{} has no URL", file.display()))?;
    let parsed = deno_ast::parse_program(ParseParams {
        specifier,
        text: text.into(),
        media_type,
        capture_tokens: true,
        scope_analysis: false,
        maybe_syntax: None,
    });
    Ok(parsed?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_either_kind_of_module_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            (
                "a.ts",
                "export type T = string; export const a = (x: T) => x; async function b() {} export { b as c };",
                "a c",
            ),
            (
                "a.mjs",
                "export async function viewerRequest() {} // export const no = 1;\nexport default 1;",
                "viewerRequest default",
            ),
            ("a.js", "exports.handler = async () => 1; module.exports.other = 2;", "handler other"),
            ("a.cts", "const a = 1; export = { a };", "a"),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            assert_eq!(of(&file).unwrap().join(" "), expected, "{name}");
        }
        std::fs::write(dir.path().join("broken.ts"), "export const = 1;").unwrap();
        assert!(of(&dir.path().join("broken.ts")).is_err());
    }
}
