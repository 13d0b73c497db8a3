//! TypeScript modules of a function: each is turned into JavaScript when it is
//! first loaded, which is in the template, and its source map stays for stack
//! traces. Types are not checked. The module loaders ask; `names` knows where a
//! TypeScript user expects an import to lead, `settings` reads `tsconfig.json`.

pub(crate) mod names;
mod settings;

use deno_ast::{
    EmitOptions, MediaType, ModuleKind, ParseDiagnostic, ParseParams, ParsedSource, SourceMapOption, SourceTextInfo,
    TranspileError, TranspileModuleOptions, TranspileOptions,
};
use deno_core::url::Url;
use deno_error::JsErrorBox;
use settings::Settings;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A module as JavaScript.
pub(crate) struct Compiled {
    /// Whether it is an ES module; a CommonJS module otherwise.
    pub(crate) is_module: bool,
    /// Until somebody loads it.
    code: RefCell<Option<String>>,
    /// From the code to the source, as JSON.
    pub(crate) map: String,
}

/// The TypeScript modules that one engine has met.
#[derive(Default)]
pub(crate) struct TypeScript {
    compiled: RefCell<HashMap<PathBuf, Rc<Compiled>>>,
    /// What was said of the last module that does not parse, and where that is. An error on its way through
    /// `import` keeps nothing but its message.
    fault: RefCell<Option<(String, String)>>,
}

impl TypeScript {
    /// The module as JavaScript, compiled once. `in_module_package` says what the nearest `package.json`
    /// does, for `.ts`. The caller has checked that the function may read the file.
    ///
    /// # Errors
    /// The file cannot be read, or does not parse.
    pub(crate) fn compile(
        &self,
        path: &Path,
        in_module_package: impl FnOnce() -> bool,
    ) -> Result<Rc<Compiled>, JsErrorBox> {
        if let Some(compiled) = self.compiled.borrow().get(path) {
            return Ok(Rc::clone(compiled));
        }
        let bytes = std::fs::read(path).map_err(JsErrorBox::from_err)?;
        let text = deno_ast::strip_bom(String::from_utf8_lossy(&bytes).into_owned());
        let settings = settings::nearest(path);
        let compiled = compile(path, text, &settings, in_module_package).map_err(|refusal| self.refuse(&refusal))?;
        let compiled = Rc::new(compiled);
        self.compiled.borrow_mut().insert(path.to_path_buf(), Rc::clone(&compiled));
        Ok(compiled)
    }

    /// The JavaScript of the module; what nobody needs twice is not kept.
    ///
    /// # Errors
    /// As [`TypeScript::compile`].
    pub(crate) fn code(&self, path: &Path, in_module_package: impl Fn() -> bool) -> Result<String, JsErrorBox> {
        let compiled = self.compile(path, &in_module_package)?;
        if let Some(code) = compiled.code.take() {
            return Ok(code);
        }
        self.compiled.borrow_mut().remove(path);
        let again = self.compile(path, in_module_package)?;
        Ok(again.code.take().unwrap_or_default())
    }

    fn refuse(&self, refusal: &Refusal) -> JsErrorBox {
        let said = refusal.to_string();
        if let Refusal::Fault(fault) = refusal {
            self.fault.replace(Some((said.clone(), fault.place.clone())));
        }
        JsErrorBox::new("SyntaxError", said)
    }

    /// Where the fault is that an error's message says: `file:line:column` and the line with a caret.
    pub(crate) fn fault(&self, message: &str) -> Option<String> {
        self.fault.borrow().as_ref().filter(|(said, _)| said == message).map(|(_, place)| place.clone())
    }

    /// The source map of a module that was loaded.
    pub(crate) fn map(&self, path: &Path) -> Option<Vec<u8>> {
        self.compiled.borrow().get(path).map(|compiled| compiled.map.clone().into_bytes())
    }
}

/// A module that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("{message} at {name}:{line}:{column}")]
struct Fault {
    message: String,
    /// The file's name without its directory.
    name: String,
    line: usize,
    column: usize,
    /// `file:line:column`, then the line and a caret below it.
    place: String,
}

/// Why a module is not compiled.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("{0}")]
    Other(String),
}

fn compile(
    path: &Path,
    text: String,
    settings: &Settings,
    in_module_package: impl FnOnce() -> bool,
) -> Result<Compiled, Refusal> {
    let specifier = Url::from_file_path(path)
        .map_err(|()| Refusal::Other(format!("{} is not an absolute path", path.display())))?;
    let info = SourceTextInfo::from_string(text);
    let parsed = deno_ast::parse_program(ParseParams {
        specifier,
        text: info.text(),
        media_type: MediaType::from_path(path),
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|fault| fault_at(path, &info, &fault))?;
    let is_module = is_module(path, &parsed, in_module_package);
    let module = TranspileModuleOptions { module_kind: Some(ModuleKind::from_is_esm(is_module)) };
    let transpile = TranspileOptions {
        decorators: settings.decorators(),
        verbatim_module_syntax: settings.verbatim_module_syntax,
        ..TranspileOptions::default()
    };
    let emit = EmitOptions { source_map: SourceMapOption::Separate, inline_sources: false, ..EmitOptions::default() };
    let emitted = parsed.transpile(&transpile, &module, &emit).map_err(|error| match &error {
        TranspileError::ParseErrors(faults) if !faults.0.is_empty() => fault_at(path, &info, &faults.0[0]).into(),
        _ => Refusal::Other(format!("{}: {error}", path.display())),
    })?;
    let emitted = emitted.into_source();
    let map = emitted.source_map.unwrap_or_default();
    Ok(Compiled { is_module, code: RefCell::new(Some(emitted.text)), map })
}

/// A file with `import` or `export` is an ES module whatever surrounds it, as bundlers have it.
fn is_module(path: &Path, parsed: &ParsedSource, in_module_package: impl FnOnce() -> bool) -> bool {
    match MediaType::from_path(path) {
        MediaType::Mts => true,
        MediaType::Cts => !parsed.compute_is_script(),
        _ => !parsed.compute_is_script() || in_module_package(),
    }
}

fn fault_at(path: &Path, info: &SourceTextInfo, fault: &ParseDiagnostic) -> Fault {
    // A fault may lie behind the last character.
    let start = fault.range().start.min(info.range().end);
    let at = info.line_and_column_index(start);
    let (line, column) = (at.line_index + 1, at.column_index + 1);
    let source = info.line_text(at.line_index);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = format!("{}:{line}:{column}\n{}", path.display(), framed(source, column));
    Fault { message: said(&fault.kind().msg()), name, line, column, place }
}

/// Without a list of all that could have stood there.
fn said(message: &str) -> String {
    let short = message.split_once(". Expected ").filter(|(_, expected)| expected.len() > EXPECTED_LENGTH_MAX);
    short.map_or(message, |(short, _)| short).to_owned()
}

const EXPECTED_LENGTH_MAX: usize = 80;

/// A line and a caret below its nth character, from 1.
pub(crate) fn framed(line: &str, column: usize) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    // Tabs stay tabs, so that the caret stands where it should.
    let before: String = line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    format!("    {line}\n    {before}^")
}
