//! One invocation while it runs: the event goes out, frames come back, the
//! watch looks now and then. It runs in the caller's own task; when the caller
//! goes away, the rest of it moves to a task of its own.

mod ended;

use crate::ceiling::Admission;
use crate::connection::Environment;
use crate::cpu::Clock;
use crate::failure::{put_failure, put_stopped};
use crate::function::Core;
use crate::invocation::{Invocation, log_tail};
use crate::log_lines::{self, Report, Start};
use crate::watch::{Effort, Watch};
use bytes::{Bytes, BytesMut};
use ended::{Ended, Turn, too_large};
use environment::control::EXIT_OUT_OF_MEMORY;
use environment::frame::{Exiting, Reason};
use environment::limits::{LOG_BYTES_MAX, RESULT_BYTES_MAX};
use environment::{Exit, Frame, FrameError, Language, Outcome};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

pub(crate) use ended::{Lost, Until};

/// An invocation that has an environment.
pub(crate) struct Running {
    active: Option<Box<Active>>,
    detached: bool,
}

struct Active {
    core: Arc<Core>,
    environment: Environment,
    _admission: Admission,
    id: Uuid,
    start: Start,
    started: Instant,
    watch: Watch,
    log: BytesMut,
    /// The end of what left `log` already.
    log_tail: Bytes,
    logged_bytes: usize,
    /// The environment ended without having taken the event.
    untaken: bool,
    /// It wrote a log line.
    spoke: bool,
    /// Where the handler was when the environment stopped it.
    stopped: Option<Bytes>,
    /// What a custom runtime has answered, before its environment has done.
    answer: Option<Outcome>,
}

enum Step {
    Moved,
    Closed,
    Look,
}

impl Running {
    /// Prepares the event for the environment. Nothing is written before [`Running::run`].
    pub(crate) fn new(
        core: Arc<Core>,
        (mut environment, admission): (Environment, Admission),
        start: Start,
        id: Uuid,
        event: Bytes,
    ) -> Result<Running, FrameError> {
        let timeout = core.config.timeout;
        environment.suspension.iter().for_each(|suspension| suspension.begin());
        let deadline = SystemTime::now() + timeout;
        let deadline = deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let deadline_unix_ms = u64::try_from(deadline).unwrap_or(u64::MAX);
        if let Err(error) = (Frame::Invoke { id, deadline_unix_ms, event }).encode(&mut environment.out) {
            environment.rest();
            core.pool.give_back(environment);
            return Err(error);
        }
        let mut log = BytesMut::with_capacity(512);
        log_lines::put_start(&mut log, id, &core.config.version);
        for line in environment.idle_lines.drain(..) {
            log_lines::put_line(&mut log, &line);
        }
        environment.near.begin(environment.child.tasks());
        let started = Instant::now();
        let watch = Watch::new(started, timeout, environment.grace());
        let (untaken, spoke, stopped, answer) = (false, false, None, None);
        let active = Active {
            core,
            environment,
            _admission: admission,
            id,
            start,
            started,
            watch,
            log,
            log_tail: Bytes::new(),
            logged_bytes: 0,
            untaken,
            spoke,
            stopped,
            answer,
        };
        Ok(Running { active: Some(Box::new(active)), detached: false })
    }

    /// Runs to what is waited for; what is left then moves to a task of its own. Says how far it had come if its
    /// process was lost.
    pub(crate) async fn run(mut self, until: Until) -> (Invocation, Option<Lost>) {
        loop {
            let active = self.active.as_mut().expect("taken only at the end, below, or when dropped");
            match active.drive().await {
                Turn::Answered if until == Until::Over => {}
                Turn::Answered => return (active.so_far(), None),
                Turn::Over(ended) => {
                    let active = self.active.take().expect("still there: drive only borrowed it");
                    return active.finish(ended);
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(active) = self.active.take() else { return };
        // A detached one is dropped only when the runtime ends; then the environment ends too.
        if self.detached {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let place = active.environment.leaving();
            let rest = Running { active: Some(active), detached: true };
            runtime.spawn(async move {
                rest.run(Until::Over).await;
                drop(place);
            });
        }
    }
}

impl Active {
    /// Can be dropped at any await and called again.
    async fn drive(&mut self) -> Turn {
        loop {
            let had_answer = self.answer.is_some();
            loop {
                match self.environment.decoder.next_frame() {
                    Ok(Some(frame)) => {
                        if let Some(ended) = self.on_frame(frame) {
                            return Turn::Over(ended);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Turn::Over(Ended::broken(format!("protocol: {error}"))),
                }
            }
            if self.answer.is_some() && !had_answer {
                return Turn::Answered;
            }
            match self.step().await {
                Ok(Step::Moved) => {}
                Ok(Step::Look) => {
                    if let Some(ended) = self.look() {
                        return Turn::Over(ended);
                    }
                }
                Ok(Step::Closed) => return Turn::Over(self.closed().await),
                // It does not read any more, but may have said why.
                Err(_) if !self.environment.out.is_empty() => {
                    self.environment.out.clear();
                    self.untaken = true;
                }
                Err(error) => {
                    // What a Unix socket says when its other end is gone with bytes of ours unread.
                    self.untaken |= error.kind() == io::ErrorKind::ConnectionReset;
                    return Turn::Over(self.closed().await);
                }
            }
        }
    }

    async fn step(&mut self) -> io::Result<Step> {
        self.environment.make_room();
        let Environment { channel, decoder, out, look, .. } = &mut self.environment;
        look.as_mut().reset(self.watch.next().into());
        if out.is_empty() {
            tokio::select! {
                biased;
                read = channel.read(decoder.buffer()) => Ok(if read? == 0 { Step::Closed } else { Step::Moved }),
                () = look.as_mut() => Ok(Step::Look),
            }
        } else {
            tokio::select! {
                biased;
                written = channel.write(out) => written.map(|_| Step::Moved),
                () = look.as_mut() => Ok(Step::Look),
            }
        }
    }

    fn on_frame(&mut self, frame: Frame) -> Option<Ended> {
        let ended = match frame {
            Frame::Log(line) => {
                self.on_log(&line);
                return None;
            }
            Frame::Stopped(text) => {
                self.stopped = Some(text);
                return None;
            }
            Frame::Result(result) if result.len() > RESULT_BYTES_MAX => return self.answered(too_large(result.len())),
            Frame::Result(result) => return self.answered(Outcome::Result(result)),
            Frame::Error(error) => return self.answered(Outcome::Threw(error)),
            Frame::ResultTooLarge { bytes } => {
                return self.answered(too_large(usize::try_from(bytes).unwrap_or(usize::MAX)));
            }
            Frame::Done => match self.answer.take() {
                Some(outcome) => Ended { outcome, reusable: self.environment.is_usable(), lost: None },
                None => Ended::broken("protocol: an environment had done before it answered".into()),
            },
            Frame::Exiting(Exiting::Deadline) => self.timed_out(),
            Frame::Exiting(Exiting::OutOfMemory) => self.out_of_memory(),
            Frame::Exiting(Exiting::Code(code)) => Ended::broken(Exit::Code(code).to_string()),
            Frame::Exiting(Exiting::Signal(signal)) => Ended::broken(Exit::Signal(signal).to_string()),
            Frame::InitFailed(error) => Ended { outcome: Outcome::InitFailed(error), reusable: false, lost: None },
            Frame::Ready { .. } => return None,
            Frame::Lingers => return None,
            Frame::Invoke { .. } | Frame::Door | Frame::Inspector | Frame::Shutdown(_) | Frame::Report(_) => {
                Ended::broken("protocol: an environment sent an invocation".into())
            }
        };
        Some(ended)
    }

    /// An engine has done with its answer. Programs say when they have.
    fn answered(&mut self, outcome: Outcome) -> Option<Ended> {
        if self.environment.child.household.is_some() {
            self.answer.get_or_insert(outcome);
            return None;
        }
        // After an uncaught error the environment also says that it ends.
        let reusable = !matches!(outcome, Outcome::Threw(_)) || self.environment.is_usable();
        Some(Ended { outcome, reusable, lost: None })
    }

    /// The environment cuts its log itself; this is for one that does not.
    fn on_log(&mut self, line: &[u8]) {
        self.spoke = true;
        self.logged_bytes += line.len();
        if self.logged_bytes <= LOG_BYTES_MAX * 2 {
            log_lines::put_line(&mut self.log, line);
        }
        if self.log.len() > LOG_BYTES_HELD {
            self.flush_log();
        }
    }

    fn flush_log(&mut self) {
        let lines = self.log.split().freeze();
        self.log_tail = log_tail(&self.log_tail, &lines);
        self.core.log().write(&self.core.name, lines);
    }

    fn look(&mut self) -> Option<Ended> {
        let now = Instant::now();
        self.flush_log();
        if self.environment.are_limits_suspended() {
            self.environment.pace.release(&self.environment.child);
            self.watch.suspend(now);
            return None;
        }
        if self.watch.is_over(now) {
            self.environment.end(Reason::Timeout);
            return Some(self.timed_out());
        }
        let Environment { pace, near, child, memory, .. } = &mut self.environment;
        near.let_go(child.tasks());
        // A process that is gone closes its socket, which is met by the next step.
        let Some(clock) = pace.cpu_time(child) else {
            self.watch.looked(now, Duration::ZERO);
            return None;
        };
        let effort = self.watch.looked(now, clock);
        if (effort == Effort::Much || memory.was_over()) && memory.is_over(now, self.core.config.memory_mb) {
            self.environment.kill();
            return Some(self.out_of_memory());
        }
        // Over its memory it runs, so that it can end politely.
        if memory.was_over() {
            pace.release(child);
            return None;
        }
        let clock = Clock { now, shows: clock };
        if let Some(until) = pace.look(child, clock, self.started, self.started + self.core.config.timeout) {
            self.watch.wait_until(until);
        }
        None
    }

    async fn closed(&mut self) -> Ended {
        if self.started.elapsed() >= self.core.config.timeout && !self.environment.are_limits_suspended() {
            return self.timed_out();
        }
        // One that had not begun begins elsewhere.
        let ended = self.environment.scratch.as_ref().filter(|_| !self.untaken).and_then(|scratch| scratch.ended());
        if let Some(reason) = ended {
            return Ended::broken(reason.to_owned());
        }
        let exit = self.environment.child.exit().await;
        if exit == Some(Exit::Code(EXIT_OUT_OF_MEMORY)) || self.environment.memory.was_over() {
            return self.out_of_memory();
        }
        let reason = exit.map_or_else(|| "connection closed".to_owned(), |exit| exit.to_string());
        let lost = match (self.untaken, self.spoke) {
            _ if self.answer.is_some() => None,
            (true, _) => Some(Lost::Before),
            (false, false) => Some(Lost::Silent),
            (false, true) => None,
        };
        Ended { lost, ..Ended::broken(reason) }
    }

    fn timed_out(&self) -> Ended {
        let timeout_ms = u64::try_from(self.core.config.timeout.as_millis()).unwrap_or(u64::MAX);
        Ended { outcome: Outcome::TimedOut { timeout_ms }, reusable: false, lost: None }
    }

    fn out_of_memory(&mut self) -> Ended {
        let memory_mb = self.core.config.memory_mb;
        // The limit inside counts the heap only, and can be met before the one outside.
        let used_mb = self.environment.memory.max_mb(Instant::now()).max(memory_mb);
        Ended { outcome: Outcome::ExceededMemory { memory_mb, used_mb }, reusable: false, lost: None }
    }

    /// The invocation for whoever waits for the answer only.
    fn so_far(&mut self) -> Invocation {
        let now = Instant::now();
        let outcome = self.answer.clone().expect("called when there is one");
        let (duration, init) = (now - self.started, self.start.duration());
        let (memory_used_mb, log_tail) =
            (self.environment.memory.max_mb(now), log_tail(&self.log_tail, &self.log.clone().freeze()));
        Invocation { id: self.id, outcome, duration, init, memory_used_mb, log_tail }
    }

    fn finish(mut self: Box<Self>, mut ended: Ended) -> (Invocation, Option<Lost>) {
        self.environment.pace.release(&self.environment.child);
        self.environment.near.end();
        let has_crashed = matches!(ended.outcome, Outcome::Crashed { .. });
        // A runtime that ends after its answer has answered.
        if has_crashed && let Some(answer) = self.answer.take() {
            ended.outcome = answer;
        }
        let now = Instant::now();
        let duration = now - self.started;
        let memory_used_mb = match ended.outcome {
            Outcome::ExceededMemory { used_mb, .. } => used_mb,
            _ => self.environment.memory.max_mb(now),
        };
        let failure = put_failure(&mut self.log, self.id, &ended.outcome);
        let language = self.core.config.runtime.language();
        // Nothing here knows a program's stack.
        if language != Language::Custom
            && matches!(ended.outcome, Outcome::TimedOut { .. } | Outcome::ExceededMemory { .. })
        {
            put_stopped(&mut self.log, self.id, self.stopped.as_deref(), language.name());
        }
        let memory_mb = self.core.config.memory_mb;
        let report = Report { id: self.id, duration, memory_mb, memory_used_mb, start: self.start, failure };
        log_lines::put_end(&mut self.log, &report);
        self.flush_log();
        self.environment.report(&report, &ended.outcome);
        let Active { core, mut environment, id, start, log_tail, answer, .. } = *self;
        if ended.reusable {
            environment.rest();
            core.pool.give_back(environment);
        } else if has_crashed {
            environment.end(Reason::Failure);
        }
        let init = start.duration();
        let outcome = answer.unwrap_or(ended.outcome);
        let invocation = Invocation { id, outcome, duration, init, memory_used_mb, log_tail };
        (invocation, ended.lost)
    }
}

/// Log text of a running invocation is handed over when there is this much, and at every look.
const LOG_BYTES_HELD: usize = 32 * 1024;
