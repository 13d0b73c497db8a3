//! The functions' logs as they are read: lines with their places and times. `log` writes
//! them, and beside each file when what stands in it was written.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The logs of a data directory.
#[derive(Clone, Debug)]
pub struct Logs {
    directory: PathBuf,
}

/// One function's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    pub function: String,
    pub bytes: u64,
    /// When the oldest that is kept was written; Unix time, milliseconds.
    pub since_ms: u64,
    /// When the newest was.
    pub until_ms: u64,
}

/// Where a line begins: in which file, which a rename does not change, and at which byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    pub file: u64,
    pub offset: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub place: LogPlace,
    /// Where the next one will begin.
    pub end: LogPlace,
    /// When it was written, to a few milliseconds; Unix time, milliseconds.
    pub at_ms: u64,
    /// Without its end; what is not UTF-8 is replaced.
    pub text: String,
}

impl Logs {
    /// Those below `data_dir`.
    #[must_use]
    pub fn of(data_dir: &Path) -> Logs {
        Logs { directory: data_dir.join("logs") }
    }

    /// Every function that has a log, in order of their names.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(&self) -> io::Result<Vec<LogSummary>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).filter(|_| has_extension(&path, CURRENT));
            let Some(function) = name else { continue };
            let files = self.files(function)?;
            let bytes = files.iter().map(|file| file.bytes).sum();
            let since_ms = files.first().map_or(0, |file| file.times.first().map_or(file.changed_ms, |time| time.0));
            let until_ms = files.last().map_or(0, |file| file.times.last().map_or(file.changed_ms, |time| time.0));
            all.push(LogSummary { function: function.to_owned(), bytes, since_ms, until_ms });
        }
        all.sort_by(|one, other| one.function.cmp(&other.function));
        Ok(all)
    }

    /// Gives the lines of a function to `take`, the oldest first, from `from` on where that is still
    /// there, and none that was written before `since_ms`, until it says that it has enough.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(
        &self,
        function: &str,
        from: Option<LogPlace>,
        since_ms: u64,
        mut take: impl FnMut(LogLine) -> bool,
    ) -> io::Result<()> {
        let files = self.files(function)?;
        let begun = from.and_then(|from| files.iter().position(|file| file.number == from.file));
        for file in &files[begun.unwrap_or(0)..] {
            let given = from.filter(|from| from.file == file.number).map_or(0, |from| from.offset);
            let start = given.max(file.offset_at(since_ms));
            if !file.read(start, since_ms, &mut take)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The older one first.
    fn files(&self, function: &str) -> io::Result<Vec<LogFile>> {
        let mut files = Vec::new();
        for (lines, times) in [(OLDER, OLDER_TIMES), (CURRENT, TIMES)] {
            let path = self.directory.join(format!("{function}.{lines}"));
            let times = self.directory.join(format!("{function}.{times}"));
            match LogFile::open(path, &times) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

/// One file, and when which part of it was written.
struct LogFile {
    path: PathBuf,
    number: u64,
    bytes: u64,
    changed_ms: u64,
    /// Unix time in milliseconds, and where what was written then begins.
    times: Vec<(u64, u64)>,
}

impl LogFile {
    fn open(path: PathBuf, times: &Path) -> io::Result<LogFile> {
        let metadata = std::fs::metadata(&path)?;
        let changed = metadata.modified()?;
        let times = std::fs::read(times).unwrap_or_default();
        let (entries, _) = times.as_chunks::<TIME_BYTES>();
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let times = entries.iter().map(|entry| (number(&entry[..8]), number(&entry[8..]))).collect();
        Ok(LogFile { path, number: metadata.ino(), bytes: metadata.len(), changed_ms: unix_ms(changed), times })
    }

    /// Where the first that was written at `since_ms` or later begins, or earlier.
    fn offset_at(&self, since_ms: u64) -> u64 {
        let after = self.times.partition_point(|(at, _)| *at < since_ms);
        self.times.get(after).map_or_else(|| self.times.last().map_or(0, |(_, offset)| *offset), |(_, offset)| *offset)
    }

    fn time_of(&self, offset: u64) -> u64 {
        let after = self.times.partition_point(|(_, begins)| *begins <= offset);
        after.checked_sub(1).map_or(self.changed_ms, |nth| self.times[nth].0)
    }

    /// Whether there may be more.
    fn read(&self, start: u64, since_ms: u64, take: &mut impl FnMut(LogLine) -> bool) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        // Another one may be there by now.
        if file.metadata()?.ino() != self.number {
            return Ok(true);
        }
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new(file);
        let (mut offset, mut line) = (start, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)? as u64;
            // The rest of it is about to be written.
            if line.pop() != Some(b'\n') {
                return Ok(true);
            }
            let (place, at_ms) = (LogPlace { file: self.number, offset }, self.time_of(offset));
            offset += read;
            let end = LogPlace { file: self.number, offset };
            let text = String::from_utf8_lossy(&line).into_owned();
            if at_ms >= since_ms && !take(LogLine { place, end, at_ms, text }) {
                return Ok(false);
            }
        }
    }
}

/// What is written beside a file whenever something is written to it.
pub(crate) fn time_entry(at: SystemTime, offset: u64) -> [u8; TIME_BYTES] {
    let mut entry = [0; TIME_BYTES];
    entry[..8].copy_from_slice(&unix_ms(at).to_le_bytes());
    entry[8..].copy_from_slice(&offset.to_le_bytes());
    entry
}

fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// The extensions of the files of a log.
pub(crate) const CURRENT: &str = "log";
pub(crate) const OLDER: &str = "log.1";
pub(crate) const TIMES: &str = "times";
pub(crate) const OLDER_TIMES: &str = "times.1";
const TIME_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn write(directory: &Path, name: &str, rounds: &[(u64, &str)]) {
        let mut log = File::create(directory.join(name)).unwrap();
        let mut times = File::create(directory.join(name.replace("log", "times"))).unwrap();
        let mut offset = 0;
        for (second, lines) in rounds {
            times.write_all(&time_entry(at(*second), offset)).unwrap();
            log.write_all(lines.as_bytes()).unwrap();
            offset += lines.len() as u64;
        }
    }

    fn texts(
        logs: &Logs,
        from: Option<LogPlace>,
        since_ms: u64,
        most: usize,
    ) -> (Vec<(u64, String)>, Option<LogPlace>) {
        let (mut found, mut next) = (Vec::new(), None);
        logs.read("f", from, since_ms, |line| {
            if found.len() == most {
                next = Some(line.place);
                return false;
            }
            found.push((line.at_ms / 1000, line.text));
            true
        })
        .unwrap();
        (found, next)
    }

    #[test]
    fn lines_are_read_across_both_files_with_their_times_and_on_from_where_one_stopped() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("logs");
        std::fs::create_dir(&directory).unwrap();
        write(&directory, "f.log.1", &[(1, "a\nb\n"), (2, "c\n")]);
        write(&directory, "f.log", &[(3, "d\n"), (4, "e\nunfinished")]);
        let logs = Logs::of(root.path());
        let line = |second: u64, text: &str| (second, text.to_owned());
        let all = [line(1, "a"), line(1, "b"), line(2, "c"), line(3, "d"), line(4, "e")];
        assert_eq!(texts(&logs, None, 0, 9).0, all);
        assert_eq!(texts(&logs, None, 2_000, 9).0, all[2..]);
        assert_eq!(texts(&logs, None, 9_000, 9).0, []);
        let (first, next) = texts(&logs, None, 0, 3);
        assert_eq!(first, all[..3]);
        // What was the current one is the older one by now.
        std::fs::rename(directory.join("f.log"), directory.join("f.log.1")).unwrap();
        std::fs::rename(directory.join("f.times"), directory.join("f.times.1")).unwrap();
        write(&directory, "f.log", &[(5, "g\n")]);
        assert_eq!(texts(&logs, next, 0, 9).0, [line(3, "d"), line(4, "e"), line(5, "g")]);
        let summary = logs.all().unwrap();
        assert_eq!((summary[0].function.as_str(), summary[0].since_ms, summary[0].until_ms), ("f", 3_000, 5_000));
    }
}
