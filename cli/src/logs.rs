//! `selvedge logs`: the end of a function's log, and what is added to it.

use crate::args::LogsArgs;
use crate::exit::{self, Exit};
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

pub(crate) fn logs(args: &LogsArgs) -> anyhow::Result<Exit> {
    let config = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let path = config.server.data_dir.join("logs").join(format!("{}.log", args.function));
    if !path.exists() && !args.follow {
        bail!("there is no {}: function {} has not run yet", path.display(), args.function);
    }
    let mut shown = Shown::default();
    let mut text = shown.more(&path)?;
    text.drain(..start_of_last(&text, args.lines));
    loop {
        let mut out = std::io::stdout().lock();
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            // Whoever read has gone.
            return Ok(Exit::Done);
        }
        if !args.follow {
            return Ok(Exit::Done);
        }
        drop(out);
        std::thread::sleep(LOOK_EVERY);
        text = shown.more(&path)?;
    }
}

/// How far a log was shown.
#[derive(Default)]
struct Shown {
    file: Option<(File, u64)>,
}

impl Shown {
    /// What was written since, first to the file that was there, then to the one in its place.
    fn more(&mut self, path: &Path) -> anyhow::Result<Vec<u8>> {
        let mut text = Vec::new();
        if let Some((file, at)) = &mut self.file {
            *at += read_from(file, *at, &mut text).with_context(|| format!("cannot read {}", path.display()))?;
        }
        let Ok(there) = File::open(path) else { return Ok(text) };
        let inode = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
        if self.file.as_ref().and_then(|(file, _)| inode(file)) != inode(&there) {
            let mut there = there;
            let read =
                read_from(&mut there, 0, &mut text).with_context(|| format!("cannot read {}", path.display()))?;
            self.file = Some((there, read));
        }
        Ok(text)
    }
}

fn read_from(file: &mut File, at: u64, into: &mut Vec<u8>) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(at))?;
    file.read_to_end(into).map(|count| count as u64)
}

/// Where the last `lines` lines begin.
fn start_of_last(text: &[u8], lines: usize) -> usize {
    let ends = text.iter().enumerate().rev().filter(|(at, byte)| **byte == b'\n' && at + 1 < text.len());
    ends.map(|(at, _)| at + 1).nth(lines.saturating_sub(1)).unwrap_or(0)
}

const LOOK_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found() {
        let text = b"1\n2\n3\n";
        assert_eq!(&text[start_of_last(text, 2)..], b"2\n3\n");
        assert_eq!(start_of_last(text, 10), 0);
        assert_eq!(start_of_last(b"", 10), 0);
    }

    #[test]
    fn a_log_that_is_replaced_is_followed_without_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.log");
        let mut shown = Shown::default();
        assert_eq!(shown.more(&path).unwrap(), b"");
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(shown.more(&path).unwrap(), b"one\n");
        let mut old = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        old.write_all(b"two\n").unwrap();
        std::fs::rename(&path, dir.path().join("f.log.1")).unwrap();
        std::fs::write(&path, "three\n").unwrap();
        assert_eq!(shown.more(&path).unwrap(), b"two\nthree\n");
        assert_eq!(shown.more(&path).unwrap(), b"");
    }
}
