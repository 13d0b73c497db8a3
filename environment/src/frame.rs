//! Frames on an environment's socket: `u32` little-endian length, one byte kind,
//! then the frame's bytes. The event and the result are JSON bytes that nobody
//! on the way parses.

use crate::limits::FRAME_BYTES_MAX;
use crate::outcome::ErrorPayload;
use crate::report::Report;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// One message on an environment's socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// PoP to environment: run the handler once.
    Invoke { id: Uuid, deadline_unix_ms: u64, event: Bytes },
    /// PoP to environment, first, when the function is a custom runtime. Attached: a socket whose every packet
    /// brings one connection to the Runtime API.
    Door,
    /// PoP to environment, first, when the manifest says that it may be inspected. Attached: the stream socket of
    /// [`crate::inspector`].
    Inspector,
    /// Environment to PoP, before it is ready: it has extensions, which are to hear of its end.
    Lingers,
    /// PoP to environment that lingers: it ends, within `limits::SHUTDOWN_MAX`.
    Shutdown(Reason),
    /// Environment to PoP, once, by environments that loaded the code themselves.
    Ready { init_ms: f64 },
    /// Environment to PoP: the init phase failed; the environment exits.
    InitFailed(ErrorPayload),
    /// One line of the function's log, without a trailing newline.
    Log(Bytes),
    /// The handler's result: JSON bytes. The environment is idle again, a custom runtime's once it says so.
    Result(Bytes),
    /// The handler failed. The environment stays usable unless it closes.
    Error(ErrorPayload),
    /// The result did not fit. The environment is idle again, as above.
    ResultTooLarge { bytes: u64 },
    /// Custom runtime to PoP, after its answer: its program and all extensions wait for the next event.
    Done,
    /// PoP to environment that lingers: what REPORT says of its last invocation.
    Report(Report),
    /// The environment stopped the handler and is about to end: text for the log, one line that says
    /// where the handler was, or why that is not known, and the stack's lines.
    Stopped(Bytes),
    /// The environment is about to end on its own (`process.exit`, uncaught
    /// exception, out of heap) with this reason; the close follows.
    Exiting(Exiting),
}

/// Why an environment ends on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exiting {
    /// `process.exit(code)`, or the code after an uncaught exception (129) or rejection (128).
    Code(i32),
    /// A signal ended a custom runtime's program.
    Signal(i32),
    /// The heap or array-buffer limit inside the environment was reached.
    OutOfMemory,
    /// The watchdog inside terminated the handler at its deadline.
    Deadline,
}

/// Why an environment is ended, as extensions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody needs it any more.
    Spindown,
    Timeout,
    Failure,
}

impl Reason {
    /// AWS: "Extensions API reference", shutdownReason.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Reason::Spindown => "spindown",
            Reason::Timeout => "timeout",
            Reason::Failure => "failure",
        }
    }
}

/// A frame that cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    #[error("frame of kind {kind} has a malformed body of {length} bytes")]
    Malformed { kind: u8, length: usize },
}

const INVOKE: u8 = 1;
const READY: u8 = 2;
const INIT_FAILED: u8 = 3;
const LOG: u8 = 4;
const RESULT: u8 = 5;
const ERROR: u8 = 6;
const RESULT_TOO_LARGE: u8 = 7;
const EXITING: u8 = 8;
const STOPPED: u8 = 9;
const DOOR: u8 = 10;
const LINGERS: u8 = 11;
const SHUTDOWN: u8 = 12;
const INSPECTOR: u8 = 13;
const DONE: u8 = 14;
const REPORT: u8 = 15;

const HEADER: usize = 5;

impl Frame {
    /// Appends the frame's bytes to `out`.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when the body is over [`FRAME_BYTES_MAX`]; `out` is unchanged then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        let start = out.len();
        out.put_slice(&[0; HEADER]);
        let kind = self.put_body(out);
        let length = out.len() - start - HEADER;
        let Some(wire_length) = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX) else {
            out.truncate(start);
            return Err(FrameError::TooLarge(length));
        };
        out[start..start + 4].copy_from_slice(&wire_length.to_le_bytes());
        out[start + 4] = kind;
        Ok(())
    }

    fn put_body(&self, out: &mut BytesMut) -> u8 {
        match self {
            Frame::Invoke { id, deadline_unix_ms, event } => {
                out.put_slice(id.as_bytes());
                out.put_u64_le(*deadline_unix_ms);
                out.put_slice(event);
                INVOKE
            }
            Frame::Door => DOOR,
            Frame::Inspector => INSPECTOR,
            Frame::Lingers => LINGERS,
            Frame::Shutdown(reason) => {
                out.put_u8(match reason {
                    Reason::Spindown => 0,
                    Reason::Timeout => 1,
                    Reason::Failure => 2,
                });
                SHUTDOWN
            }
            Frame::Ready { init_ms } => {
                out.put_f64_le(*init_ms);
                READY
            }
            Frame::InitFailed(error) => {
                put_json(out, error);
                INIT_FAILED
            }
            Frame::Log(line) => {
                out.put_slice(line);
                LOG
            }
            Frame::Result(result) => {
                out.put_slice(result);
                RESULT
            }
            Frame::Error(error) => {
                put_json(out, error);
                ERROR
            }
            Frame::ResultTooLarge { bytes } => {
                out.put_u64_le(*bytes);
                RESULT_TOO_LARGE
            }
            Frame::Done => DONE,
            Frame::Report(report) => {
                put_json(out, report);
                REPORT
            }
            Frame::Stopped(text) => {
                out.put_slice(text);
                STOPPED
            }
            Frame::Exiting(exiting) => {
                let (tag, code) = match exiting {
                    Exiting::Code(code) => (0, *code),
                    Exiting::Signal(signal) => (3, *signal),
                    Exiting::OutOfMemory => (1, 0),
                    Exiting::Deadline => (2, 0),
                };
                out.put_u8(tag);
                out.put_i32_le(code);
                EXITING
            }
        }
    }

    fn from_body(kind: u8, mut body: Bytes) -> Result<Frame, FrameError> {
        let length = body.len();
        let malformed = FrameError::Malformed { kind, length };
        match kind {
            INVOKE if length >= 24 => {
                let mut id = [0; 16];
                body.copy_to_slice(&mut id);
                let deadline_unix_ms = body.get_u64_le();
                Ok(Frame::Invoke { id: Uuid::from_bytes(id), deadline_unix_ms, event: body })
            }
            DOOR if length == 0 => Ok(Frame::Door),
            INSPECTOR if length == 0 => Ok(Frame::Inspector),
            LINGERS if length == 0 => Ok(Frame::Lingers),
            SHUTDOWN if length == 1 => match body.get_u8() {
                0 => Ok(Frame::Shutdown(Reason::Spindown)),
                1 => Ok(Frame::Shutdown(Reason::Timeout)),
                2 => Ok(Frame::Shutdown(Reason::Failure)),
                _ => Err(malformed),
            },
            READY if length == 8 => Ok(Frame::Ready { init_ms: body.get_f64_le() }),
            INIT_FAILED => parse_json(&body).map(Frame::InitFailed).ok_or(malformed),
            LOG => Ok(Frame::Log(body)),
            RESULT => Ok(Frame::Result(body)),
            STOPPED => Ok(Frame::Stopped(body)),
            ERROR => parse_json(&body).map(Frame::Error).ok_or(malformed),
            DONE if length == 0 => Ok(Frame::Done),
            REPORT => parse_json(&body).map(Frame::Report).ok_or(malformed),
            RESULT_TOO_LARGE if length == 8 => Ok(Frame::ResultTooLarge { bytes: body.get_u64_le() }),
            EXITING if length == 5 => match (body.get_u8(), body.get_i32_le()) {
                (0, code) => Ok(Frame::Exiting(Exiting::Code(code))),
                (1, _) => Ok(Frame::Exiting(Exiting::OutOfMemory)),
                (2, _) => Ok(Frame::Exiting(Exiting::Deadline)),
                (3, signal) => Ok(Frame::Exiting(Exiting::Signal(signal))),
                _ => Err(malformed),
            },
            INVOKE | DOOR | INSPECTOR | LINGERS | SHUTDOWN | READY | RESULT_TOO_LARGE | DONE | EXITING => {
                Err(malformed)
            }
            unknown => Err(FrameError::UnknownKind(unknown)),
        }
    }
}

fn put_json(out: &mut BytesMut, value: &impl Serialize) {
    serde_json::to_writer(out.writer(), value).expect("strings and numbers always serialise into memory");
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// Cuts frames out of the bytes read from a socket.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    read: BytesMut,
}

impl FrameDecoder {
    /// Where the next bytes read from the socket go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.read
    }

    /// The next whole frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// The peer does not speak the protocol; nothing after this can be trusted.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.read.len() < HEADER {
            return Ok(None);
        }
        let length = u32::from_le_bytes([self.read[0], self.read[1], self.read[2], self.read[3]]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge(length));
        }
        if self.read.len() < HEADER + length {
            self.read.reserve(HEADER + length - self.read.len());
            return Ok(None);
        }
        let kind = self.read[4];
        self.read.advance(HEADER);
        Frame::from_body(kind, self.read.split_to(length).freeze()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    fn all_kinds() -> Vec<Frame> {
        let error = ErrorPayload {
            error_type: "Error".into(),
            error_message: "no".into(),
            trace: vec!["Error: no".into(), "    at handler".into()],
        };
        vec![
            Frame::Invoke { id: Uuid::from_u128(7), deadline_unix_ms: 12, event: Bytes::from_static(b"{}") },
            Frame::Door,
            Frame::Inspector,
            Frame::Lingers,
            Frame::Shutdown(Reason::Spindown),
            Frame::Shutdown(Reason::Timeout),
            Frame::Shutdown(Reason::Failure),
            Frame::Ready { init_ms: 1.5 },
            Frame::InitFailed(error.clone()),
            Frame::Log(Bytes::from_static(b"line")),
            Frame::Result(Bytes::from_static(b"null")),
            Frame::Error(error),
            Frame::ResultTooLarge { bytes: 9 },
            Frame::Done,
            Frame::Report(Report {
                id: "7".into(),
                status: Status::Timeout,
                error_type: None,
                duration_ms: 12.5,
                init_ms: Some(3.25),
                memory_used_mb: 9,
            }),
            Frame::Stopped(Bytes::from_static(b"here\n    at handler")),
            Frame::Exiting(Exiting::Code(129)),
            Frame::Exiting(Exiting::Signal(11)),
            Frame::Exiting(Exiting::OutOfMemory),
            Frame::Exiting(Exiting::Deadline),
        ]
    }

    #[test]
    fn every_kind_survives_the_wire_byte_by_byte() {
        let mut wire = BytesMut::new();
        for frame in all_kinds() {
            frame.encode(&mut wire).unwrap();
        }
        let mut decoder = FrameDecoder::default();
        let mut seen = Vec::new();
        for byte in wire {
            decoder.buffer().put_u8(byte);
            while let Some(frame) = decoder.next_frame().unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(seen, all_kinds());
    }

    #[test]
    fn oversized_length_is_refused_before_it_is_buffered() {
        let mut decoder = FrameDecoder::default();
        decoder.buffer().put_slice(&u32::MAX.to_le_bytes());
        decoder.buffer().put_u8(LOG);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge(u32::MAX as usize)));
    }

    #[test]
    fn unknown_kinds_and_short_bodies_are_errors() {
        for (kind, body, error) in [
            (99, &b""[..], FrameError::UnknownKind(99)),
            (INVOKE, b"short", FrameError::Malformed { kind: INVOKE, length: 5 }),
            (EXITING, b"\x09\0\0\0\0", FrameError::Malformed { kind: EXITING, length: 5 }),
            (ERROR, b"{", FrameError::Malformed { kind: ERROR, length: 1 }),
        ] {
            let mut decoder = FrameDecoder::default();
            decoder.buffer().put_u32_le(u32::try_from(body.len()).unwrap());
            decoder.buffer().put_u8(kind);
            decoder.buffer().put_slice(body);
            assert_eq!(decoder.next_frame(), Err(error));
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_not_sent() {
        let mut out = BytesMut::from(&b"before"[..]);
        let frame = Frame::Result(Bytes::from(vec![b'x'; FRAME_BYTES_MAX + 1]));
        assert_eq!(frame.encode(&mut out), Err(FrameError::TooLarge(FRAME_BYTES_MAX + 1)));
        assert_eq!(&out[..], b"before");
    }
}
