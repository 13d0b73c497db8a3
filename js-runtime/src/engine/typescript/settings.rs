//! What `tsconfig.json` says that changes what a module does when it runs: the
//! nearest one above the module counts, as in an editor. `extends` is followed
//! to files, not to packages.

use deno_ast::DecoratorsTranspileOption;
use jsonc_parser::{JsonObject, JsonValue};
use std::path::{Path, PathBuf};

/// Of `compilerOptions`; those that are not here change nothing at run time, or only what a bundler does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    experimental_decorators: bool,
    emit_decorator_metadata: bool,
    /// Imports that only types need stay, unless they say `type`.
    pub(super) verbatim_module_syntax: bool,
}

impl Settings {
    /// Those of the language's own proposal, unless the older ones are asked for.
    pub(super) fn decorators(self) -> DecoratorsTranspileOption {
        match self.experimental_decorators {
            true => DecoratorsTranspileOption::LegacyTypeScript { emit_metadata: self.emit_decorator_metadata },
            false => DecoratorsTranspileOption::Ecma,
        }
    }
}

/// The settings for the module at `path`. A file that cannot be read says nothing: the sandbox keeps
/// those outside the package away.
pub(super) fn nearest(path: &Path) -> Settings {
    let mut above = path.ancestors().skip(1).map(|directory| directory.join("tsconfig.json"));
    above.find(|file| file.is_file()).map_or_else(Settings::default, |file| read(&file, EXTENDS_MAX))
}

fn read(file: &Path, extends_max: usize) -> Settings {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let Ok(Some(JsonValue::Object(config))) = jsonc_parser::parse_to_value(&text, &Default::default()) else {
        return Settings::default();
    };
    let mut settings = match config.get_string("extends").and_then(|name| extended(file, name)) {
        Some(other) if extends_max > 0 => read(&other, extends_max - 1),
        _ => Settings::default(),
    };
    if let Some(options) = config.get_object("compilerOptions") {
        settings.apply(options);
    }
    settings
}

impl Settings {
    fn apply(&mut self, options: &JsonObject<'_>) {
        for (name, setting) in [
            ("experimentalDecorators", &mut self.experimental_decorators),
            ("emitDecoratorMetadata", &mut self.emit_decorator_metadata),
            ("verbatimModuleSyntax", &mut self.verbatim_module_syntax),
        ] {
            if let Some(value) = options.get_boolean(name) {
                *setting = value;
            }
        }
    }
}

fn extended(file: &Path, name: &str) -> Option<PathBuf> {
    let directory = file.parent()?;
    let named = directory.join(name);
    let with_extension = directory.join(format!("{name}.json"));
    (name.starts_with('.')).then(|| if named.is_file() { named } else { with_extension })
}

const EXTENDS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_counts_with_what_it_extends() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        std::fs::create_dir_all(dir.join("src/deep")).unwrap();
        std::fs::write(
            dir.join("strict.json"),
            r#"{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }"#,
        )
        .unwrap();
        std::fs::write(
            dir.join("tsconfig.json"),
            "{ // with a comment\n \"extends\": \"./strict\", \"compilerOptions\": { \"emitDecoratorMetadata\": false, }, }",
        )
        .unwrap();
        let settings = nearest(&dir.join("src/deep/a.ts"));
        assert!(settings.experimental_decorators && !settings.emit_decorator_metadata);
        std::fs::write(dir.join("src/tsconfig.json"), "{}").unwrap();
        assert_eq!(nearest(&dir.join("src/deep/a.ts")), Settings::default());
    }

    #[test]
    fn a_file_that_extends_itself_ends() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("tsconfig.json"), r#"{ "extends": "./tsconfig.json" }"#).unwrap();
        assert_eq!(nearest(&root.path().join("a.ts")), Settings::default());
    }
}
