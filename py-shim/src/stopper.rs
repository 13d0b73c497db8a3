//! Stops Python at a limit: notes where the handler was, says what happened and
//! ends the process. Python itself cannot be ended from outside, and what runs
//! in it is not used again.

use crate::notes::Notes;
use environment::frame::{Exiting, Frame};
use environment::{ControlReply, ErrorPayload};
use runtime::{Outbox, Stopper, init_error, restore_error};
use sandbox::{Children, exit_now, fit_line, fit_packet};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What an environment does now: what a limit means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Doing {
    Invocation = 0,
    Init = 1,
    Restore = 2,
}

/// Of an environment.
pub(crate) struct StopEnvironment {
    pub(crate) notes: Notes,
    pub(crate) outbox: Arc<Mutex<Outbox>>,
    /// A [`Doing`].
    pub(crate) doing: Arc<AtomicU8>,
    pub(crate) memory_mb: u32,
}

impl Stopper for StopEnvironment {
    fn stop(&self, reached: &Exiting) {
        let note = self.notes.ask();
        let doing = self.doing.load(SeqCst);
        let error = match doing {
            1 => init_error(None, Some(reached.clone()), self.memory_mb),
            2 => restore_error(None, Some(reached.clone()), self.memory_mb),
            _ => None,
        };
        let last = error.map_or_else(|| Frame::Exiting(reached.clone()), Frame::InitFailed);
        // The handler's thread may hold it, in a write that does not end: the exit then has to say enough.
        let patience = Instant::now() + OUTBOX_PATIENCE;
        while Instant::now() < patience {
            if let Ok(mut outbox) = self.outbox.try_lock() {
                outbox.stopped(note.as_bytes());
                outbox.send_last(&[last]);
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        exit_now(1)
    }

    fn force(&self) {
        exit_now(1)
    }

    fn has_noted(&self) -> bool {
        true
    }

    fn not_known(&self) -> &'static str {
        "Python stack is not known"
    }
}

/// Of a template in its init phase.
pub(crate) struct StopInit {
    pub(crate) notes: Notes,
    pub(crate) children: Arc<Children>,
    pub(crate) memory_mb: u32,
}

impl Stopper for StopInit {
    fn stop(&self, reached: &Exiting) {
        for line in self.notes.ask().lines() {
            let _ = self.children.control().send(&ControlReply::Log { line: fit_line(line.as_bytes()) }, None);
        }
        let error: Option<ErrorPayload> = init_error(None, Some(reached.clone()), self.memory_mb);
        if let Some(error) = error {
            let _ = self.children.control().send(&ControlReply::InitFailed { error: fit_packet(error) }, None);
        }
        exit_now(0)
    }

    fn force(&self) {
        exit_now(0)
    }

    fn has_noted(&self) -> bool {
        true
    }

    fn not_known(&self) -> &'static str {
        "Python stack is not known"
    }
}

const OUTBOX_PATIENCE: Duration = Duration::from_millis(5);
