//! One environment of a custom runtime: its programs, what they write and ask
//! for, and the PoP, in one loop on one thread.

mod ending;

use crate::api;
use crate::ask::{Ask, Invocation, NotSubscribed, Phase};
use crate::desk::{Desk, Refused, Told};
use crate::door::{Arrival, Door};
use crate::extensions::Extensions;
use crate::frames::Frames;
use crate::listeners::Listeners;
use crate::output::{Outputs, Whole};
use crate::programs::Programs;
use crate::run::Run;
use crate::telemetry::{Event, Source, Telemetry};
use anyhow::Context;
use environment::{ErrorPayload, Frame, Manifest, Status};
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

struct Supervisor {
    desk: Desk,
    programs: Programs,
    bootstrap: Option<Pid>,
    extensions: Extensions,
    listeners: Listeners,
    outbox: Outbox,
    outputs: Outputs,
    telemetry: Telemetry,
    /// Those who have asked for the next event.
    waiting: VecDeque<oneshot::Sender<Result<Invocation, Refused>>>,
    /// An event that nobody has taken yet.
    event: Option<Invocation>,
    run: Option<Run>,
    /// What the PoP is told once the extensions have done, too.
    told: Option<Told>,
    /// What the runtime has answered and the PoP does not know yet, and when it is told at the latest.
    answer: Option<(Frame, Instant)>,
    /// Of the invocation whose report comes next.
    last_trace: String,
    started: std::time::Instant,
    /// When the environment is over at the latest, and its status.
    over: Option<(Instant, i32)>,
}

enum News {
    Ask(Ask),
    Frame(Option<Frame>),
    Connection(Arrival),
    Output,
    Child,
    Answer,
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
    let (programs, outputs) = Programs::new(&manifest, tmp_dir)?;
    let (asks, mut asked) = mpsc::channel(ASKS_MAX);
    let mut supervisor = Supervisor {
        desk: Desk::Starting,
        programs,
        bootstrap: None,
        extensions: Extensions::default(),
        listeners: Listeners::new(&manifest),
        outbox: Outbox::new(stream, manifest.log_bytes_max),
        outputs,
        telemetry: Telemetry::new(&manifest),
        waiting: VecDeque::new(),
        event: None,
        run: None,
        told: None,
        answer: None,
        last_trace: String::new(),
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
        let answer = supervisor.answer.as_ref().map(|(_, at)| *at);
        let news = tokio::select! {
            Some(ask) = asked.recv() => News::Ask(ask),
            frame = frames.next() => News::Frame(frame?),
            connection = door.next() => News::Connection(connection.context("door")?),
            () = supervisor.outputs.readable() => News::Output,
            _ = ends.recv() => News::Child,
            () = tokio::time::sleep_until(over.unwrap_or_else(Instant::now)), if over.is_some() => News::Over,
            () = tokio::time::sleep_until(answer.unwrap_or_else(Instant::now)), if answer.is_some() => News::Answer,
        };
        if let News::Connection(arrival) = news {
            match arrival {
                Arrival::Api(connection) => tokio::task::spawn_local(api::serve(connection, Rc::clone(&function))),
                Arrival::Inside { caller, listener } => tokio::task::spawn_local(join(caller, listener)),
            };
        } else if let Some(status) = supervisor.follow(news)? {
            supervisor.take_output(Whole::AndBegun);
            supervisor.outbox.send_last(&[]);
            return Ok(status);
        }
    }
}

/// Makes two connections one, until both directions are closed.
async fn join(mut caller: tokio::net::TcpStream, mut listener: tokio::net::TcpStream) {
    // One that breaks is the programs' affair.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut listener).await;
}

impl Supervisor {
    /// Starts the extensions, and the runtime once they have registered.
    fn start(&mut self) -> Result<(), ErrorPayload> {
        self.telemetry.put(Event::InitStart);
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
                let run = Run::new(id, deadline_unix_ms);
                self.telemetry.put(run.start());
                self.run = Some(run);
                self.listeners.invoke(&mut self.extensions, (id, deadline_unix_ms));
                self.event = Some(Invocation { id, deadline_unix_ms, event });
                self.hand_out();
            }
            News::Frame(Some(Frame::Report(report))) => {
                if let Some(run) = self.run.take() {
                    self.telemetry.put(run.over(report.status, report.error_type.clone()));
                    self.last_trace = run.trace();
                }
                let trace = self.last_trace.clone();
                self.telemetry.put(Event::Report { report, trace });
            }
            News::Frame(Some(Frame::Shutdown(reason))) => return Ok(self.shut_down(reason, 0)),
            News::Frame(Some(other)) => anyhow::bail!("a PoP does not say {other:?}"),
            News::Output => {
                self.take_output(Whole::Lines);
                self.outbox.send_what_fits();
            }
            News::Child => return Ok(self.reap()),
            News::Over => return Ok(Some(self.end())),
            News::Answer => {
                if let Some((frame, _)) = self.answer.take() {
                    self.take_output(Whole::Lines);
                    self.outbox.send(&frame)?;
                }
            }
            News::Connection(_) => {}
        }
        Ok(None)
    }

    fn reply(&mut self, ask: Ask) -> io::Result<Option<i32>> {
        // Whoever has hung up meanwhile gets no reply.
        match ask {
            Ask::Next(reply) => match self.desk.ask() {
                Ok(told) => {
                    self.runtime_waits(told);
                    self.settle()?;
                    self.waiting.push_back(reply);
                    self.hand_out();
                }
                Err(refused) => {
                    let _ = reply.send(Err(refused));
                }
            },
            Ask::Answer { id, frame, since, reply } => {
                let taken = self.desk.answer(&id);
                if taken.is_ok() {
                    if let Some(run) = &mut self.run {
                        run.answered(&frame, since);
                    }
                    self.answer = Some((frame, Instant::now() + ANSWER_HELD_MAX));
                }
                let _ = reply.send(taken);
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
            Ask::ExtensionFailed { id, error, phase, reply } => {
                let name = self.extensions.name(id).map(str::to_owned);
                let _ = reply.send(name.clone().map(drop));
                if let Ok(name) = name {
                    let state = if phase == Phase::Init { "InitError" } else { "ExitError" };
                    return Ok(self.extension_failed(&name, state, error));
                }
            }
            Ask::Subscribe { id, subscription, reply } => {
                let name = self.extensions.name(id).map(str::to_owned).map_err(NotSubscribed::Extension);
                let subscribed = name
                    .and_then(|name| self.telemetry.subscribe(&name, subscription).map_err(NotSubscribed::Telemetry));
                let _ = reply.send(subscribed);
            }
        }
        Ok(None)
    }

    /// The runtime asks for the next event.
    fn runtime_waits(&mut self, told: Told) {
        if told != Told::Nothing {
            self.told = Some(told);
            // What was written before belongs to what is over now.
            self.take_output(Whole::AndBegun);
        }
        match told {
            Told::Ready => self.telemetry.put(Event::InitRuntimeDone { status: Status::Success, error_type: None }),
            Told::Done => {
                if let Some(run) = self.run.take() {
                    self.telemetry.put(run.done());
                    self.last_trace = run.trace();
                }
            }
            Told::Nothing => {}
        }
    }

    /// Tells the PoP what the runtime has done, once the extensions have done, too.
    fn settle(&mut self) -> io::Result<()> {
        if self.over.is_some() || !self.extensions.all_waiting() {
            return Ok(());
        }
        let frames = match self.told.take() {
            Some(Told::Ready) => {
                let took = self.started.elapsed();
                self.end_init(Status::Success, None);
                let lingers = self.extensions.linger().then_some(Frame::Lingers);
                lingers.into_iter().chain([Frame::Ready { init_ms: took.as_secs_f64() * 1e3 }]).collect()
            }
            Some(Told::Done) => {
                let answer = self.answer.take().map(|(frame, _)| frame);
                answer.into_iter().chain([Frame::Done]).collect::<Vec<_>>()
            }
            Some(Told::Nothing) | None => return Ok(()),
        };
        self.take_output(Whole::AndBegun);
        self.outbox.send_all(&frames)
    }

    /// The init phase is over.
    fn end_init(&mut self, status: Status, error_type: Option<String>) {
        self.extensions.close();
        if status == Status::Success {
            for (name, events) in self.extensions.each() {
                self.telemetry.put(Event::Extension { name, events, state: "Ready" });
            }
        }
        self.telemetry.put(Event::InitReport { status, error_type, duration: self.started.elapsed() });
        self.telemetry.close();
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
        let (outbox, telemetry) = (&mut self.outbox, &mut self.telemetry);
        self.outputs.take(whole, |source: Source, line: &[u8]| {
            outbox.log(line);
            if telemetry.is_wanted() {
                telemetry.put(Event::Line { source, line: String::from_utf8_lossy(line).into_owned() });
            }
        });
    }
}

/// Requests of programs that wait for the loop; their clients wait for replies.
const ASKS_MAX: usize = 16;

/// A program that has said that it cannot start ends by itself, in general.
const LAST_WORDS_MAX: Duration = Duration::from_millis(250);

/// An answer waits so long for its environment to be free: whoever asks next then finds it.
const ANSWER_HELD_MAX: Duration = Duration::from_millis(5);
