//! The outer limits of a running invocation: its deadline and its memory. Both
//! are also watched inside the environment; this side does not rely on that.
//!
//! Memory of an environment is its anonymous resident memory, less that of the
//! zygote when it became ready: what the function's code caused, module loading
//! included, and not what every environment shares; of a custom runtime's, that of
//! all its processes. It must stay at or below `memory_mb` mebibytes. It is read from `/proc/PID/statm` every few
//! milliseconds, and only once an invocation has run for that long.

use crate::household::Household;
use crate::parent::Child;
use crate::sys::page_bytes;
use environment::limits::{MEMORY_GRACE, MEMORY_OVER_MB_MAX};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// When the next look at a running invocation is due, and when it is killed.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    kill_at: Instant,
    next: Instant,
    looked: Instant,
    /// The process's clock at the last look.
    clock: Duration,
    every: Duration,
}

impl Watch {
    /// An invocation that starts now. `grace` is what its environment has to end by itself.
    pub(crate) fn new(started: Instant, timeout: Duration, grace: Duration) -> Watch {
        let kill_at = started + timeout + grace;
        let (looked, clock, every) = (started, Duration::ZERO, LOOK_EVERY);
        Watch { started, kill_at, next: started + LOOK_EVERY, looked, clock, every }
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Sets the following look, for a process whose processor clock shows `clock`. Says whether it has
    /// computed so little since the last that its memory is not worth a look.
    pub(crate) fn looked(&mut self, now: Instant, clock: Duration) -> Effort {
        let effort = if clock.saturating_sub(self.clock) < now.saturating_duration_since(self.looked) / LITTLE {
            Effort::Little
        } else {
            Effort::Much
        };
        self.every = match effort {
            Effort::Little => (self.every * 2).min(LOOK_EVERY_WAITING),
            Effort::Much if now - self.started < SETTLED_AFTER => LOOK_EVERY,
            Effort::Much => LOOK_EVERY_SETTLED,
        };
        (self.looked, self.clock) = (now, clock);
        self.next = (now + self.every).min(self.kill_at);
        effort
    }

    /// Puts the following look off, for an environment that is stopped until then.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        self.next = at.min(self.kill_at);
    }

    /// Nothing is looked for while a debugger has suspended the limits but whether it still does.
    pub(crate) fn suspend(&mut self, now: Instant) {
        self.kill_at = now + SUSPENDED_MAX;
        self.next = now + LOOK_EVERY_WAITING;
    }

    /// Whether the deadline and its grace are over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.kill_at
    }
}

/// What a process did between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Little,
    Much,
}

/// The memory of one environment.
#[derive(Debug)]
pub(crate) struct Memory {
    counted: Option<Counted>,
    shared_bytes: u64,
    max_mb: u32,
    sampled: Option<Instant>,
    over_since: Option<Instant>,
}

/// Whose memory it is.
#[derive(Debug)]
enum Counted {
    Process(File),
    Household(Arc<Household>),
}

impl Counted {
    fn anonymous_bytes(&self) -> Option<u64> {
        match self {
            Counted::Process(statm) => anonymous_bytes(statm),
            Counted::Household(household) => Some(household.anonymous_bytes()),
        }
    }
}

impl Memory {
    /// Of a process, and of everybody in its household; `shared_bytes` are the zygote's.
    pub(crate) fn of(child: &Child, shared_bytes: u64) -> Memory {
        match &child.household {
            Some(household) => Memory::counting(Some(Counted::Household(Arc::clone(household))), shared_bytes),
            None => Memory::of_process(child.pid, shared_bytes),
        }
    }

    /// None.
    pub(crate) fn of_nobody() -> Memory {
        Memory::counting(None, 0)
    }

    fn of_process(pid: i32, shared_bytes: u64) -> Memory {
        let statm = File::open(format!("/proc/{pid}/statm"));
        if let Err(error) = &statm {
            tracing::warn!(%error, pid, "memory of an environment cannot be watched");
        }
        Memory::counting(statm.ok().map(Counted::Process), shared_bytes)
    }

    fn counting(counted: Option<Counted>, shared_bytes: u64) -> Memory {
        Memory { counted, shared_bytes, max_mb: 0, sampled: None, over_since: None }
    }

    /// What is not counted.
    pub(crate) fn shared_bytes(&self) -> u64 {
        self.shared_bytes
    }

    /// Mebibytes now, rounded up; 0 when the process is gone.
    pub(crate) fn sample(&mut self, now: Instant) -> u32 {
        self.sampled = Some(now);
        let anonymous = self.counted.as_ref().and_then(Counted::anonymous_bytes).unwrap_or(0);
        let mebibytes = anonymous.saturating_sub(self.shared_bytes).div_ceil(1024 * 1024);
        let mebibytes = u32::try_from(mebibytes).unwrap_or(u32::MAX);
        self.max_mb = self.max_mb.max(mebibytes);
        mebibytes
    }

    /// Whether to kill it: it is far over `limit_mb`, or over for as long as it may take to end itself
    /// (its own watch sees the same memory).
    pub(crate) fn is_over(&mut self, now: Instant, limit_mb: u32) -> bool {
        let used_mb = self.sample(now);
        if used_mb <= limit_mb {
            self.over_since = None;
            return false;
        }
        let since = *self.over_since.get_or_insert(now);
        let is_far_over = used_mb > limit_mb.saturating_add(MEMORY_OVER_MB_MAX);
        is_far_over || now.saturating_duration_since(since) >= MEMORY_GRACE
    }

    /// Whether the last look found it over its limit.
    pub(crate) fn was_over(&self) -> bool {
        self.over_since.is_some()
    }

    /// The most seen since the environment was made; at least 1. Looks again when the last look is old.
    pub(crate) fn max_mb(&mut self, now: Instant) -> u32 {
        if self.sampled.is_none_or(|sampled| now.saturating_duration_since(sampled) > SAMPLE_AGE_MAX) {
            self.sample(now);
        }
        self.max_mb.max(1)
    }
}

/// For the init phase: returns once the process is to be killed for being over `memory_mb`, else never.
pub(crate) async fn over_memory(mut memory: Memory, memory_mb: u32) {
    while !memory.is_over(Instant::now(), memory_mb) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Anonymous resident memory of a process.
pub(crate) fn anonymous_bytes_of(pid: u32) -> Option<u64> {
    anonymous_bytes(&File::open(format!("/proc/{pid}/statm")).ok()?)
}

fn anonymous_bytes(statm: &File) -> Option<u64> {
    let mut text = [0; 128];
    let length = statm.read_at(&mut text, 0).ok()?;
    anonymous_pages(&text[..length]).map(|pages| pages * *PAGE_BYTES)
}

/// `size resident shared ...`, in pages; shared is file-backed and shared memory.
pub(crate) fn anonymous_pages(statm: &[u8]) -> Option<u64> {
    let mut fields = std::str::from_utf8(statm).ok()?.split_ascii_whitespace().skip(1);
    let resident: u64 = fields.next()?.parse().ok()?;
    let shared: u64 = fields.next()?.parse().ok()?;
    Some(resident.saturating_sub(shared))
}

static PAGE_BYTES: LazyLock<u64> = LazyLock::new(page_bytes);

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Many long invocations at once must not cost more than they do themselves.
const LOOK_EVERY_SETTLED: Duration = Duration::from_millis(20);
/// Nor must many that wait for something else.
const LOOK_EVERY_WAITING: Duration = Duration::from_millis(40);
/// A twentieth of a core.
const LITTLE: u32 = 20;
const SETTLED_AFTER: Duration = Duration::from_secs(1);
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(1);

/// Longer than the time to the next look; a debugger that is still attached then puts it off again.
const SUSPENDED_MAX: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use environment::limits::KILL_GRACE;

    #[test]
    fn anonymous_memory_is_resident_less_shared() {
        assert_eq!(anonymous_pages(b"9000 500 120 3 0 700 0\n"), Some(380));
        assert_eq!(anonymous_pages(b""), None);
        assert_eq!(anonymous_pages(b"1 2"), None);
    }

    #[test]
    fn own_memory_is_seen_and_grows() {
        let mut memory = Memory::of_process(i32::try_from(std::process::id()).unwrap(), 0);
        let before = memory.sample(Instant::now());
        let touched = std::hint::black_box(vec![1_u8; 64 * 1024 * 1024]);
        let after = memory.sample(Instant::now());
        drop(touched);
        assert!(after >= before + 60, "{before} MB before, {after} MB after");
        assert!(memory.max_mb(Instant::now()) >= after);
    }

    #[test]
    fn memory_over_the_limit_has_a_grace_unless_it_is_far_over() {
        let mut memory = Memory::of_process(i32::try_from(std::process::id()).unwrap(), 0);
        let now = Instant::now();
        let used = memory.sample(now);
        assert!(!memory.is_over(now, used + 32));
        assert!(!memory.is_over(now, used - 1) && memory.was_over());
        assert!(memory.is_over(now + MEMORY_GRACE, used - 1));
        let touched = std::hint::black_box(vec![1_u8; 128 * 1024 * 1024]);
        assert!(memory.is_over(now, used));
        drop(touched);
    }

    #[test]
    fn what_waits_is_looked_at_less_often_until_it_computes() {
        let started = Instant::now();
        let mut watch = Watch::new(started, Duration::from_secs(3), KILL_GRACE);
        let mut clock = Duration::from_millis(4);
        assert_eq!(watch.looked(watch.next(), clock), Effort::Much);
        let mut intervals = Vec::new();
        for _ in 0..5 {
            let now = watch.next();
            assert_eq!(watch.looked(now, clock), Effort::Little);
            intervals.push((watch.next() - now).as_millis());
        }
        assert_eq!(intervals, [10, 20, 40, 40, 40]);
        clock += Duration::from_millis(3);
        let now = watch.next();
        assert_eq!(watch.looked(now, clock), Effort::Much);
        assert_eq!(watch.next(), now + LOOK_EVERY);
    }

    #[test]
    fn looks_end_at_the_deadline_and_its_grace() {
        let started = Instant::now();
        let mut watch = Watch::new(started, Duration::from_secs(3), KILL_GRACE);
        assert_eq!(watch.next(), started + LOOK_EVERY);
        watch.looked(started + Duration::from_millis(3020), Duration::from_secs(1));
        assert_eq!(watch.next(), started + Duration::from_secs(3) + KILL_GRACE);
        assert!(!watch.is_over(started + Duration::from_secs(3)));
        assert!(watch.is_over(watch.next()));
    }
}
