//! The weight of an environment among the processes of the machine: while it
//! computes it has that of its share of a core, so that the PoP and the neighbours
//! it wakes beside it need not wait for the end of its slice.
//!
//! Weights are nice values (sched(7): each step is a factor of 1.25). Whoever lowers
//! one must be allowed to raise it again: `CAP_SYS_NICE`, or a limit of nice values
//! (`LimitNICE=` of a systemd unit) that reaches the PoP's own. Where that is
//! missing weights stay as they are.

use super::{Tasks, threads};
use crate::sys;
use std::sync::LazyLock;

/// Of one environment.
#[derive(Debug)]
pub(super) struct Weight {
    /// Of the share, added to the PoP's own.
    step: i32,
    is_low: bool,
}

impl Weight {
    /// For `share` of a core; `None` where weights cannot be changed.
    pub(super) fn of(share: f64) -> Option<Weight> {
        (*USUAL)?;
        Some(Weight { step: step(share), is_low: false })
    }

    /// From now on they have the weight of their share.
    pub(super) fn lower(&mut self, tasks: Tasks<'_>) {
        if let (false, Some(usual)) = (self.is_low, *USUAL) {
            self.is_low = true;
            set(tasks, usual + self.step);
        }
    }

    /// They have the usual weight again.
    pub(super) fn raise(&mut self, tasks: Tasks<'_>) {
        if let (true, Some(usual)) = (self.is_low, *USUAL) {
            self.is_low = false;
            set(tasks, usual);
        }
    }
}

/// Whether a process that computes can be given less weight for a while.
pub(super) fn is_possible() -> bool {
    USUAL.is_some()
}

fn set(tasks: Tasks<'_>, nice: i32) {
    match tasks.household {
        // Whoever is started meanwhile has the weight of who started it.
        Some(household) => household.set_nice(nice),
        None => threads(tasks.pid).for_each(|thread| {
            sys::set_nice(thread, nice);
        }),
    }
}

/// The nice value whose weight is `share` of the usual.
fn step(share: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let step = (-share.ln() / STEP.ln()).round().clamp(0.0, 19.0) as i32;
    step
}

/// The PoP's own nice value, if a thread that left it can return to it.
static USUAL: LazyLock<Option<i32>> = LazyLock::new(|| {
    let tried = std::thread::Builder::new().name("nice".into()).spawn(|| {
        let usual = sys::own_nice();
        (usual < 19 && sys::set_nice(0, usual + 1) && sys::set_nice(0, usual)).then_some(usual)
    });
    tried.ok()?.join().ok()?
});

const STEP: f64 = 1.25;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_step_is_that_of_the_share() {
        for (share, expected) in [(1.0, 0), (0.5, 3), (128.0 / 1769.0, 12), (0.0001, 19)] {
            assert_eq!(step(share), expected, "{share}");
        }
    }

    #[test]
    fn a_process_is_lighter_until_it_is_raised() {
        let Some(usual) = *USUAL else { return };
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let nice = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let after_name = stat.rsplit_once(") ").unwrap().1;
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let mut weight = Weight::of(0.5).unwrap();
        let tasks = Tasks { pid, household: None };
        weight.lower(tasks);
        assert_eq!(nice(), usual + 3);
        weight.raise(tasks);
        assert_eq!(nice(), usual);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
