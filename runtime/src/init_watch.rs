//! Stops an init phase at its limits while a template loads its function: a
//! thread that is gone again before the template forks. Environments that load
//! the code themselves have their watchdog for this.

use crate::resident::Resident;
use crate::stopper::Stopper;
use environment::frame::Exiting;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The thread.
pub struct InitWatch {
    over: Sender<()>,
    thread: JoinHandle<Option<Exiting>>,
}

impl InitWatch {
    /// Starts it. `resident` is `None` where `/proc` cannot be read.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(stopper: Box<dyn Stopper>, limit: Duration, resident: Option<Resident>) -> io::Result<InitWatch> {
        let (over, is_over) = channel();
        let deadline = Instant::now() + limit;
        let watch = move || {
            let mut reached = None;
            let mut stopping = None;
            while is_over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                reached = reached.or_else(|| match &resident {
                    _ if Instant::now() >= deadline => Some(Exiting::Deadline),
                    Some(resident) if resident.is_over() => Some(Exiting::OutOfMemory),
                    _ => None,
                });
                if let Some(limit) = &reached {
                    stopper.stop(limit);
                    let polite = if reached == Some(Exiting::Deadline) { POLITE } else { POLITE_OVER_MEMORY };
                    if stopping.get_or_insert_with(Instant::now).elapsed() > polite {
                        stopper.force();
                    }
                }
            }
            reached
        };
        let thread = std::thread::Builder::new().name("init-watch".to_owned()).stack_size(STACK_BYTES).spawn(watch)?;
        Ok(InitWatch { over, thread })
    }

    /// Ends the thread. Says which limit was reached, if one was.
    ///
    /// # Panics
    /// Never: the thread does not.
    #[must_use]
    pub fn end(self) -> Option<Exiting> {
        drop(self.over);
        self.thread.join().expect("the thread only waits and looks")
    }
}

const TICK: Duration = Duration::from_millis(5);

/// How long the module has to serve an interrupt before it is ended without a note.
const POLITE: Duration = Duration::from_millis(20);

/// The same over the memory limit, where it is most likely collecting garbage.
const POLITE_OVER_MEMORY: Duration = Duration::from_millis(80);

const STACK_BYTES: usize = 128 * 1024;
