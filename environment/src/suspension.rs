//! Whether the limits of what an environment does are suspended: from the moment
//! a debugger is attached until what it does then is over, even when the debugger
//! is gone by that time. Both sides of the socket keep one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of one environment.
#[derive(Debug, Default)]
pub struct Suspension {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attached: usize,
    /// Since the last begin.
    was_attached: bool,
}

impl Suspension {
    /// Something begins that has limits: an init phase, an invocation.
    pub fn begin(&self) {
        let mut state = self.lock();
        state.was_attached = state.attached > 0;
    }

    /// A debugger is attached.
    pub fn attach(&self) {
        let mut state = self.lock();
        state.attached += 1;
        state.was_attached = true;
    }

    /// One is gone.
    pub fn detach(&self) {
        let mut state = self.lock();
        state.attached = state.attached.saturating_sub(1);
    }

    /// Whether what has begun last has no limits.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lock().was_attached
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_back_with_what_begins_after_the_last_debugger_is_gone() {
        let suspension = Suspension::default();
        suspension.begin();
        assert!(!suspension.holds());
        suspension.attach();
        suspension.attach();
        assert!(suspension.holds());
        suspension.detach();
        suspension.begin();
        assert!(suspension.holds());
        suspension.detach();
        assert!(suspension.holds());
        suspension.begin();
        assert!(!suspension.holds());
    }
}
