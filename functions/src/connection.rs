//! An execution environment seen from the PoP: its socket, its process, its
//! memory, its place in the pool. Dropping one ends the process and removes its
//! private directory.

use crate::channel::Channel;
use crate::cpu::{Near, Pace};
use crate::parent::Child;
use crate::phase::Phase;
use crate::pool::Place;
use crate::scratch::Holder;
use crate::template::BuildError;
use crate::watch::{Memory, over_memory};
use bytes::{Bytes, BytesMut};
use environment::limits::KILL_GRACE;
use environment::{Frame, FrameDecoder};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::{Instant, Sleep, sleep_until};

/// One environment.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) channel: Channel,
    pub(crate) decoder: FrameDecoder,
    /// Bytes still to be written.
    pub(crate) out: BytesMut,
    /// When the running invocation is looked at. Moved from one to the next, because a new timer
    /// wakes the runtime's poller for each.
    pub(crate) look: Pin<Box<Sleep>>,
    pub(crate) child: Child,
    pub(crate) memory: Memory,
    pub(crate) pace: Pace,
    pub(crate) near: Near,
    /// Log lines written while it was idle.
    pub(crate) idle_lines: Vec<Bytes>,
    /// Where its `/tmp` is counted, when that is memory.
    pub(crate) scratch: Option<Arc<Holder>>,
    tmp: PathBuf,
    #[expect(dead_code, reason = "held for as long as the environment lives")]
    place: Place<Environment>,
}

/// A process just made, and the socket it answers on.
#[derive(Debug)]
pub(crate) struct Forked {
    pub(crate) id: u64,
    pub(crate) channel: Channel,
    pub(crate) child: Child,
    pub(crate) pace: Pace,
    pub(crate) scratch: Option<Arc<Holder>>,
}

impl Environment {
    /// Takes over a forked environment; `tmp` is its private directory.
    pub(crate) fn new(forked: Forked, shared_bytes: u64, tmp: PathBuf, place: Place<Environment>) -> Environment {
        let Forked { channel, child, pace, scratch, .. } = forked;
        let memory = Memory::of(child.pid, shared_bytes);
        let (decoder, out, idle_lines) = (FrameDecoder::default(), BytesMut::new(), Vec::new());
        let look = Box::pin(sleep_until(Instant::now()));
        let near = Near::default();
        Environment { channel, decoder, out, look, child, memory, pace, near, idle_lines, scratch, tmp, place }
    }

    /// Whether an idle environment is still there and can run the next invocation. Lines it wrote
    /// meanwhile are kept for that one's log, as in Lambda. Costs no system call unless the socket
    /// has news.
    pub(crate) fn is_usable(&mut self) -> bool {
        for _ in 0..IDLE_READS_MAX {
            if !self.keep_idle_lines() {
                return false;
            }
            match self.channel.try_read(self.decoder.buffer()) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        // It floods its socket while nobody asked it anything.
        false
    }

    /// Whether everything that was read is log lines: an idle environment says nothing else but its end.
    fn keep_idle_lines(&mut self) -> bool {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Log(line))) => self.idle_lines.push(line),
                Ok(None) => return true,
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }

    /// Makes room for a read and drops what an unusually large event left behind.
    pub(crate) fn make_room(&mut self) {
        let buffer = self.decoder.buffer();
        if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        if self.out.is_empty() && self.out.capacity() > OUT_BYTES_KEPT {
            self.out = BytesMut::new();
        }
    }

    /// Waits until an environment has done what it does before its first invocation. Lines it writes
    /// go to `log`.
    pub(crate) async fn ready(&mut self, phase: Phase, memory_mb: u32, log: &mut BytesMut) -> Result<(), BuildError> {
        let over = over_memory(self.child.pid, self.memory.shared_bytes(), memory_mb);
        tokio::select! {
            ready = tokio::time::timeout(phase.limit() + KILL_GRACE, self.ready_frame(phase, memory_mb, log)) => {
                ready.unwrap_or_else(|_| Err(phase.failed(phase.timed_out())))
            }
            () = over => Err(phase.failed(phase.out_of_memory(memory_mb))),
        }
    }

    async fn ready_frame(&mut self, phase: Phase, memory_mb: u32, log: &mut BytesMut) -> Result<(), BuildError> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Ready { .. })) => return Ok(()),
                Ok(Some(Frame::InitFailed(error))) => return Err(phase.failed(error)),
                Ok(Some(Frame::Log(line))) => crate::log::put_line(log, &line),
                Ok(Some(Frame::Stopped(text))) => {
                    text.split(|byte| *byte == b'\n').for_each(|line| crate::log::put_line(log, line));
                }
                Ok(Some(other)) => tracing::debug!(?other, "unexpected frame before ready"),
                Ok(None) => {
                    self.make_room();
                    match self.channel.read(self.decoder.buffer()).await {
                        Ok(length) if length > 0 => {}
                        _ => return Err(phase.ended(self.child.exit().await, memory_mb)),
                    }
                }
                Err(error) => return Err(phase.broken(&error.to_string())),
            }
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.child.kill();
        let tmp = std::mem::take(&mut self.tmp);
        // One that has a /tmp of its own never had this directory.
        if !tmp.exists() {
            return;
        }
        let remove = move || match std::fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, path = %tmp.display(), "private directory stays");
            }
            _ => {}
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

const READ_BYTES: usize = 16 * 1024;
const OUT_BYTES_KEPT: usize = 64 * 1024;
const IDLE_READS_MAX: usize = 64;
