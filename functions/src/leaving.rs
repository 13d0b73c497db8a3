//! Environments with extensions do not end at once: the extensions are told, and
//! have a moment. Nobody waits for that but the end of the PoP.

use crate::channel::Channel;
use crate::household::Household;
use crate::log::Log;
use crate::log_lines::put_line;
use crate::parent::Handle;
use crate::watch::{Memory, over_memory};
use bytes::BytesMut;
use environment::frame::Reason;
use environment::limits::{LOG_BYTES_MAX, SHUTDOWN_MAX};
use environment::{Frame, FrameDecoder};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// All that are about to end. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    count: Arc<watch::Sender<usize>>,
}

/// One that is counted. Dropping it says that it has ended.
#[derive(Debug)]
pub(crate) struct Place {
    count: Arc<watch::Sender<usize>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}

/// Those of one function, whose log has what they say last.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) leaving: Leaving,
    pub(crate) function: Arc<str>,
    pub(crate) log: Log,
}

impl Leaving {
    pub(crate) fn new() -> Leaving {
        Leaving { count: Arc::new(watch::Sender::new(0)) }
    }

    /// Returns once all have ended, or had the time to: those that had still to do when they had answered leave after
    /// that.
    pub(crate) async fn wait(&self) {
        let mut count = self.count.subscribe();
        let _ = tokio::time::timeout(SHUTDOWN_MAX * 2 + GRACE, count.wait_for(|count| *count == 0)).await;
    }

    /// A place for one, if there are not too many.
    pub(crate) fn place(&self) -> Option<Place> {
        let enters = |count: &mut usize| {
            let has_room = *count < LEAVING_MAX;
            *count += usize::from(has_room);
            has_room
        };
        self.count.send_if_modified(enters).then(|| Place { count: Arc::clone(&self.count) })
    }
}

/// One that leaves.
pub(crate) struct Last {
    pub(crate) process: Handle,
    pub(crate) household: Arc<Household>,
    pub(crate) socket: UnixStream,
    /// What it has not been told yet.
    pub(crate) out: BytesMut,
    pub(crate) reason: Reason,
    pub(crate) memory: Memory,
    pub(crate) memory_mb: u32,
    pub(crate) exit: Exit,
    pub(crate) place: Place,
}

impl Last {
    /// Tells it, waits for its end, and ends it when that takes too long.
    pub(crate) async fn run(self) {
        let Last { process, household, socket, out, reason, memory, memory_mb, exit, place } = self;
        household.signal(Signal::SIGCONT);
        tokio::select! {
            () = exit.tell(socket, out, reason) => {}
            () = tokio::time::sleep(SHUTDOWN_MAX + GRACE) => {}
            () = over_memory(memory, memory_mb) => {}
        }
        process.kill();
        drop(place);
    }
}

impl Exit {
    /// Returns when the other end is closed.
    async fn tell(&self, socket: UnixStream, mut out: BytesMut, reason: Reason) {
        let Ok(channel) = Channel::new(socket) else { return };
        if Frame::Shutdown(reason).encode(&mut out).is_err() {
            return;
        }
        while !out.is_empty() {
            // One that is ending by itself does not read any more.
            if channel.write(&mut out).await.is_err() {
                break;
            }
        }
        let mut decoder = FrameDecoder::default();
        let mut logged = 0;
        while channel.read(decoder.buffer()).await.is_ok_and(|length| length > 0) {
            let mut lines = BytesMut::new();
            while let Ok(Some(frame)) = decoder.next_frame() {
                if let (Frame::Log(line), ..LOG_BYTES_MAX) = (frame, logged) {
                    logged += line.len();
                    put_line(&mut lines, &line);
                }
            }
            self.log.write(&self.function, lines.freeze());
        }
    }
}

/// More end without a word.
const LEAVING_MAX: usize = 10_000;

/// For an environment that ends by itself in time.
const GRACE: Duration = Duration::from_millis(300);
