//! Invalidations on disk, one JSON object a line, so that what a cache on disk still
//! has stays taken out over a restart.

use crate::cache::invalidation::Item;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    /// Unix time, milliseconds, rounded up: nothing that was there may be forgotten.
    at_ms: u64,
    /// The distribution's id.
    distribution: String,
    items: Vec<String>,
}

impl Journal {
    /// Opens a journal, and makes one that has grown long short again.
    pub(super) fn open(path: &Path) -> io::Result<Journal> {
        let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if length > BYTES_MAX {
            shorten(path)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if std::fs::read(path)?.last().is_some_and(|byte| *byte != b'\n') {
            // A line that a crash cut off must not take the next one with it.
            file.write_all(b"\n")?;
        }
        Ok(Journal { path: path.to_path_buf(), file: Mutex::new(file) })
    }

    /// All that is written down, oldest first.
    pub(super) fn entries(&self) -> io::Result<Vec<(SystemTime, String, Vec<Item>)>> {
        let entries = read(&self.path)?.into_iter().map(|line| {
            let items = line.items.iter().filter_map(|item| Item::parse(item).ok()).collect();
            (UNIX_EPOCH + Duration::from_millis(line.at_ms), line.distribution, items)
        });
        Ok(entries.collect())
    }

    /// Writes one down for good.
    pub(super) fn add(&self, at: SystemTime, distribution: &str, items: &[String]) -> io::Result<()> {
        let line = Line { at_ms: milliseconds(at) + 1, distribution: distribution.to_owned(), items: items.to_vec() };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = self.file.lock();
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }
}

/// What cannot be read was cut off by a crash before anyone was told that it is done.
fn read(path: &Path) -> io::Result<Vec<Line>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        lines.extend(serde_json::from_slice(&line?).ok());
    }
    Ok(lines)
}

/// Takes out everything until now of each distribution that is named, in place of
/// all that was: never too little.
fn shorten(path: &Path) -> io::Result<()> {
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    for line in read(path)? {
        let at_ms = latest.entry(line.distribution).or_default();
        *at_ms = line.at_ms.max(*at_ms);
    }
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    for (distribution, at_ms) in latest {
        let line = Line { at_ms, distribution, items: vec!["/*".to_owned()] };
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
    }
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Longer ones are made short at the next start.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_after_a_restart_and_a_torn_line_takes_nothing_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        journal.add(SystemTime::now(), "E1", &["/a*".into(), "#b".into()]).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at_ms\":17").unwrap();
        Journal::open(&path).unwrap().add(SystemTime::now(), "E2", &["/c".into()]).unwrap();
        let entries = Journal::open(&path).unwrap().entries().unwrap();
        let [(at, first, items), (_, second, _)] = &entries[..] else { panic!("{entries:?}") };
        assert!(*at > SystemTime::now() - Duration::from_secs(60));
        assert_eq!((first.as_str(), second.as_str()), ("E1", "E2"));
        assert_eq!(items[..], [Item::Below("/a".into()), Item::Tag("b".into())]);
    }

    #[test]
    fn a_long_journal_becomes_everything_of_each_distribution() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let line =
            |at_ms: u64, id: &str| format!("{{\"at_ms\":{at_ms},\"distribution\":\"{id}\",\"items\":[\"/a\"]}}\n");
        std::fs::write(&path, [line(1_000, "E1"), line(3_000, "E1"), line(2_000, "E2")].concat()).unwrap();
        shorten(&path).unwrap();
        let entries = Journal::open(&path).unwrap().entries().unwrap();
        let all = || vec![Item::Below("/".into())];
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(entries, [(at(3), "E1".to_owned(), all()), (at(2), "E2".to_owned(), all())]);
    }
}
