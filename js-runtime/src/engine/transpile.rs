//! Turns the sources of the built-ins into the JavaScript that goes into the
//! start-up file: types removed, the Node.js version filled in, and the global
//! `Deno` replaced by a name that no handler can reach.

use deno_ast::{MediaType, ParseParams};
use deno_core::{ModuleCodeString, ModuleName, SourceMapData};
use deno_error::JsErrorBox;
use std::path::Path;

/// The version `process.version` starts with; loading sets the one of the function's runtime.
const NODE_VERSION: &str = "22.20.0";

/// Called for every source file of every extension while the start-up file is made.
pub(crate) fn to_javascript(
    name: ModuleName,
    source: ModuleCodeString,
) -> Result<(ModuleCodeString, Option<SourceMapData>), JsErrorBox> {
    let specifier = name.to_string();
    let text = source.as_str().replace("__NODE_VERSION__", NODE_VERSION).replace(UNIX, "const unix = true");
    let text = hide_namespace(&text);
    let text = if specifier == GENERATOR { open_pool(&text)? } else { text };
    let media_type = match specifier.starts_with("node:") {
        true => MediaType::TypeScript,
        false => MediaType::from_path(Path::new(&specifier)),
    };
    if media_type != MediaType::TypeScript {
        return Ok((text.into(), None));
    }
    let parsed = deno_ast::parse_module(ParseParams {
        specifier: deno_core::url::Url::parse(&specifier).map_err(JsErrorBox::from_err)?,
        text: text.into(),
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|error| JsErrorBox::generic(error.to_string()))?;
    let options = deno_ast::TranspileOptions {
        imports_not_used_as_values: deno_ast::ImportsNotUsedAsValues::Remove,
        ..Default::default()
    };
    let emit = deno_ast::EmitOptions { source_map: deno_ast::SourceMapOption::None, ..Default::default() };
    let emitted = parsed
        .transpile(&options, &deno_ast::TranspileModuleOptions::default(), &emit)
        .map_err(|error| JsErrorBox::generic(error.to_string()))?
        .into_source();
    Ok((emitted.text.into(), None))
}

/// Lets `randomness.js` empty the pool of identifiers in a copy of a process.
fn open_pool(text: &str) -> Result<String, JsErrorBox> {
    if !text.contains(POOL) {
        return Err(JsErrorBox::generic(format!("{GENERATOR} has no line `{POOL}`: how are its pools emptied now?")));
    }
    Ok(text.replace(POOL, &format!("{POOL} internals.forgetUuids = () => {{ uuidBatch = UUID_BATCH_SIZE; }};")))
}

/// In the text of a function that is made while the start-up file is, and that has no namespace to ask.
const UNIX: &str = "const unix = Deno.build.os === \"darwin\"";

/// Draws identifiers ahead of use.
const GENERATOR: &str = "ext:deno_crypto/00_crypto.js";
const POOL: &str = "let uuidBatch = UUID_BATCH_SIZE;";

/// Where scripts get the core from; the private name is defined right after it.
const SCRIPT_PREAMBLE: &str = "= __bootstrap;";

fn hide_namespace(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find("Deno.") {
        let (before, after) = rest.split_at(at);
        hidden.push_str(before);
        rest = &after["Deno.".len()..];
        if stands_alone(&hidden) {
            found = true;
            hidden.push_str("__privateInternals.denoNamespace.");
        } else {
            hidden.push_str("Deno.");
        }
    }
    hidden.push_str(rest);
    match hidden.find(SCRIPT_PREAMBLE) {
        _ if !found => hidden,
        Some(at) => {
            hidden.insert_str(at + SCRIPT_PREAMBLE.len(), " const __privateInternals = __bootstrap.internals;");
            hidden
        }
        None => format!("import {{ internals as __privateInternals }} from \"ext:core/mod.js\"; {hidden}"),
    }
}

/// Whether a name that follows `before` is a name of its own, not a property, a string or a longer name.
fn stands_alone(before: &str) -> bool {
    let last = before.chars().next_back();
    !last.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '"' | '\'' | '`' | '.'))
        || before.ends_with("...")
}

#[cfg(test)]
mod tests {
    use super::hide_namespace;

    #[test]
    fn scripts_reach_the_namespace_through_the_internals() {
        assert_eq!(
            hide_namespace("(function () {\nconst { core } = __bootstrap;\nDeno.cwd();\n})();"),
            "(function () {\nconst { core } = __bootstrap; const __privateInternals = __bootstrap.internals;\n\
             __privateInternals.denoNamespace.cwd();\n})();"
        );
    }

    #[test]
    fn modules_import_the_internals() {
        assert_eq!(
            hide_namespace("f(Deno.pid)"),
            "import { internals as __privateInternals } from \"ext:core/mod.js\"; f(__privateInternals.denoNamespace.pid)"
        );
    }

    #[test]
    fn strings_and_longer_names_stay() {
        for text in ["Symbol.for(\"Deno.customInspect\")", "globalThis.Deno.core", "MyDeno.x"] {
            assert_eq!(hide_namespace(text), text);
        }
    }
}
