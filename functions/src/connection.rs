//! An execution environment seen from the PoP: its socket, its process, its
//! memory, its place in the pool. Dropping one ends the process and removes its
//! private directory.

use crate::channel::Channel;
use crate::cpu::{Near, Pace};
use crate::leaving::{self, Exit, Last};
use crate::log_lines;
use crate::parent::Child;
use crate::phase::Phase;
use crate::pool::Place;
use crate::scratch::Holder;
use crate::template::BuildError;
use crate::watch::{Memory, over_memory};
use bytes::{Bytes, BytesMut};
use environment::frame::Reason;
use environment::limits::KILL_GRACE;
use environment::{Frame, FrameDecoder, Outcome, Suspension};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

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
    /// Where debuggers may attach.
    pub(crate) suspension: Option<Arc<Suspension>>,
    tmp: PathBuf,
    /// Whether it has extensions, which are told of its end, and why that is.
    lingers: bool,
    reason: Reason,
    memory_mb: u32,
    /// When its programs were last looked at while they rest, and the processor time that they had used at first.
    at_rest: Option<(Instant, Duration)>,
    exit: Exit,
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
    pub(crate) exit: Exit,
    pub(crate) suspension: Option<Arc<Suspension>>,
}

impl Environment {
    /// Takes over a forked environment; `tmp` is its private directory.
    pub(crate) fn new(forked: Forked, shared_bytes: u64, tmp: PathBuf, place: Place<Environment>) -> Environment {
        let Forked { channel, child, pace, scratch, exit, suspension, .. } = forked;
        let (lingers, reason, memory_mb) = (false, Reason::Spindown, 0);
        let memory = Memory::of(&child, shared_bytes);
        let (decoder, out, idle_lines) = (FrameDecoder::default(), BytesMut::new(), Vec::new());
        let look = Box::pin(sleep_until(Instant::now()));
        let near = Near::default();
        Environment {
            channel,
            decoder,
            out,
            look,
            child,
            memory,
            pace,
            near,
            idle_lines,
            scratch,
            suspension,
            tmp,
            lingers,
            reason,
            memory_mb,
            at_rest: None,
            exit,
            place,
        }
    }

    /// Whether a debugger is attached, or was since what it does has begun.
    pub(crate) fn are_limits_suspended(&self) -> bool {
        self.suspension.as_ref().is_some_and(|suspension| suspension.holds())
    }

    /// What it has at a deadline to end by itself. Programs are not asked to.
    pub(crate) fn grace(&self) -> Duration {
        if self.child.household.is_some() { Duration::ZERO } else { KILL_GRACE }
    }

    /// Ends it, at once where it has no extensions.
    pub(crate) fn end(&mut self, reason: Reason) {
        self.reason = reason;
        if !self.lingers {
            self.child.kill();
        }
    }

    /// What an environment with extensions hears of an invocation that is over, when it hears again.
    pub(crate) fn report(&mut self, report: &log_lines::Report, outcome: &Outcome) {
        if self.lingers {
            // It has few bytes.
            let _ = Frame::Report(report.told(outcome)).encode(&mut self.out);
        }
    }

    /// Holds up the end of the PoP for an environment that has answered and not done, up to a bound.
    pub(crate) fn leaving(&self) -> Option<leaving::Place> {
        self.exit.leaving.place()
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.lingers = false;
        self.child.kill();
    }

    /// Hands it over to whoever tells its extensions.
    fn linger(&mut self) {
        let household = self.child.household.clone();
        let runtime = tokio::runtime::Handle::try_current();
        let (Ok(runtime), Ok(socket), Some(household), Some(place)) =
            (runtime, self.channel.duplicate(), household, self.exit.leaving.place())
        else {
            return;
        };
        let memory = std::mem::replace(&mut self.memory, Memory::of_nobody());
        let (process, reason, memory_mb) = (self.child.handle(), self.reason, self.memory_mb);
        let (exit, out) = (self.exit.clone(), self.out.split());
        self.child.let_go();
        runtime.spawn(Last { process, household, socket, out, reason, memory, memory_mb, exit, place }.run());
    }

    /// From here until [`Environment::wake`] no program of it runs, as in Lambda. Engines stand still by
    /// themselves: they wait for the next frame.
    pub(crate) fn rest(&self) {
        if self.child.household.is_some() {
            self.child.stop();
        }
    }

    /// Before its next invocation.
    pub(crate) fn wake(&mut self) {
        self.at_rest = None;
        if self.child.household.is_some() {
            self.child.go_on();
        }
    }

    /// Whether its programs stand still: those of an idle environment are stopped, and cannot go on by themselves.
    pub(crate) fn stands_still(&mut self) -> bool {
        if self.child.household.is_none() {
            return true;
        }
        if self.at_rest.is_some_and(|(looked, _)| looked.elapsed() < LOOK_AT_REST_EVERY) {
            return true;
        }
        let Some(used) = self.pace.cpu_time(&self.child) else { return false };
        let before = self.at_rest.map_or(used, |(_, before)| before);
        self.at_rest = Some((Instant::now(), before));
        let stands = used.saturating_sub(before) <= AT_REST_MAX;
        if !stands {
            tracing::warn!(function = %self.exit.function, "an idle environment's programs ran, it is ended");
        }
        stands
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
        let limit = phase.limit() + self.grace();
        self.memory_mb = memory_mb;
        let over = over_memory(Memory::of(&self.child, self.memory.shared_bytes()), memory_mb);
        let (of_time, of_memory) = (self.suspension.clone(), self.suspension.clone());
        tokio::select! {
            ready = self.ready_frame(phase, memory_mb, log) => ready,
            () = unless_suspended(of_time, sleep(limit)) => Err(phase.failed(phase.timed_out())),
            () = unless_suspended(of_memory, over) => Err(phase.failed(phase.out_of_memory(memory_mb))),
        }
    }

    async fn ready_frame(&mut self, phase: Phase, memory_mb: u32, log: &mut BytesMut) -> Result<(), BuildError> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Ready { .. })) => return Ok(()),
                Ok(Some(Frame::Lingers)) => self.lingers = true,
                Ok(Some(Frame::InitFailed(error))) => return Err(phase.failed(error)),
                Ok(Some(Frame::Log(line))) => crate::log_lines::put_line(log, &line),
                Ok(Some(Frame::Stopped(text))) => {
                    text.split(|byte| *byte == b'\n').for_each(|line| crate::log_lines::put_line(log, line));
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

/// Waits for a limit; for ever when a debugger has suspended that by then.
async fn unless_suspended(suspension: Option<Arc<Suspension>>, limit: impl Future<Output = ()>) {
    limit.await;
    if suspension.is_some_and(|suspension| suspension.holds()) {
        std::future::pending().await
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if self.lingers {
            self.linger();
        } else {
            self.child.kill();
        }
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

const LOOK_AT_REST_EVERY: Duration = Duration::from_secs(5);
/// What stopping takes, and the clock's step.
const AT_REST_MAX: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 16 * 1024;
const OUT_BYTES_KEPT: usize = 64 * 1024;
const IDLE_READS_MAX: usize = 64;
