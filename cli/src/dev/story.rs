//! What functions write, told for people: their own lines without stamps, and
//! errors with the place in the source. Lambda's lines around each invocation
//! are left out: the line of the request says the same.

use super::place::Sources;
use super::terminal::Style;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the lines of functions' logs.
pub(crate) struct Story {
    sources: Arc<Sources>,
    /// Errors of init phases, by function: each request tries again, and the same error is told once.
    told: Mutex<HashMap<String, String>>,
}

/// An error as the JavaScript runtime logs it.
#[derive(Deserialize)]
struct Logged {
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(rename = "errorMessage", default)]
    error_message: String,
    #[serde(default)]
    stack: Vec<String>,
}

impl Story {
    pub(crate) fn new(sources: Arc<Sources>) -> Story {
        Story { sources, told: Mutex::default() }
    }

    /// Other code runs from now on.
    pub(crate) fn begin(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The lines for the terminal.
    pub(crate) fn tell(&self, function: &str, lines: &[u8]) -> Vec<Vec<(Style, String)>> {
        let text = String::from_utf8_lossy(lines);
        let lines = text.lines().filter(|line| !is_ours(line));
        lines.filter_map(|line| self.line(function, line)).collect()
    }

    fn line(&self, function: &str, line: &str) -> Option<Vec<(Style, String)>> {
        let mut parts = line.splitn(4, '\t');
        let stamped = (parts.next(), parts.next(), parts.next(), parts.next());
        let (level, text) = match stamped {
            (Some(time), Some(_), Some(level), Some(text)) if is_stamp(time) => (level, text),
            _ => ("", without_stamp(line)),
        };
        if level == "ERROR"
            && let Some((title, logged)) = logged(text)
        {
            let is_told = title == INIT && self.is_told(function, text);
            return (!is_told).then(|| self.error(function, &logged));
        }
        let style = match level {
            "WARN" => Style::Warn,
            "ERROR" | "FATAL" => Style::Bad,
            "DEBUG" | "TRACE" => Style::Dim,
            _ if text.starts_with("[ERROR]") => Style::Bad,
            _ => Style::Plain,
        };
        // A line of a log has carriage returns for those of the text.
        let (said, indent) = (self.sources.named(text), format!("\n  {:width$}", "", width = function.len() + 2));
        let mut told = vec![prefix(function), (style, said.replace('\r', &indent))];
        if text.starts_with("[ERROR]")
            && let Some(frame) =
                text.split('\r').filter_map(|line| self.sources.frame(Some(function), line)).next_back()
        {
            told.push((Style::Plain, format!("\n{}", indented(&frame))));
        }
        Some(told)
    }

    fn is_told(&self, function: &str, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(function.to_owned(), text.to_owned()).is_some_and(|before| before == text)
    }

    fn error(&self, function: &str, logged: &Logged) -> Vec<(Style, String)> {
        let Logged { error_type, error_message, stack } = logged;
        let mut told = vec![prefix(function), (Style::Bad, error_type.clone())];
        told.push((Style::Plain, format!(": {}", error_message.replace('\n', "\n  "))));
        let frame = stack.iter().find_map(|line| self.sources.frame(Some(function), line));
        // The first line says what was said, and the lines of the source are better than the one of a syntax error.
        let said = stack.iter().skip(1 + error_message.matches('\n').count());
        let said = said.filter(|line| frame.is_none() || is_call(line)).filter(|line| !is_runtimes(line));
        for line in said {
            told.push((Style::Dim, format!("\n{}", self.sources.named(line))));
        }
        if let Some(frame) = frame {
            told.push((Style::Plain, format!("\n{}", indented(&frame))));
        }
        told
    }
}

/// Whether a line of a stack says where somebody was called.
pub(super) fn is_call(line: &str) -> bool {
    line.trim_start().starts_with("at ")
}

/// Whether it is one of the runtime's own, which say nothing to whoever wrote the handler.
pub(super) fn is_runtimes(line: &str) -> bool {
    RUNTIME.iter().any(|own| line.contains(own))
}

fn prefix(function: &str) -> (Style, String) {
    (Style::Dim, format!("  [{function}] "))
}

fn indented(frame: &str) -> String {
    frame.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// The error in `Invoke Error \t{"errorType":…}` and its like.
fn logged(text: &str) -> Option<(&'static str, Logged)> {
    let (title, json) = text.split_once(" \t")?;
    let title = TITLES.into_iter().find(|known| *known == title)?;
    Some((title, serde_json::from_str(json).ok()?))
}

/// Lambda's lines around an invocation, and what the line of the request says.
fn is_ours(line: &str) -> bool {
    let of_failure = line.strip_prefix(ID).and_then(|rest| rest.get(ID_LENGTH..));
    OURS.iter().any(|ours| line.starts_with(ours))
        || of_failure.is_some_and(|rest| rest.starts_with(" Error: "))
        || KINDS.iter().any(|kind| line.starts_with(kind) && !line.contains([' ', ':']))
}

/// What the edge writes into a function's log itself.
fn without_stamp(line: &str) -> &str {
    let of_request = line.strip_prefix(ID).and_then(|rest| rest.get(ID_LENGTH + 1..));
    let timed =
        line.get(..STAMP.len()).filter(|time| is_stamp(time)).and_then(|_| line.get(STAMP.len() + ID_LENGTH + 2..));
    of_request.or(timed).unwrap_or(line)
}

fn is_stamp(text: &str) -> bool {
    text.len() == STAMP.len() && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

const ID: &str = "RequestId: ";
const ID_LENGTH: usize = 36;
const INIT: &str = "Uncaught Exception";
const KINDS: [&str; 2] = ["Runtime.", "Function."];
const STAMP: &str = "2026-11-28T12:00:00.000Z";
const TITLES: [&str; 3] = ["Invoke Error", INIT, "Unhandled Promise Rejection"];
const OURS: [&str; 5] =
    ["START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_REPORT ", "RESTORE_REPORT "];
const RUNTIME: [&str; 3] = ["(ext:", "at ext:", "at async ext:"];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<String> {
        let told = Story::new(Arc::default()).tell("f", line.as_bytes());
        told.into_iter().map(|line| line.into_iter().map(|(_, piece)| piece).collect()).collect()
    }

    #[test]
    fn the_lines_around_an_invocation_are_left_out() {
        let lines = "START RequestId: 1 Version: 1\n2026-11-28T12:00:00.000Z\t1\tINFO\thello\rthere\nplain\n\
                     END RequestId: 1\nREPORT RequestId: 1\tDuration: 1.00 ms\n";
        assert_eq!(told(lines), ["  [f] hello\n     there", "  [f] plain"]);
    }

    #[test]
    fn an_error_is_its_message_and_its_own_lines_of_the_stack() {
        let line = "2026-11-28T12:00:00.000Z\t1\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"no\",\
                    \"stack\":[\"TypeError: no\",\"    at h (file:///x/a.mjs:1:2)\",\"    at run (ext:runtime/a.js:1:1)\"]}\n";
        assert_eq!(told(line), ["  [f] TypeError: no\n    at h (file:///x/a.mjs:1:2)"]);
    }

    #[test]
    fn what_looks_like_an_error_and_is_none_stays_as_it_is() {
        for text in ["Invoke Error \tnot json", "console.error", "Other \t{}"] {
            let line = format!("2026-11-28T12:00:00.000Z\t1\tERROR\t{text}");
            assert_eq!(told(&line), [format!("  [f] {text}")]);
        }
    }

    #[test]
    fn the_same_error_of_an_init_phase_is_told_once_for_each_code() {
        let story = Story::new(Arc::default());
        let line =
            "2026-11-28T12:00:00.000Z\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\"Error\",\"stack\":[]}";
        assert_eq!(story.tell("f", line.as_bytes()).len(), 1);
        assert_eq!(story.tell("f", line.as_bytes()).len(), 0);
        assert_eq!(story.tell("g", line.as_bytes()).len(), 1);
        story.begin();
        assert_eq!(story.tell("f", line.as_bytes()).len(), 1);
    }

    #[test]
    fn what_the_edge_says_of_a_failure_is_said_without_ids() {
        let id = "00000000-0000-4000-8000-000000000007";
        let lines = format!(
            "2026-11-28T12:00:00.000Z {id} Task timed out after 1.00 seconds\nRequestId: {id} JavaScript was at\n\
             RequestId: {id} Error: no\nRuntime.ExitError\n"
        );
        assert_eq!(told(&lines), ["  [f] Task timed out after 1.00 seconds", "  [f] JavaScript was at"]);
    }
}
