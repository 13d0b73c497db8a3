//! The functions' logs: one file per function, written by one thread so that
//! nothing on the request path waits for a disk. Lambda's own text format
//! (AWS: "Lambda runtime log format"): START, the handler's lines, END, REPORT.

use crate::functions::LogSink;
use crate::log_reader::{CURRENT, OLDER, OLDER_TIMES, TIMES, time_entry};
use crate::phase::Phase;
use bytes::{Bytes, BytesMut};
use environment::{ErrorPayload, Outcome, Status};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

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

/// What REPORT says.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) id: Uuid,
    pub(crate) duration: Duration,
    pub(crate) memory_mb: u32,
    pub(crate) memory_used_mb: u32,
    pub(crate) start: Start,
    pub(crate) failure: Option<Failure>,
}

impl Report {
    /// The same for extensions.
    pub(crate) fn told(&self, outcome: &Outcome) -> environment::Report {
        let status = match outcome {
            Outcome::Result(_) => Status::Success,
            Outcome::TimedOut { .. } => Status::Timeout,
            Outcome::Threw(_) | Outcome::ResultTooLarge { .. } => Status::Error,
            _ => Status::Failure,
        };
        let error_type = match (outcome, &self.failure) {
            (Outcome::Threw(error), _) => Some(error.error_type.clone()),
            (_, Some(Failure::Error(kind))) => Some(kind.clone()),
            _ => None,
        };
        environment::Report {
            id: self.id.to_string(),
            status,
            error_type,
            duration_ms: milliseconds(self.duration),
            init_ms: self.start.duration().map(milliseconds),
            memory_used_mb: self.memory_used_mb,
        }
    }
}

/// How the environment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An idle environment was there.
    Warm,
    /// The function's module was loaded for this invocation.
    Init(Duration),
    /// A copy of the initialised template was made.
    Restore(Duration),
}

impl Start {
    /// The time it took, if any.
    pub(crate) fn duration(self) -> Option<Duration> {
        match self {
            Start::Warm => None,
            Start::Init(duration) | Start::Restore(duration) => Some(duration),
        }
    }
}

/// How an invocation or an init phase failed, in its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Timeout,
    Error(String),
}

impl Failure {
    /// Of a phase that ended with this error.
    pub(crate) fn of_phase(error: &ErrorPayload) -> Failure {
        match error.error_type.as_str() {
            ErrorPayload::INIT_TIMED_OUT => Failure::Timeout,
            kind => Failure::Error(kind.to_owned()),
        }
    }
}

/// Appends the START line.
pub(crate) fn put_start(out: &mut BytesMut, id: Uuid, version: &str) {
    put(out, format_args!("START RequestId: {id} Version: {version}\n"));
}

/// Appends one line as given; newlines inside become carriage returns, as in CloudWatch.
pub(crate) fn put_line(out: &mut BytesMut, line: &[u8]) {
    let start = out.len();
    out.extend_from_slice(line);
    for byte in &mut out[start..] {
        if *byte == b'\n' {
            *byte = b'\r';
        }
    }
    out.extend_from_slice(b"\n");
}

/// Appends a line the service writes itself, with time and request id.
pub(crate) fn put_notice(out: &mut BytesMut, id: Uuid, notice: &str) {
    let now = time::OffsetDateTime::now_utc();
    put(
        out,
        format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {id} {notice}\n",
            now.year(),
            u8::from(now.month()),
            now.day(),
            now.hour(),
            now.minute(),
            now.second(),
            now.millisecond()
        ),
    );
}

/// Appends END and REPORT.
pub(crate) fn put_end(out: &mut BytesMut, report: &Report) {
    let id = report.id;
    let ms = milliseconds(report.duration);
    put(
        out,
        format_args!(
            "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {ms:.2} ms\tBilled Duration: {} ms\t\
             Memory Size: {} MB\tMax Memory Used: {} MB\t",
            ms.ceil().max(1.0),
            report.memory_mb,
            report.memory_used_mb
        ),
    );
    match report.start {
        Start::Warm => {}
        Start::Init(took) => put(out, format_args!("Init Duration: {:.2} ms\t", milliseconds(took))),
        Start::Restore(took) => put(out, format_args!("Restore Duration: {:.2} ms\t", milliseconds(took))),
    }
    if let Some(failure) = &report.failure {
        put_status(out, failure);
    }
    put(out, format_args!("\n"));
}

/// Appends the line of an init phase that no invocation waited for.
pub(crate) fn put_init(out: &mut BytesMut, took: Duration) {
    put(out, format_args!("INIT_REPORT Init Duration: {:.2} ms\tPhase: init\tStatus: success\n", milliseconds(took)));
}

/// Appends the line that a failed phase before the first invocation leaves.
pub(crate) fn put_phase_report(out: &mut BytesMut, phase: Phase, took: Duration, failure: &Failure) {
    let ms = milliseconds(took);
    match phase {
        Phase::Init => put(out, format_args!("INIT_REPORT Init Duration: {ms:.2} ms\tPhase: init\t")),
        Phase::Restore => put(out, format_args!("RESTORE_REPORT Restore Duration: {ms:.2} ms\t")),
    }
    put_status(out, failure);
    put(out, format_args!("\n"));
}

fn put_status(out: &mut BytesMut, failure: &Failure) {
    match failure {
        Failure::Timeout => put(out, format_args!("Status: timeout")),
        Failure::Error(kind) => put(out, format_args!("Status: error\tError Type: {kind}")),
    }
}

fn put(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes every line");
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
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

    fn report(start: Start, failure: Option<Failure>) -> String {
        let mut out = BytesMut::new();
        let duration = Duration::from_micros(12_340);
        put_end(
            &mut out,
            &Report { id: Uuid::from_u128(1), duration, memory_mb: 128, memory_used_mb: 64, start, failure },
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn report_is_lambdas_line() {
        let id = Uuid::from_u128(1);
        assert_eq!(
            report(Start::Warm, None),
            format!(
                "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: 12.34 ms\tBilled Duration: 13 ms\t\
                 Memory Size: 128 MB\tMax Memory Used: 64 MB\t\n"
            )
        );
    }

    #[test]
    fn report_names_init_and_status() {
        let text = report(Start::Init(Duration::from_millis(150)), Some(Failure::Timeout));
        assert!(text.ends_with("Max Memory Used: 64 MB\tInit Duration: 150.00 ms\tStatus: timeout\n"), "{text}");
        let failure = Failure::Error("Runtime.ExitError".into());
        let text = report(Start::Restore(Duration::from_micros(1500)), Some(failure));
        assert!(text.ends_with("Restore Duration: 1.50 ms\tStatus: error\tError Type: Runtime.ExitError\n"), "{text}");
    }

    #[test]
    fn a_line_stays_one_line() {
        let mut out = BytesMut::new();
        put_line(&mut out, b"first\nsecond");
        assert_eq!(&out[..], b"first\rsecond\n");
    }

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
