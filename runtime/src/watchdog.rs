//! A thread beside the handler's: stops the handler at the deadline and over the
//! memory limit, ends the process when the PoP is gone even while the handler
//! spins, and sends log lines that wait too long. An invocation shorter than [`TICK_MS`] costs it
//! nothing: the handler's thread stores a number and, at most once per tick,
//! arms a timer. One that waits is looked at less and less often.

use crate::effort::Effort;
use crate::outbox::Outbox;
use crate::resident::Resident;
use crate::stopper::Stopper;
use crate::timer::Timer;
use environment::Suspension;
use environment::frame::Exiting;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sandbox::exit_now;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The handler's thread's side.
pub struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    /// Unix milliseconds of the running invocation's deadline, [`IDLE`], or the limit that the invocation
    /// reached. One cell: a limit counts only against the invocation it was seen in, never the next.
    state: AtomicU64,
    /// Milliseconds between two ticks of the timer; 0 while it rests.
    tick_ms: AtomicU64,
    timer: Timer,
}

/// What the thread looks at and acts on.
pub struct Watched {
    pub stopper: Box<dyn Stopper>,
    /// A duplicate of the PoP's.
    pub socket: OwnedFd,
    pub outbox: Arc<Mutex<Outbox>>,
    /// `None` where `/proc` cannot be read; the supervisor still looks from outside.
    pub resident: Option<Resident>,
    /// Where a debugger can suspend the limits.
    pub suspension: Option<Arc<Suspension>>,
}

impl Watched {
    fn is_over_memory(&self) -> bool {
        self.resident.as_ref().is_some_and(Resident::is_over)
    }

    fn are_limits_suspended(&self) -> bool {
        self.suspension.as_ref().is_some_and(|suspension| suspension.holds())
    }
}

impl Watchdog {
    /// Starts the thread: in an environment, after its last fork.
    ///
    /// # Errors
    /// No descriptor or thread is left.
    pub fn start(watched: Watched) -> io::Result<Watchdog> {
        let shared = Arc::new(Shared { state: AtomicU64::new(IDLE), tick_ms: AtomicU64::new(0), timer: Timer::new()? });
        let seen = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watch(&seen, &watched))?;
        Ok(Watchdog { shared })
    }

    /// An invocation starts.
    pub fn arm(&self, deadline_unix_ms: u64) {
        self.shared.state.store(deadline_unix_ms.clamp(IDLE + 1, MEMORY - 1), SeqCst);
        self.shared.tick(TICK_MS);
    }

    /// The invocation ended. Says whether a limit came first.
    #[must_use]
    pub fn disarm(&self) -> Option<Exiting> {
        match self.shared.state.swap(IDLE, SeqCst) {
            DEADLINE => Some(Exiting::Deadline),
            MEMORY => Some(Exiting::OutOfMemory),
            _ => None,
        }
    }
}

impl Shared {
    /// Has the timer tick so often; nothing when it does already.
    fn tick(&self, every_ms: u64) {
        if self.tick_ms.swap(every_ms, SeqCst) != every_ms {
            self.timer.set(Duration::from_millis(every_ms));
        }
    }

    /// Ticks half as often, down to a bound, when `effort` was little, and as often as at first when not.
    fn keep_pace(&self, effort: &mut Effort) {
        let every_ms = self.tick_ms.load(SeqCst);
        self.tick(if effort.was_little() { (every_ms * 2).clamp(TICK_MS, TICK_WAITING_MS) } else { TICK_MS });
    }

    /// Holds `limit` against the invocation with this deadline, unless that has ended meanwhile.
    fn reach(&self, deadline_ms: u64, limit: u64) -> Option<u64> {
        self.state.compare_exchange(deadline_ms, limit, SeqCst, SeqCst).ok().map(|_| limit)
    }

    /// Stops the timer, then looks again: whoever stores a deadline meanwhile either sees
    /// that it rests and arms it, or is seen here.
    fn rest(&self) {
        self.timer.set(Duration::ZERO);
        self.tick_ms.store(0, SeqCst);
        if self.state.load(SeqCst) != IDLE {
            self.tick(TICK_MS);
        }
    }
}

fn watch(shared: &Shared, watched: &Watched) {
    let mut patience = PollTimeout::NONE;
    let mut stopping = None;
    let mut effort = Effort::new();
    loop {
        let socket = watched.socket.as_fd();
        let mut waits = [PollFd::new(socket, HANG_UP), PollFd::new(shared.timer.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waits, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => exit_now(EXIT_BROKEN),
        }
        if waits[0].any().unwrap_or(true) {
            exit_now(0);
        }
        shared.timer.clear();
        let state = shared.state.load(SeqCst);
        if state == IDLE {
            shared.rest();
            patience = PollTimeout::NONE;
            continue;
        }
        if let Ok(mut outbox) = watched.outbox.try_lock() {
            outbox.send_what_fits();
        }
        let left_ms = state.saturating_sub(unix_ms());
        let reached = match state {
            DEADLINE | MEMORY => Some(state),
            _ if watched.are_limits_suspended() => None,
            deadline_ms if left_ms == 0 => shared.reach(deadline_ms, DEADLINE),
            deadline_ms if watched.is_over_memory() => shared.reach(deadline_ms, MEMORY),
            _ => None,
        };
        if let Some(limit) = reached {
            stop(watched, limit, *stopping.get_or_insert_with(Instant::now));
            shared.tick(TICK_MS);
        } else {
            shared.keep_pace(&mut effort);
        }
        // The timer ticks on: what does not listen is asked again.
        patience =
            if left_ms == 0 { PollTimeout::NONE } else { PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX) };
    }
}

/// Stops the handler: politely first, so that its stack is noted. Who does not listen within a moment
/// is in a native call; the supervisor then ends the process.
fn stop(watched: &Watched, reached: u64, since: Instant) {
    watched.stopper.stop(if reached == MEMORY { &Exiting::OutOfMemory } else { &Exiting::Deadline });
    if since.elapsed() < if reached == MEMORY { POLITE_OVER_MEMORY } else { POLITE } {
        return;
    }
    watched.stopper.force();
    if !watched.stopper.has_noted()
        && let Ok(mut outbox) = watched.outbox.try_lock()
    {
        outbox.stopped(watched.stopper.not_known().as_bytes());
        outbox.send_what_fits();
    }
}

/// A deadline for [`Watchdog::arm`] so far from now.
#[must_use]
pub fn deadline_in(time: Duration) -> u64 {
    unix_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Also when the PoP only stopped writing.
const HANG_UP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);

/// How soon a running invocation is looked at, and how long a line may wait; and for one that waits.
const TICK_MS: u64 = 5;
const TICK_WAITING_MS: u64 = 40;

/// The thread calls poll and little else.
const STACK_BYTES: usize = 128 * 1024;

/// How long the handler has to serve an interrupt before it is ended without a note. Below the
/// supervisor's grace, so that the note still goes out.
const POLITE: Duration = Duration::from_millis(20);

/// The same over the memory limit, where it is most likely collecting garbage.
const POLITE_OVER_MEMORY: Duration = Duration::from_millis(80);

const IDLE: u64 = 0;
const MEMORY: u64 = u64::MAX - 1;
const DEADLINE: u64 = u64::MAX;

const EXIT_BROKEN: i32 = 70;
