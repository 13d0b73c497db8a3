//! CPU time in proportion to memory: 1,769 MB is one core, as in Lambda. Every
//! environment has an allowance that comes back at its share and holds a burst;
//! one that has used more is held back until that is paid back: by the kernel,
//! in a control group, where one is delegated, else by being stopped for as long
//! as it takes. One that computes has the weight of its share besides, where
//! weights can be changed. The processor clock is read only at the looks of `watch`, so that
//! an invocation shorter than the first look costs nothing here and is not counted.
//!
//! A stopped process cannot end by itself when the PoP is gone: the kernel
//! continues it when its parent ends, which is when the PoP ends; one whose
//! parent has ended is not stopped.

mod brake;
mod near;
mod weight;

use crate::cgroup::Groups;
use crate::household::Household;
use crate::parent::Child;
use brake::Brake;
use environment::limits::{CORE_MB, CPU_BURST};
pub(crate) use near::Near;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weight::Weight;

/// How much CPU time environments get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuShare {
    /// In proportion to their memory.
    ByMemory,
    /// As much as the system gives them.
    Unlimited,
}

/// How a share is kept on this machine: chosen once, at the start.
#[derive(Clone, Debug)]
pub(crate) enum CpuKeeping {
    Groups(Arc<Groups>),
    Stopping,
    Nothing,
}

impl CpuKeeping {
    /// Chooses, and says so in the log.
    pub(crate) fn choose(share: CpuShare) -> CpuKeeping {
        if share == CpuShare::Unlimited {
            tracing::info!("cpu: environments get as much as the system gives them");
            return CpuKeeping::Nothing;
        }
        let burst = CPU_BURST.as_millis();
        let promise = format!("cpu: an environment gets memory_mb / {CORE_MB} of a core after a burst of {burst} ms");
        if !weight::is_possible() {
            tracing::info!("cpu: environments that compute keep their weight: nice values cannot be raised again here");
        }
        match Groups::take_over() {
            Ok(groups) => {
                tracing::info!("{promise}, by a control group in {}", groups.directory().display());
                CpuKeeping::Groups(groups)
            }
            Err(reason) => {
                tracing::info!("{promise}, by being stopped ({reason})");
                CpuKeeping::Stopping
            }
        }
    }

    /// Removes what ended environments left behind.
    pub(crate) fn sweep(&self) {
        if let CpuKeeping::Groups(groups) = self {
            groups.sweep();
        }
    }
}

/// How this machine would keep environments to their share, for a person. Nothing has changed afterwards.
#[must_use]
pub fn cpu_keeping() -> String {
    match Groups::attempt() {
        Ok(directory) => format!("a control group for each environment that uses more, in {}", directory.display()),
        Err(reason) => format!("environments that use more are stopped for a while: {reason}"),
    }
}

/// Whose weight and place are changed together: a process, and everybody in its household.
#[derive(Clone, Copy)]
pub(crate) struct Tasks<'a> {
    pub(crate) pid: i32,
    pub(crate) household: Option<&'a Household>,
}

/// The threads of a process now. What is set for one is not set for the others on Linux, and a new one has what its
/// maker has.
pub(crate) fn threads(pid: i32) -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What the processor clock of a process shows, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) shows: Duration,
}

/// Holds one environment to its share.
#[derive(Debug)]
pub(crate) struct Pace {
    allowance: Option<Allowance>,
    brake: Brake,
    weight: Option<Weight>,
    parent_closed: watch::Receiver<bool>,
    /// Whether the running invocation was looked at before.
    seen: bool,
}

impl Pace {
    /// For an environment whose parent's end is told by `parent_closed`.
    pub(crate) fn new(keeping: &CpuKeeping, memory_mb: u32, parent_closed: watch::Receiver<bool>) -> Pace {
        let is_held = !matches!(keeping, CpuKeeping::Nothing) && memory_mb < CORE_MB;
        let share = f64::from(memory_mb) / f64::from(CORE_MB);
        let allowance = is_held.then(|| Allowance::of(share));
        let weight = if is_held { Weight::of(share) } else { None };
        Pace { allowance, brake: Brake::new(keeping, share), weight, parent_closed, seen: false }
    }

    /// For a process that will start others, before it does: where there are control groups they are all born in its.
    pub(crate) async fn hold_all(&mut self, child: &Child) -> io::Result<()> {
        if self.allowance.is_some() { self.brake.make_group(child.pid).await } else { Ok(()) }
    }

    /// Processor time that `child` and all in its household used; `None` when nobody is left. Where they were
    /// born in a group, its count: that of `/proc` lacks processes that nobody waited for.
    pub(crate) fn cpu_time(&self, child: &Child) -> Option<Duration> {
        let shown = child.cpu_time()?;
        if child.household.is_some() { self.brake.cpu_time().or(Some(shown)) } else { Some(shown) }
    }

    /// One look at an invocation that began at `started` and should answer before `deadline`. Returns
    /// when the next look is due, if that is not as usual.
    pub(crate) fn look(&mut self, child: &Child, clock: Clock, started: Instant, deadline: Instant) -> Option<Instant> {
        let now = clock.now;
        let allowance = self.allowance.as_mut()?;
        if let Some(until) = self.brake.stopped_until() {
            if now < until {
                return Some(until);
            }
            self.brake.release(child);
            return None;
        }
        // From its deadline on it runs, so that it can end politely; and where nobody would continue it.
        if now >= deadline || (self.brake.stops() && *self.parent_closed.borrow()) {
            self.let_go(child);
            return None;
        }
        let used_max = if self.seen { Duration::MAX } else { now - started };
        if let (true, Some(weight)) = (self.seen && allowance.is_computing(clock), &mut self.weight) {
            weight.lower(child.tasks());
        }
        self.seen = true;
        let pause = allowance.charge(clock.shows, used_max, now);
        if pause.is_zero() {
            self.brake.release(child);
            return None;
        }
        self.brake.put_on(child, (now + pause).min(deadline));
        self.brake.next_look(now).map(|next| next.min(deadline))
    }

    /// The invocation is over.
    pub(crate) fn release(&mut self, child: &Child) {
        self.seen = false;
        self.let_go(child);
    }

    fn let_go(&mut self, child: &Child) {
        self.brake.release(child);
        if let Some(weight) = &mut self.weight {
            weight.raise(child.tasks());
        }
    }
}

/// CPU time an environment may use.
#[derive(Debug)]
struct Allowance {
    /// Cores.
    share: f64,
    /// Seconds; below zero after it used more.
    left: f64,
    counted: Option<Instant>,
    /// The process's clock when it was read last.
    read: Duration,
}

impl Allowance {
    fn of(share: f64) -> Allowance {
        Allowance { share, left: CPU_BURST.as_secs_f64(), counted: None, read: Duration::ZERO }
    }

    /// Whether it used much of the time since it was counted.
    fn is_computing(&self, clock: Clock) -> bool {
        let elapsed = self.counted.map_or(Duration::MAX, |counted| clock.now.saturating_duration_since(counted));
        clock.shows.saturating_sub(self.read) > elapsed / 4
    }

    /// Counts what was used until `now`, when the process's clock is at `clock`: at most `used_max`, for
    /// the clock also ran in short invocations that nobody looked at. Returns how long it must pause.
    fn charge(&mut self, clock: Duration, used_max: Duration, now: Instant) -> Duration {
        let elapsed = self.counted.map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
        let used = clock.saturating_sub(self.read).min(used_max);
        self.counted = Some(now);
        self.read = clock;
        self.left = (self.left + elapsed.as_secs_f64() * self.share).min(CPU_BURST.as_secs_f64()) - used.as_secs_f64();
        Duration::try_from_secs_f64((-self.left).max(0.0) / self.share).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A handler that always spins, looked at every 5 ms: how much CPU time it gets in `wall`.
    fn spin(allowance: &mut Allowance, wall: Duration) -> Duration {
        let start = Instant::now();
        let (mut now, mut clock) = (start, allowance.read);
        let begun = clock;
        while now - start < wall {
            now += 5 * MS;
            clock += 5 * MS;
            now += allowance.charge(clock, Duration::MAX, now);
        }
        clock - begun
    }

    #[test]
    fn a_spinning_handler_gets_the_burst_and_its_share() {
        for (memory_mb, expected_ms) in [(128, 100 + 724), (512, 100 + 2_894), (1_768, 100 + 9_994)] {
            let got = spin(&mut Allowance::of(f64::from(memory_mb) / f64::from(CORE_MB)), Duration::from_secs(10))
                .as_millis();
            assert!(got.abs_diff(expected_ms) <= expected_ms / 20, "{memory_mb} MB: {got} ms, not {expected_ms}");
        }
    }

    #[test]
    fn the_burst_comes_back_but_does_not_add_up() {
        let mut allowance = Allowance::of(128.0 / 1_769.0);
        let start = Instant::now();
        assert!(allowance.charge(100 * MS, Duration::MAX, start).is_zero());
        assert!(!allowance.charge(105 * MS, Duration::MAX, start + 5 * MS).is_zero());
        let hour = start + Duration::from_secs(3600);
        assert!(allowance.charge(205 * MS, Duration::MAX, hour).is_zero());
        assert!(allowance.charge(210 * MS, Duration::MAX, hour + 5 * MS) > 50 * MS);
    }

    #[test]
    fn what_short_invocations_used_is_not_counted_later() {
        let mut allowance = Allowance::of(128.0 / 1_769.0);
        let pause = allowance.charge(Duration::from_secs(60), 6 * MS, Instant::now());
        assert_eq!(pause, Duration::ZERO);
        assert!(allowance.left > 0.09, "{allowance:?}");
    }
}
