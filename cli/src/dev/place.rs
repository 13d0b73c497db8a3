//! Places in errors: code runs from a copy of the package, and what people want
//! is the file they wrote, with the lines around the place.

use super::shown;
use deployment::Deployment;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where the code of functions lies that runs from copies.
#[derive(Default)]
pub(crate) struct Sources {
    /// By the names of functions.
    directories: Mutex<Vec<(String, PathBuf)>>,
}

/// A place in a source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) column: Option<usize>,
}

/// Where a text names a file of a package.
struct Named<'a> {
    before: &'a str,
    /// Below the package's directory, and what follows.
    rest: &'a str,
}

impl Sources {
    /// From now on these functions run.
    pub(crate) fn know(&self, deployment: &Deployment) {
        let functions = deployment.functions.values();
        let known = functions.map(|function| (function.name.clone(), function.package.path().to_path_buf()));
        *self.directories.lock().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// The text with the names of sources in place of those of the copies.
    pub(crate) fn named(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(named) = named(rest) {
            out.push_str(named.before.trim_end_matches("file://"));
            let end = named.rest.find(ENDS).unwrap_or(named.rest.len());
            let (name, after) = named.rest.split_at(end);
            match self.file(None, name) {
                Some(file) => out.push_str(&shown(&file)),
                None => out.push_str(name),
            }
            rest = after;
        }
        out + rest
    }

    /// The lines around the place that `text` names, when it names one in a source.
    pub(crate) fn frame(&self, function: Option<&str>, text: &str) -> Option<String> {
        let place = self.place(function, text)?;
        let source = std::fs::read_to_string(&place.file).ok()?;
        framed(&source, &place)
    }

    /// As V8 writes it, `file:line:column`, or as Python does, `File "file", line N`.
    fn place(&self, function: Option<&str>, text: &str) -> Option<Place> {
        let rest = named(text)?.rest;
        let end = rest.find(ENDS)?;
        let (name, after) = rest.split_at(end);
        let file = self.file(function, name)?;
        let number = |text: &str| {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..digits].parse::<usize>().ok().filter(|number| *number > 0)
        };
        if let Some(after) = after.strip_prefix("\", line ") {
            return Some(Place { file, line: number(after)?, column: None });
        }
        let mut numbers = after.strip_prefix(':')?.split(':');
        let line = number(numbers.next()?)?;
        Some(Place { file, line, column: numbers.next().and_then(number) })
    }

    /// The source of a file in a package: the function's own, or that of whichever has it.
    fn file(&self, function: Option<&str>, name: &str) -> Option<PathBuf> {
        let directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        let own = directories.iter().filter(|(known, _)| Some(known.as_str()) == function);
        let mut files = own.chain(directories.iter()).map(|(_, directory)| directory.join(name));
        files.find(|file| file.is_file())
    }
}

/// The first name of a file of a package: below `/var/task`, where a function sees it, or, without a sandbox
/// that shows it there, below `packages/<digest>`.
fn named(text: &str) -> Option<Named<'_>> {
    let copy = text.match_indices(PACKAGES).find_map(|(found, _)| {
        let digest = found + PACKAGES.len();
        let end = digest + DIGEST_LENGTH;
        let is_digest = text.get(digest..end).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        (is_digest && text[end..].starts_with('/')).then_some((found, end + 1))
    });
    let task = text.find(TASK).map(|found| (found, found + TASK.len()));
    let (found, end) = [copy, task].into_iter().flatten().min()?;
    let start = text[..found].rfind([' ', '(', '"', '\'']).map_or(0, |at| at + 1);
    Some(Named { before: &text[..start], rest: &text[end..] })
}

/// Two lines before, the line, a caret, one line after.
fn framed(source: &str, place: &Place) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    lines.get(place.line - 1)?;
    let mut text = format!("{}:{}", at(&place.file), place.line);
    if let Some(column) = place.column {
        let _ = write!(text, ":{column}");
    }
    text.push('\n');
    let (first, last) = (place.line.saturating_sub(BEFORE).max(1), (place.line + AFTER).min(lines.len()));
    let width = last.to_string().len();
    for number in first..=last {
        let line = lines[number - 1];
        let mark = if number == place.line { '>' } else { ' ' };
        let _ = writeln!(text, "{}", format!("{mark} {number:>width$} | {line}").trim_end());
        if let (true, Some(column)) = (number == place.line, place.column) {
            let before = line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect::<String>();
            let _ = writeln!(text, "  {:>width$} | {before}^", "");
        }
    }
    Some(text)
}

fn at(file: &Path) -> String {
    shown(file)
}

const TASK: &str = "/var/task/";
const PACKAGES: &str = "/packages/";
const DIGEST_LENGTH: usize = 64;
const ENDS: [char; 7] = [' ', ':', '"', ')', '\'', '\r', '\n'];
const BEFORE: usize = 2;
const AFTER: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(directory: &Path) -> Sources {
        let sources = Sources::default();
        *sources.directories.lock().unwrap() = vec![("f".to_owned(), directory.to_path_buf())];
        sources
    }

    fn copy(name: &str) -> String {
        format!("/var/state/packages/{}/{name}", "0a".repeat(32))
    }

    #[test]
    fn the_lines_around_a_place_are_those_of_the_source() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("lib")).unwrap();
        let file = root.path().join("lib/a.ts");
        std::fs::write(&file, "one\ntwo\n\tthree(x)\nfour\nfive\n").unwrap();
        let sources = sources(root.path());
        let frame = sources.frame(Some("f"), &format!("    at h (file://{}:3:8)", copy("lib/a.ts"))).unwrap();
        let place = format!("{}:3:8\n", file.display());
        assert_eq!(frame, place + "  1 | one\n  2 | two\n> 3 | \tthree(x)\n    | \t      ^\n  4 | four\n");
        let python = format!("  File \"{}\", line 5, in handler", copy("lib/a.ts"));
        let frame = sources.frame(None, &python).unwrap();
        assert!(frame.ends_with("  3 | \tthree(x)\n  4 | four\n> 5 | five\n"), "{frame}");
    }

    #[test]
    fn copies_are_called_by_their_sources() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.ts"), "").unwrap();
        let (a, shown) = (copy("a.ts"), root.path().join("a.ts").display().to_string());
        let text = format!("at h (file://{a}:1:2) and '{a}' and {} at /var/task/a.ts:3", copy("gone.js"));
        let expected = format!("at h ({shown}:1:2) and '{shown}' and gone.js at {shown}:3");
        assert_eq!(sources(root.path()).named(&text), expected);
        assert_eq!(sources(root.path()).named("/packages/x/y"), "/packages/x/y");
    }

    #[test]
    fn a_place_that_is_not_in_the_source_has_no_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.ts"), "one\n").unwrap();
        let sources = sources(root.path());
        for text in [format!("{}:9:1", copy("a.ts")), format!("{}:0:1", copy("a.ts")), copy("b.ts"), copy("a.ts")] {
            assert_eq!(sources.frame(None, &text), None, "{text}");
        }
    }
}
