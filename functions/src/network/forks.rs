//! New processes of a template, where the sandbox asks for each: as many as the
//! PoP has ordered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Orders that are not carried out yet. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forks {
    ordered: Arc<AtomicUsize>,
}

impl Forks {
    /// The PoP is about to ask for one process.
    pub(crate) fn order(&self) {
        self.ordered.fetch_add(1, SeqCst);
    }

    /// Carries out an order; false when there is none.
    pub(crate) fn take(&self) -> bool {
        self.ordered.fetch_update(SeqCst, SeqCst, |ordered| ordered.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_one_process() {
        let forks = Forks::default();
        assert!(!forks.take());
        forks.clone().order();
        assert!(forks.take() && !forks.take());
    }
}
