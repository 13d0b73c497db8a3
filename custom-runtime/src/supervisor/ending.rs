//! How an environment ends: processes that have ended, extensions that are told,
//! and what the PoP hears of it.

use super::Supervisor;
use crate::desk::{Desk, Told};
use crate::output::Whole;
use crate::programs;
use crate::telemetry::Event;
use environment::frame::{Exiting, Reason};
use environment::limits::SHUTDOWN_MAX;
use environment::outcome::exit_message;
use environment::{ErrorPayload, Exit, Frame, Status};
use nix::sys::signal::{Signal, kill};
use tokio::time::Instant;

impl Supervisor {
    /// Processes have ended: what that means for the environment.
    pub(super) fn reap(&mut self) -> Option<i32> {
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
                let error = ErrorPayload { error_type, error_message, trace: vec![] };
                let over = self.extension_failed(&name, "Exited", error);
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
    pub(super) fn extension_failed(&mut self, name: &str, state: &'static str, error: ErrorPayload) -> Option<i32> {
        self.take_output(Whole::AndBegun);
        self.telemetry.put(Event::Extension { name: name.to_owned(), events: Vec::new(), state });
        let ErrorPayload { error_type, error_message, .. } = &error;
        self.outbox.log(format!("extension {name}: {error_type}: {error_message}").as_bytes());
        let answer = self.answer.take().map(|(frame, _)| frame);
        let end = if matches!(self.desk, Desk::Starting) || self.told == Some(Told::Ready) {
            self.end_init(Status::Error, Some(error.error_type.clone()));
            Frame::InitFailed(error)
        } else {
            Frame::Exiting(Exiting::Code(1))
        };
        self.outbox.send_last(&answer.into_iter().chain([end]).collect::<Vec<_>>());
        self.shut_down(Reason::Failure, 1)
    }

    /// Tells the extensions that the environment ends. Says whether that is now.
    pub(super) fn shut_down(&mut self, reason: Reason, status: i32) -> Option<i32> {
        if !self.extensions.linger() {
            return Some(status);
        }
        if self.over.is_none() || matches!(self.desk, Desk::Failed(_)) {
            self.telemetry.flush();
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
    pub(super) fn end(&mut self) -> i32 {
        if matches!(self.desk, Desk::Failed(_)) {
            self.say_end(Exiting::Code(1));
        }
        self.over.map_or(1, |(_, status)| status)
    }

    /// The runtime has ended: says so.
    fn say_end(&mut self, exiting: Exiting) {
        self.take_output(Whole::AndBegun);
        let answer = self.answer.take().map(|(frame, _)| frame);
        let failed = match (std::mem::replace(&mut self.desk, Desk::Idle), self.told.take()) {
            (Desk::Failed(error), _) => Some(error),
            (Desk::Starting, _) | (_, Some(Told::Ready)) => {
                let error_message = exit_message(&exit(&exiting).to_string());
                Some(ErrorPayload { error_type: EXIT_ERROR.to_owned(), error_message, trace: Vec::new() })
            }
            _ => None,
        };
        if let Some(run) = self.run.take() {
            self.telemetry.put(run.over(Status::Failure, Some(EXIT_ERROR.to_owned())));
        }
        let end = match failed {
            Some(error) => {
                let error_type = Some(error.error_type.clone());
                self.telemetry.put(Event::InitRuntimeDone { status: Status::Error, error_type: error_type.clone() });
                self.end_init(Status::Error, error_type);
                Frame::InitFailed(error)
            }
            None => Frame::Exiting(exiting),
        };
        self.outbox.send_last(&answer.into_iter().chain([end]).collect::<Vec<_>>());
    }
}

fn exit(exiting: &Exiting) -> Exit {
    match exiting {
        Exiting::Code(code) => Exit::Code(*code),
        Exiting::Signal(signal) => Exit::Signal(*signal),
        Exiting::OutOfMemory | Exiting::Deadline => Exit::Code(1),
    }
}

/// What ended the runtime, in Lambda's words.
const EXIT_ERROR: &str = "Runtime.ExitError";
