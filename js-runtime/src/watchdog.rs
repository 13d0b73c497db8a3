//! A thread beside the handler's: ends JavaScript at the deadline, ends the
//! process when the PoP is gone even while JavaScript spins, and sends log
//! lines that wait too long. An invocation shorter than [`TICK`] costs it
//! nothing: the handler's thread stores a number and, at most once per tick,
//! arms a timer.

use crate::fork::exit_now;
use crate::serve::Outbox;
use crate::timer::Timer;
use deno_core::v8::IsolateHandle;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The handler's thread's side.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    /// Unix milliseconds of the running invocation's deadline, 0 when idle.
    deadline_ms: AtomicU64,
    /// Whether the timer ticks.
    ticking: AtomicBool,
    fired: AtomicBool,
    timer: Timer,
}

impl Watchdog {
    /// Starts the thread: in an environment, after its last fork. `socket` is a duplicate of the PoP's.
    pub(crate) fn start(handle: IsolateHandle, socket: OwnedFd, outbox: Arc<Mutex<Outbox>>) -> io::Result<Watchdog> {
        let shared = Arc::new(Shared {
            deadline_ms: AtomicU64::new(0),
            ticking: AtomicBool::new(false),
            fired: AtomicBool::new(false),
            timer: Timer::new()?,
        });
        let seen = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watch(&seen, &handle, &socket, &outbox))?;
        Ok(Watchdog { shared })
    }

    /// An invocation starts.
    pub(crate) fn arm(&self, deadline_unix_ms: u64) {
        self.shared.deadline_ms.store(deadline_unix_ms.max(1), SeqCst);
        self.shared.tick();
    }

    /// The invocation ended. Says whether the deadline came first.
    pub(crate) fn disarm(&self) -> bool {
        self.shared.deadline_ms.store(0, SeqCst);
        self.shared.fired.load(SeqCst)
    }
}

impl Shared {
    fn tick(&self) {
        if !self.ticking.swap(true, SeqCst) {
            self.timer.set(TICK);
        }
    }

    /// Stops the timer, then looks again: whoever stores a deadline meanwhile either sees
    /// `ticking` false and arms it, or is seen here.
    fn rest(&self) {
        self.timer.set(Duration::ZERO);
        self.ticking.store(false, SeqCst);
        if self.deadline_ms.load(SeqCst) != 0 {
            self.tick();
        }
    }
}

fn watch(shared: &Shared, handle: &IsolateHandle, socket: &OwnedFd, outbox: &Mutex<Outbox>) {
    let mut patience = PollTimeout::NONE;
    loop {
        let mut waits = [PollFd::new(socket.as_fd(), HANG_UP), PollFd::new(shared.timer.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waits, patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => exit_now(EXIT_BROKEN),
        }
        if waits[0].any().unwrap_or(true) {
            exit_now(0);
        }
        shared.timer.clear();
        let deadline_ms = shared.deadline_ms.load(SeqCst);
        if deadline_ms == 0 {
            shared.rest();
            patience = PollTimeout::NONE;
            continue;
        }
        if let Ok(mut outbox) = outbox.try_lock() {
            outbox.send_what_fits();
        }
        let left_ms = deadline_ms.saturating_sub(unix_ms());
        if left_ms == 0 {
            shared.fired.store(true, SeqCst);
            handle.terminate_execution();
        }
        // Once fired it ticks on: a catch-all loop may need to be terminated again.
        patience =
            if left_ms == 0 { PollTimeout::NONE } else { PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX) };
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Also when the PoP only stopped writing.
const HANG_UP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);

/// How long a line may wait, and how soon a running invocation is looked at.
const TICK: Duration = Duration::from_millis(5);

/// The thread calls poll and little else.
const STACK_BYTES: usize = 128 * 1024;

const EXIT_BROKEN: i32 = 70;
