//! One run of a handler, as the caller sees it once it is over.

use bytes::Bytes;
use environment::Outcome;
use std::time::Duration;
use uuid::Uuid;

/// How one invocation went.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request id: in START, END and REPORT, and `context.awsRequestId`.
    pub id: Uuid,
    pub outcome: Outcome,
    /// From the moment the event was written to the environment until its answer was read.
    pub duration: Duration,
    /// Time this invocation spent on making an environment; `None` when an idle one was used.
    pub init: Option<Duration>,
    /// Mebibytes, the most seen; see `watch` for what is counted.
    pub memory_used_mb: u32,
    /// The end of what it left in the function's log, at most 4 KiB.
    pub log_tail: Bytes,
}

/// AWS: "Invoke", LogResult.
pub(crate) const LOG_TAIL_BYTES_MAX: usize = 4 * 1024;

/// The end of `earlier` and `lines`. Copies nothing when one of them is enough.
pub(crate) fn log_tail(earlier: &Bytes, lines: &Bytes) -> Bytes {
    let end = |bytes: &Bytes| bytes.slice(bytes.len().saturating_sub(LOG_TAIL_BYTES_MAX)..);
    if earlier.is_empty() || lines.len() >= LOG_TAIL_BYTES_MAX {
        return end(lines);
    }
    if lines.is_empty() {
        return earlier.clone();
    }
    end(&Bytes::from([&earlier[..], &lines[..]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end_of_all_that_was_written() {
        let (one, two) = (Bytes::from_static(b"one\n"), Bytes::from_static(b"two\n"));
        assert_eq!(log_tail(&Bytes::new(), &one), one);
        assert_eq!(log_tail(&one, &Bytes::new()), one);
        assert_eq!(&log_tail(&one, &two)[..], b"one\ntwo\n");
        let long = Bytes::from(vec![b'x'; LOG_TAIL_BYTES_MAX]);
        assert_eq!(log_tail(&one, &long), long);
        let tail = log_tail(&long, &two);
        assert!(tail.len() == LOG_TAIL_BYTES_MAX && tail.ends_with(b"xtwo\n"));
    }
}
