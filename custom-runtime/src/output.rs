//! What the function's programs and its extensions write to their standard streams, cut into lines.

use crate::telemetry::Source;
use crate::watched::watch;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// All streams of an environment.
pub(crate) struct Outputs {
    streams: [(Source, Output); 4],
}

impl Outputs {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new(function: [PipeReader; 2], extensions: [PipeReader; 2]) -> io::Result<Outputs> {
        let ([first, second], [third, fourth]) = (function, extensions);
        let stream = |source, pipe| Ok::<_, io::Error>((source, Output::new(pipe)?));
        let streams = [
            stream(Source::Function, first)?,
            stream(Source::Function, second)?,
            stream(Source::Extension, third)?,
            stream(Source::Extension, fourth)?,
        ];
        Ok(Outputs { streams })
    }

    /// Returns once there is something to read.
    pub(crate) async fn readable(&self) {
        let [(_, first), (_, second), (_, third), (_, fourth)] = &self.streams;
        tokio::select! {
            () = first.readable() => {}
            () = second.readable() => {}
            () = third.readable() => {}
            () = fourth.readable() => {}
        }
    }

    /// Passes on the lines that are there.
    pub(crate) fn take(&mut self, whole: Whole, mut line: impl FnMut(Source, &[u8])) {
        for (source, output) in &mut self.streams {
            let mut line = |text: &[u8]| line(*source, text);
            output.take(&mut line);
            if whole == Whole::AndBegun {
                output.flush(&mut line);
            }
        }
    }
}

/// How much of what was written is passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    Lines,
    AndBegun,
}

/// One stream.
struct Output {
    pipe: Option<AsyncFd<OwnedFd>>,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

impl Output {
    /// Must be called inside a tokio runtime.
    fn new(pipe: impl Into<OwnedFd>) -> io::Result<Output> {
        let pipe: OwnedFd = pipe.into();
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Output { pipe: Some(watch(pipe)?), begun: Vec::new() })
    }

    /// Returns once there is something to read, or never when the stream has ended.
    async fn readable(&self) {
        let Some(pipe) = &self.pipe else { return std::future::pending().await };
        // Stays ready until everything is taken.
        let _ = pipe.readable().await;
    }

    /// Takes what is there, up to a bound, and passes on its whole lines.
    fn take(&mut self, line: &mut impl FnMut(&[u8])) {
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..CHUNKS_MAX {
            let Some(pipe) = &self.pipe else { return };
            // Also what the poller has not told of yet.
            match nix::unistd::read(pipe.get_ref(), &mut chunk) {
                Ok(0) => {
                    self.flush(line);
                    self.pipe = None;
                }
                Ok(length) => self.cut(&chunk[..length], line),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let nothing: io::Result<()> = pipe.try_io(Interest::READABLE, |_| Err(Errno::EAGAIN.into()));
                    drop(nothing);
                    return;
                }
                Err(_) => self.pipe = None,
            }
        }
    }

    /// Passes on a line that has no end: its invocation has.
    fn flush(&mut self, line: &mut impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            line(&self.begun);
            self.begun.clear();
        }
    }

    fn cut(&mut self, bytes: &[u8], line: &mut impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") || self.begun.len() >= LINE_BYTES_MAX {
                line(&self.begun);
                self.begun.clear();
            }
        }
    }
}

const CHUNK_BYTES: usize = 16 * 1024;

/// So that a flood leaves time for the rest.
const CHUNKS_MAX: usize = 16;

/// A longer one becomes several.
const LINE_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(output: &mut Output) -> Vec<String> {
        let mut lines = Vec::new();
        output.take(&mut |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap()));
        lines
    }

    #[tokio::test]
    async fn lines_are_cut_at_their_ends_wherever_the_writes_were() {
        let (read, mut write) = io::pipe().unwrap();
        let mut output = Output::new(read).unwrap();
        write.write_all(b"one\ntw").unwrap();
        output.readable().await;
        assert_eq!(lines(&mut output), ["one"]);
        write.write_all(b"o\n\nthr").unwrap();
        output.readable().await;
        assert_eq!(lines(&mut output), ["two", ""]);
        let mut rest = Vec::new();
        output.flush(&mut |line: &[u8]| rest.extend_from_slice(line));
        assert_eq!(rest, b"thr");
        write.write_all(b"last").unwrap();
        drop(write);
        output.readable().await;
        assert_eq!(lines(&mut output), ["last"]);
        assert!(output.pipe.is_none());
    }
}
