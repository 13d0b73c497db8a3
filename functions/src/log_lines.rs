//! What the PoP itself writes into a function's log, in Lambda's own text format
//! (AWS: "Lambda runtime log format"): START, the handler's lines, END, REPORT.

use crate::phase::Phase;
use bytes::BytesMut;
use environment::{ErrorPayload, Outcome, Status};
use std::fmt::Write as _;
use std::time::Duration;
use uuid::Uuid;

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
}
