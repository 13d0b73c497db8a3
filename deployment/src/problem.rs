//! What is wrong with a configuration file, and where. Checks write into
//! [`Findings`]; callers of the crate see [`Problems`].

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; `None` when the file as a whole is meant.
    pub line: Option<usize>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.message),
            None => write!(f, "{}: {}", self.file.display(), self.message),
        }
    }
}

/// Everything that is wrong, one problem a line when displayed; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(crate) fn of_file(file: &Path, message: String) -> Problems {
        Problems(vec![Problem { file: file.to_path_buf(), line: None, message }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is checked.
pub(crate) struct Findings<'a> {
    file: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Findings<'a> {
        Findings { file, text, problems: Vec::new() }
    }

    /// Notes a problem at the line where `span` starts.
    pub(crate) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        let start = span.start.min(self.text.len());
        let line = self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        self.problems.push(Problem { file: self.file.to_path_buf(), line: Some(line), message: message.into() });
    }

    /// How many problems were noted so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// `Ok` when nothing was noted; otherwise every problem in the order of the lines.
    pub(crate) fn finish(mut self) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|problem| problem.line);
        Err(Problems(self.problems))
    }
}
