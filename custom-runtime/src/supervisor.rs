//! One environment of a custom runtime: its programs, what they write and ask
//! for, and the PoP, in one loop on one thread.

use crate::api;
use crate::desk::{Desk, Refused, Told};
use crate::door::Door;
use crate::extensions::{self, Extensions, Wants};
use crate::frames::Frames;
use crate::listeners::Listeners;
use crate::output::Output;
use crate::programs::{self, Programs};
use anyhow::Context;
use bytes::Bytes;
use environment::frame::{Exiting, Reason};
use environment::limits::SHUTDOWN_MAX;
use environment::outcome::exit_message;
use environment::{ErrorPayload, Exit, Frame, Manifest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::Outbox;
use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

/// One event for the runtime.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) id: Uuid,
    pub(crate) deadline_unix_ms: u64,
    pub(crate) event: Bytes,
}

/// What programs ask for over HTTP, and where the reply goes.
pub(crate) enum Ask {
    Next(oneshot::Sender<Result<Invocation, Refused>>),
    Answer { id: String, frame: Frame, reply: oneshot::Sender<Result<(), Refused>> },
    InitError { error: ErrorPayload, reply: oneshot::Sender<Result<(), Refused>> },
    Register { name: String, wants: Wants, reply: oneshot::Sender<Result<Uuid, extensions::Refused>> },
    NextEvent { id: Uuid, reply: oneshot::Sender<Result<String, extensions::Refused>> },
    ExtensionFailed { id: Uuid, error: ErrorPayload, reply: oneshot::Sender<Result<(), extensions::Refused>> },
}

struct Supervisor {
    desk: Desk,
    programs: Programs,
    bootstrap: Option<Pid>,
    extensions: Extensions,
    listeners: Listeners,
    outbox: Outbox,
    output: [Output; 2],
    /// Those who have asked for the next event.
    waiting: VecDeque<oneshot::Sender<Result<Invocation, Refused>>>,
    /// An event that nobody has taken yet.
    event: Option<Invocation>,
    /// What the PoP is told once the extensions have done, too.
    told: Option<Told>,
    started: std::time::Instant,
    /// When the environment is over at the latest, and its status.
    over: Option<(Instant, i32)>,
}

enum News {
    Ask(Ask),
    Frame(Option<Frame>),
    Connection(tokio::net::TcpStream),
    Output,
    Child,
    Over,
}

/// Starts the programs and serves them. Returns the status that the environment ends with.
pub(crate) async fn supervise(
    manifest: Manifest,
    tmp_dir: &Path,
    (stream, door): (UnixStream, Door),
    started: std::time::Instant,
) -> anyhow::Result<i32> {
    let mut ends = signal(SignalKind::child()).context("signals")?;
    let door = door.open()?;
    let mut frames = Frames::new(stream.try_clone()?)?;
    let (programs, [stdout, stderr]) = Programs::new(&manifest, tmp_dir)?;
    let (asks, mut asked) = mpsc::channel(ASKS_MAX);
    let mut supervisor = Supervisor {
        desk: Desk::Starting,
        programs,
        bootstrap: None,
        extensions: Extensions::default(),
        listeners: Listeners::new(&manifest),
        outbox: Outbox::new(stream, manifest.log_bytes_max),
        output: [Output::new(stdout)?, Output::new(stderr)?],
        waiting: VecDeque::new(),
        event: None,
        told: None,
        started,
        over: None,
    };
    if let Err(error) = supervisor.start() {
        supervisor.outbox.send_last(&[Frame::InitFailed(error)]);
        return Ok(1);
    }
    let function = Rc::new(api::Function::new(&manifest, asks));
    loop {
        let over = supervisor.over.map(|(at, _)| at);
        let news = tokio::select! {
            Some(ask) = asked.recv() => News::Ask(ask),
            frame = frames.next() => News::Frame(frame?),
            connection = door.next() => News::Connection(connection.context("door")?),
            () = readable(&supervisor.output) => News::Output,
            _ = ends.recv() => News::Child,
            () = tokio::time::sleep_until(over.unwrap_or_else(Instant::now)), if over.is_some() => News::Over,
        };
        if let News::Connection(connection) = news {
            tokio::task::spawn_local(api::serve(connection, Rc::clone(&function)));
        } else if let Some(status) = supervisor.follow(news)? {
            supervisor.take_output(Whole::AndBegun);
            supervisor.outbox.send_last(&[]);
            return Ok(status);
        }
    }
}

async fn readable([stdout, stderr]: &[Output; 2]) {
    tokio::select! {
        () = stdout.readable() => {}
        () = stderr.readable() => {}
    }
}

impl Supervisor {
    /// Starts the extensions, and the runtime once they have registered.
    fn start(&mut self) -> Result<(), ErrorPayload> {
        self.extensions = Extensions::new(self.programs.start_extensions()?);
        self.start_bootstrap()
    }

    fn start_bootstrap(&mut self) -> Result<(), ErrorPayload> {
        if self.bootstrap.is_none() && self.extensions.all_registered() {
            self.bootstrap = Some(self.programs.start_bootstrap()?);
        }
        Ok(())
    }

    /// Does what follows. Says when the environment is over, and with which status.
    fn follow(&mut self, news: News) -> anyhow::Result<Option<i32>> {
        match news {
            News::Ask(ask) => return Ok(self.reply(ask)?),
            News::Frame(None) => return Ok(Some(0)),
            News::Frame(Some(Frame::Invoke { id, deadline_unix_ms, event })) => {
                self.outbox.refill();
                self.listeners.invoke(&mut self.extensions, (id, deadline_unix_ms));
                self.event = Some(Invocation { id, deadline_unix_ms, event });
                self.hand_out();
            }
            News::Frame(Some(Frame::Shutdown(reason))) => return Ok(self.shut_down(reason, 0)),
            News::Frame(Some(other)) => anyhow::bail!("a PoP does not say {other:?}"),
            News::Output => {
                self.take_output(Whole::Lines);
                self.outbox.send_what_fits();
            }
            News::Child => return Ok(self.reap()),
            News::Over => return Ok(Some(self.end())),
            News::Connection(_) => {}
        }
        Ok(None)
    }

    fn reply(&mut self, ask: Ask) -> io::Result<Option<i32>> {
        // Whoever has hung up meanwhile gets no reply.
        match ask {
            Ask::Next(reply) => match self.desk.ask() {
                Ok(told) => {
                    if told != Told::Nothing {
                        self.told = Some(told);
                    }
                    self.settle()?;
                    self.waiting.push_back(reply);
                    self.hand_out();
                }
                Err(refused) => {
                    let _ = reply.send(Err(refused));
                }
            },
            Ask::Answer { id, frame, reply } => {
                let _ = reply.send(self.desk.answer(&id, frame));
            }
            Ask::InitError { error, reply } => {
                let failed = self.desk.fail(error);
                if failed.is_ok() {
                    self.over = Some((Instant::now() + LAST_WORDS_MAX, 1));
                }
                let _ = reply.send(failed);
            }
            Ask::Register { name, wants, reply } => {
                let _ = reply.send(self.extensions.register(&name, wants));
                if let Err(error) = self.start_bootstrap() {
                    self.outbox.send_last(&[Frame::InitFailed(error)]);
                    return Ok(Some(1));
                }
            }
            Ask::NextEvent { id, reply } => {
                self.listeners.listen(&mut self.extensions, id, reply);
                self.settle()?;
            }
            Ask::ExtensionFailed { id, error, reply } => {
                let name = self.extensions.name(id).map(str::to_owned);
                let _ = reply.send(name.clone().map(drop));
                if let Ok(name) = name {
                    return Ok(self.extension_failed(&name, error));
                }
            }
        }
        Ok(None)
    }

    /// Tells the PoP what the runtime has done, once the extensions have done, too.
    fn settle(&mut self) -> io::Result<()> {
        if self.over.is_some() || !self.extensions.all_waiting() {
            return Ok(());
        }
        let frame = match self.told.take() {
            Some(Told::Ready) => {
                self.extensions.close();
                if self.extensions.linger() {
                    self.outbox.send(&Frame::Lingers)?;
                }
                Frame::Ready { init_ms: self.started.elapsed().as_secs_f64() * 1e3 }
            }
            Some(Told::Answer(frame)) => frame,
            Some(Told::Nothing) | None => return Ok(()),
        };
        // What was written before belongs to what is over now.
        self.take_output(Whole::AndBegun);
        self.outbox.send(&frame)
    }

    /// Gives the event to who waits for one.
    fn hand_out(&mut self) {
        while let Some(event) = self.event.take() {
            let Some(next) = self.waiting.pop_front() else {
                self.event = Some(event);
                return;
            };
            let id = event.id;
            match next.send(Ok(event)) {
                Ok(()) => self.desk.begin(id),
                // It has hung up.
                Err(Ok(event)) => self.event = Some(event),
                Err(Err(_)) => {}
            }
        }
    }

    fn take_output(&mut self, whole: Whole) {
        let outbox = &mut self.outbox;
        for output in &mut self.output {
            let mut line = |line: &[u8]| outbox.log(line);
            output.take(&mut line);
            if whole == Whole::AndBegun {
                output.flush(&mut line);
            }
        }
    }

    /// Processes have ended: what that means for the environment.
    fn reap(&mut self) -> Option<i32> {
        while let Some((pid, exiting)) = programs::ended() {
            let status = match &exiting {
                Exiting::Signal(signal) => 128 + signal,
                Exiting::Code(code) => *code,
                Exiting::OutOfMemory | Exiting::Deadline => 1,
            };
            if Some(pid) == self.bootstrap {
                self.bootstrap = None;
                if self.over.is_none() || matches!(self.desk, Desk::Failed(_)) {
                    self.say_end(exiting);
                    if let Some(status) = self.shut_down(Reason::Failure, status) {
                        return Some(status);
                    }
                }
            } else if let (Some(name), true) = (self.extensions.ended(pid), self.over.is_none()) {
                let (error_type, exit) = ("Extension.Crash".to_owned(), exit(&exiting));
                let error_message = format!("extension {name} ended: {exit}");
                let over = self.extension_failed(&name, ErrorPayload { error_type, error_message, trace: vec![] });
                if over.is_some() {
                    return over;
                }
            }
            if let Some((_, status)) = self.over.filter(|_| !self.extensions.linger()) {
                return Some(status);
            }
        }
        None
    }

    /// The environment cannot go on without one of its extensions.
    fn extension_failed(&mut self, name: &str, error: ErrorPayload) -> Option<i32> {
        self.take_output(Whole::AndBegun);
        let ErrorPayload { error_type, error_message, .. } = &error;
        self.outbox.log(format!("extension {name}: {error_type}: {error_message}").as_bytes());
        let frame = if matches!(self.desk, Desk::Starting) || self.told == Some(Told::Ready) {
            Frame::InitFailed(error)
        } else {
            Frame::Exiting(Exiting::Code(1))
        };
        self.outbox.send_last(&[frame]);
        self.shut_down(Reason::Failure, 1)
    }

    /// Tells the extensions that the environment ends. Says whether that is now.
    fn shut_down(&mut self, reason: Reason, status: i32) -> Option<i32> {
        if !self.extensions.linger() {
            return Some(status);
        }
        if self.over.is_none() || matches!(self.desk, Desk::Failed(_)) {
            self.over = Some((Instant::now() + SHUTDOWN_MAX, status));
            if let Some(bootstrap) = self.bootstrap {
                // One that is gone needs none.
                let _ = kill(bootstrap, Signal::SIGTERM);
            }
            self.listeners.shut_down(&mut self.extensions, reason);
        }
        None
    }

    /// The time is over.
    fn end(&mut self) -> i32 {
        if matches!(self.desk, Desk::Failed(_)) {
            self.say_end(Exiting::Code(1));
        }
        self.over.map_or(1, |(_, status)| status)
    }

    /// The runtime has ended: says so.
    fn say_end(&mut self, exiting: Exiting) {
        self.take_output(Whole::AndBegun);
        let frames = match (std::mem::replace(&mut self.desk, Desk::Idle), self.told.take()) {
            (Desk::Failed(error), _) => vec![Frame::InitFailed(error)],
            (Desk::Starting, _) | (_, Some(Told::Ready)) => {
                let error_message = exit_message(&exit(&exiting).to_string());
                let error_type = "Runtime.ExitError".to_owned();
                vec![Frame::InitFailed(ErrorPayload { error_type, error_message, trace: Vec::new() })]
            }
            (Desk::Answered(frame), _) | (_, Some(Told::Answer(frame))) => vec![frame, Frame::Exiting(exiting)],
            (Desk::Idle | Desk::Running(_), _) => vec![Frame::Exiting(exiting)],
        };
        self.outbox.send_last(&frames);
    }
}

fn exit(exiting: &Exiting) -> Exit {
    match exiting {
        Exiting::Code(code) => Exit::Code(*code),
        Exiting::Signal(signal) => Exit::Signal(*signal),
        Exiting::OutOfMemory | Exiting::Deadline => Exit::Code(1),
    }
}

/// How much of what was written is passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Lines,
    AndBegun,
}

/// Requests of programs that wait for the loop; their clients wait for replies.
const ASKS_MAX: usize = 16;

/// A program that has said that it cannot start ends by itself, in general.
const LAST_WORDS_MAX: Duration = Duration::from_millis(250);
