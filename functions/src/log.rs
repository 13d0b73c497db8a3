//! The functions' logs: one file per function, written by one thread so that
//! nothing on the request path waits for a disk.

use crate::functions::LogSink;
use crate::log_reader::{CURRENT, OLDER, OLDER_TIMES, TIMES, time_entry};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, SystemTime};

/// Takes whole lines of any function. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Lines { function: Arc<str>, lines: Bytes },
    Flush(SyncSender<()>),
}

impl Log {
    /// Starts the writer. Files appear in `directory` when a function first writes.
    pub(crate) fn start(directory: PathBuf, sink: LogSink) -> io::Result<Log> {
        std::fs::create_dir_all(&directory)?;
        let (lines, queue) = sync_channel(QUEUE_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer =
            Writer { directory, sink, files: HashMap::new(), waiting: HashMap::new(), dropped: Arc::clone(&dropped) };
        std::thread::Builder::new().name("function-log".into()).spawn(move || writer.run(&queue))?;
        Ok(Log { lines, dropped })
    }

    /// Hands over whole lines, each with its newline. When the writer cannot keep up they are
    /// dropped and counted; a notice in the log says how many.
    pub(crate) fn write(&self, function: &Arc<str>, lines: Bytes) {
        if !lines.is_empty() && self.lines.try_send(Message::Lines { function: Arc::clone(function), lines }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns once everything handed over before is written. Blocks.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

struct Writer {
    directory: PathBuf,
    sink: LogSink,
    files: HashMap<Arc<str>, LogFile>,
    /// Lines of this round, by function.
    waiting: HashMap<Arc<str>, Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

struct LogFile {
    file: File,
    /// When what in it was written: see `log_reader`.
    times: File,
    bytes: u64,
}

impl Writer {
    /// One write per function and round. Between rounds it sleeps, so that whoever hands lines over
    /// meanwhile has nobody to wake: a wake costs an invocation more than its lines do.
    fn run(&mut self, queue: &Receiver<Message>) {
        while let Some(first) = next(queue) {
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Lines { function, lines } => {
                        bytes += lines.len();
                        self.waiting.entry(function).or_default().extend_from_slice(&lines);
                    }
                    Message::Flush(done) => {
                        self.write_waiting();
                        let _ = done.send(());
                    }
                }
                next = if bytes < ROUND_BYTES_MAX { queue.try_recv().ok() } else { None };
            }
            self.write_waiting();
            std::thread::sleep(ROUND_PAUSE);
        }
    }

    fn write_waiting(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for (function, lines) in waiting.drain() {
            if let Err(error) = self.write(&function, &lines) {
                tracing::error!(%error, function = %function, "function log cannot be written");
                self.files.remove(&function);
            }
        }
        self.waiting = waiting;
    }

    fn write(&mut self, function: &Arc<str>, lines: &[u8]) -> io::Result<()> {
        let path = |extension: &str| self.directory.join(format!("{function}.{extension}"));
        if self.files.get(function).is_some_and(|log| log.bytes > FILE_BYTES_MAX) {
            self.files.remove(function);
            // Whoever reads meanwhile finds lines without times, which get that of the file.
            std::fs::rename(path(TIMES), path(OLDER_TIMES))?;
            std::fs::rename(path(CURRENT), path(OLDER))?;
        }
        if !self.files.contains_key(function) {
            self.files.insert(Arc::clone(function), open(&path(CURRENT), &path(TIMES))?);
        }
        let log = self.files.get_mut(function).expect("inserted above");
        log.times.write_all(&time_entry(SystemTime::now(), log.bytes))?;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            log.write(format!("{dropped} writes to function logs were dropped: the disk is too slow\n").as_bytes())?;
        }
        log.write(lines)?;
        match &self.sink {
            LogSink::Files => {}
            LogSink::FilesAndTerminal => copy_to_terminal(function, lines),
            LogSink::FilesAnd(sink) => (sink.0)(function, lines),
        }
        Ok(())
    }
}

/// The first message of a round. It is looked for a while, and waited for after that: then somebody wakes.
fn next(queue: &Receiver<Message>) -> Option<Message> {
    for _ in 0..LOOKS {
        match queue.try_recv() {
            Err(TryRecvError::Empty) => std::thread::sleep(ROUND_PAUSE),
            found => return found.ok(),
        }
    }
    queue.recv().ok()
}

impl LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

fn open(path: &Path, times: &Path) -> io::Result<LogFile> {
    let append = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    let (file, times) = (append(path)?, append(times)?);
    let bytes = file.metadata()?.len();
    Ok(LogFile { file, times, bytes })
}

/// A terminal that is gone is no reason to stop.
fn copy_to_terminal(function: &str, lines: &[u8]) {
    let mut terminal = io::stderr().lock();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let _ = write!(terminal, "[{function}] ");
        let _ = terminal.write_all(line);
    }
}

const QUEUE_MAX: usize = 8192;
const ROUND_PAUSE: Duration = Duration::from_millis(5);
/// A tenth of a second.
const LOOKS: u32 = 20;
const ROUND_BYTES_MAX: usize = 1024 * 1024;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// One older file is kept beside the current one.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_reach_the_functions_own_file_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::start(directory.path().join("logs"), LogSink::Files).unwrap();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        log.write(&a, Bytes::from_static(b"1\n"));
        log.write(&b, Bytes::from_static(b"2\n"));
        log.write(&a, Bytes::from_static(b"3\n"));
        log.flush();
        assert_eq!(std::fs::read(directory.path().join("logs/a.log")).unwrap(), b"1\n3\n");
        assert_eq!(std::fs::read(directory.path().join("logs/b.log")).unwrap(), b"2\n");
    }
}
