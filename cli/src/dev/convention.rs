//! A configuration made up for a handler's file: which file it is, which of its
//! exports run when, and what the configuration says then.

use crate::args::{ConventionArgs, HookEvent};
use crate::dev::shown;
use crate::runtime;
use anyhow::{Context, bail, ensure};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toml::Value;

/// A handler's file and what belongs to it.
#[derive(Debug)]
pub(crate) struct Convention {
    /// Everything below it is the functions' code.
    package: PathBuf,
    /// The handler's file, inside the package.
    file: PathBuf,
    /// The file as a handler's name has it: without its extension.
    module: String,
    language: Language,
    /// When it is not the usual one.
    runtime: Option<&'static str>,
    args: ConventionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    JavaScript,
    Python,
}

/// An export that runs as a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) event: HookEvent,
    pub(crate) name: String,
}

/// What a handler's file exports.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) exports: Vec<Export>,
    /// The file as it was.
    source: String,
}

/// What only a running edge has.
pub(crate) struct Place<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: &'a Path,
    pub(crate) echo: &'a Path,
}

impl Convention {
    /// The handler's file that `path` is, or that is in the directory `path`.
    ///
    /// # Errors
    /// There is none, or its name cannot be that of a handler.
    pub(crate) fn find(path: &Path, args: ConventionArgs) -> anyhow::Result<Convention> {
        let path = std::fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (package, file) = if path.is_dir() {
            let file = candidates().map(|name| path.join(name)).find(|file| file.is_file());
            let Some(file) = file else {
                let looked: Vec<&str> = STEMS.iter().chain(&PYTHON).copied().collect();
                bail!(
                    "{} has neither a selvedge.toml nor a handler ({}, as .js, .mjs, .cjs, .ts, .mts, .cts or .py): name its file",
                    shown(&path),
                    looked.join(", ")
                );
            };
            (path, file)
        } else {
            (package_of(&path), path)
        };
        let language = language_of(&file)?;
        let inside = file.strip_prefix(&package).context("a handler is in its package")?.with_extension("");
        let module = inside.to_str().context("the handler's path is not UTF-8")?.to_owned();
        ensure!(
            !module.contains('.'),
            "{}: a handler's file has one dot in its name, before its extension",
            shown(&file)
        );
        ensure!(
            package.parent().is_some(),
            "{}: all of the machine would be the function's code; put it into a directory of its own",
            shown(&file)
        );
        let loaded = loaded_for(&file);
        ensure!(
            language == Language::Python || loaded == file,
            "{} is what runs, because it is beside {}: remove one of them",
            shown(&loaded),
            shown(&file)
        );
        for variable in &args.variables {
            ensure!(variable.contains('='), "--env {variable}: NAME=VALUE is meant");
        }
        let runtime = (language == Language::Python).then(python);
        Ok(Convention { package, file, module, language, runtime, args })
    }

    /// The file of the handler.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The exports that are hooks. When the file does not parse, those it had `before`, or those whose
    /// names are in its text.
    ///
    /// # Errors
    /// It exports no hook.
    pub(crate) fn hooks(&self, before: Option<&Hooks>) -> anyhow::Result<Hooks> {
        let source = self.source()?;
        let names = match self.language {
            Language::Python => python_functions(&source),
            Language::JavaScript => match (javascript_exports(&self.file), before) {
                (Some(names), _) => names,
                (None, Some(before)) => return Ok(Hooks { exports: before.exports.clone(), source }),
                (None, None) => words(&source),
            },
        };
        let exports = self.hooks_of(&names);
        if exports.is_empty() {
            let known: Vec<String> = HookEvent::ALL.iter().map(|event| self.export_of(*event)).collect();
            bail!(
                "{} exports no handler: call an export {}, or {}",
                shown(&self.file),
                known.join(", "),
                self.plain().join(" or ")
            );
        }
        Ok(Hooks { exports, source })
    }

    /// Whether the file is still the one that these were found in.
    pub(crate) fn is_of(&self, hooks: &Hooks) -> bool {
        self.source().is_ok_and(|source| source == hooks.source)
    }

    fn source(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", shown(&self.file)))
    }

    fn hooks_of(&self, names: &[String]) -> Vec<Export> {
        let has = |name: &str| names.iter().any(|known| known == name);
        let export = |event: HookEvent| Export { event, name: self.export_of(event) };
        let mut hooks: Vec<Export> =
            HookEvent::ALL.into_iter().map(export).filter(|export| has(&export.name)).collect();
        let plain = self.plain().iter().find(|name| has(name));
        match (plain, self.args.event) {
            (Some(plain), Some(event)) => {
                hooks.retain(|export| export.event != event);
                hooks.push(Export { event, name: (*plain).to_owned() });
            }
            (Some(plain), None) if hooks.is_empty() => {
                hooks.push(Export { event: HookEvent::ViewerRequest, name: (*plain).to_owned() });
            }
            _ => {}
        }
        hooks
    }

    /// What an export is called that runs at this event without further words.
    fn export_of(&self, event: HookEvent) -> String {
        let (first, second) = event.name().split_once('-').unwrap_or((event.name(), ""));
        match self.language {
            Language::JavaScript => format!("{first}{}{}", second[..1].to_uppercase(), &second[1..]),
            Language::Python => format!("{first}_{second}"),
        }
    }

    fn plain(&self) -> &'static [&'static str] {
        match self.language {
            Language::JavaScript => &["handler"],
            Language::Python => &["lambda_handler", "handler"],
        }
    }

    /// Where responses come from, for people.
    pub(crate) fn origin(&self) -> String {
        match (&self.args.origin, self.public()) {
            (Some(origin), _) => origin.clone(),
            (None, Some(public)) => shown(&public),
            (None, None) => "shows what it is asked; --origin URL|DIR names another".to_owned(),
        }
    }

    fn public(&self) -> Option<PathBuf> {
        Some(self.package.join("public")).filter(|public| public.is_dir())
    }

    /// The configuration; `place` is left out of what people get to go on from.
    pub(crate) fn text(&self, hooks: &[Export], place: Option<&Place<'_>>) -> String {
        let mut text = "# Made up by `selvedge dev`.\n\n".to_owned();
        if let Some(place) = place {
            let data_dir = quoted(&place.data_dir.to_string_lossy());
            let _ = writeln!(text, "[server]\nhttp = [\"{}\"]\ndata_dir = {data_dir}\n", place.listen);
        }
        for hook in hooks {
            self.put_function(&mut text, hook);
        }
        let _ = writeln!(text, "[distributions.dev]\ndomains = [\"*\"]");
        self.put_origin(&mut text, place);
        text.push_str("[distributions.dev.default_behavior]\norigin = \"origin\"\nallowed_methods = \"all\"\n");
        // What a function changes shows with the next request, not when something is fetched again.
        text.push_str("cache = \"CachingDisabled\"\nforward = \"AllViewerExceptHostHeader\"\n");
        for hook in hooks {
            let name = hook.event.name();
            let _ = writeln!(text, "hooks.{name} = \"{name}\"");
        }
        text
    }

    fn put_function(&self, text: &mut String, hook: &Export) {
        let code = quoted(&self.package.to_string_lossy());
        let handler = quoted(&format!("{}.{}", self.module, hook.name));
        let _ = writeln!(text, "[functions.{}]\ncode = {code}\nhandler = {handler}", hook.event.name());
        if let Some(runtime) = self.runtime {
            let _ = writeln!(text, "runtime = {}", quoted(runtime));
        }
        if !self.args.network.is_empty() {
            let allow: Vec<String> = self.args.network.iter().map(|address| quoted(address)).collect();
            let _ = writeln!(text, "network.allow = [{}]", allow.join(", "));
        }
        let variables = self.args.variables.iter().filter_map(|variable| variable.split_once('='));
        for (name, value) in variables {
            let _ = writeln!(text, "environment.{} = {}", quoted(name), quoted(value));
        }
        text.push('\n');
    }

    fn put_origin(&self, text: &mut String, place: Option<&Place<'_>>) {
        let (key, value) = match (&self.args.origin, self.public(), place) {
            (Some(url), _, _) if url.contains("://") => ("url", url.clone()),
            (Some(directory), _, _) => {
                let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
                ("directory", absolute.to_string_lossy().into_owned())
            }
            (None, Some(public), _) => ("directory", public.to_string_lossy().into_owned()),
            (None, None, Some(place)) => ("socket", place.echo.to_string_lossy().into_owned()),
            (None, None, None) => ("url", "https://origin.example.com".to_owned()),
        };
        if key == "directory" && Path::new(&value).join("index.html").is_file() {
            text.push_str("default_root_object = \"index.html\"\n");
        }
        let _ = writeln!(text, "\n[distributions.dev.origins.origin]\n{key} = {}\n", quoted(&value));
    }
}

/// Files that are looked for, in order; what a compiler left beside a source comes before it, as when it runs.
fn candidates() -> impl Iterator<Item = String> {
    let javascript =
        STEMS.iter().flat_map(|stem| JAVASCRIPT.iter().map(move |extension| format!("{stem}.{extension}")));
    javascript.chain(PYTHON.iter().map(|stem| format!("{stem}.py")))
}

fn language_of(file: &Path) -> anyhow::Result<Language> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "py" => Ok(Language::Python),
        _ if JAVASCRIPT.contains(&extension) => Ok(Language::JavaScript),
        _ => bail!("{} is no handler: .{} or .py is one", shown(file), JAVASCRIPT.join(", .")),
    }
}

/// The nearest directory above a file with a `package.json`, so that what the file imports is in it; its own
/// directory when there is none in the repository or below the home directory.
fn package_of(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new("/"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    for directory in own.ancestors() {
        if Some(directory) == home.as_deref() {
            break;
        }
        if directory.join("package.json").is_file() {
            return directory.to_path_buf();
        }
        if directory.join(".git").exists() {
            break;
        }
    }
    own.to_path_buf()
}

/// The file that runs when a handler is called like this one: the first of them, by extension.
fn loaded_for(file: &Path) -> PathBuf {
    let mut files = JAVASCRIPT.iter().map(|extension| file.with_extension(extension));
    files.find(|file| file.is_file()).unwrap_or_else(|| file.to_path_buf())
}

/// What the module exports; nothing when it does not parse, which whoever loads it says better.
fn javascript_exports(file: &Path) -> Option<Vec<String>> {
    let output = Command::new(runtime::find().ok()?).arg("exports").arg(file).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| names.lines().map(str::to_owned).collect())
}

/// Functions at the top of a module.
fn python_functions(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("def ").or_else(|| line.strip_prefix("async def ")));
    lines.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.trim().to_owned()).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// The newest interpreter that functions can have and that starts here.
fn python() -> &'static str {
    let starts = |name: &&&str| {
        let mut command = Command::new(name);
        command.args(["-I", "-c", ""]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    PYTHONS.iter().find(starts).unwrap_or(&PYTHONS[0])
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

const STEMS: [&str; 4] = ["index", "handler", "src/index", "src/handler"];
const JAVASCRIPT: [&str; 6] = ["js", "mjs", "cjs", "ts", "mts", "cts"];
const PYTHON: [&str; 3] = ["lambda_function", "index", "handler"];
const PYTHONS: [&str; 4] = ["python3.14", "python3.13", "python3.12", "python3.11"];

#[cfg(test)]
mod tests;
