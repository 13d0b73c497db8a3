//! What the processes of every runtime do beside running a handler, whatever its
//! language: watch their own deadline and memory, send frames, keep log text
//! within its budget, and know their variables. `js-runtime` and `py-shim` build
//! on it; the process tree and the sandbox are `sandbox`'s.

mod budget;
mod effort;
mod inherited;
mod init_watch;
mod key_values;
mod lineage;
mod mapping;
mod outbox;
mod phase;
mod resident;
mod stopper;
mod timer;
mod variables;
mod watchdog;

pub use budget::LogBudget;
pub use inherited::settle;
pub use init_watch::InitWatch;
pub use key_values::{StoreError, Stores};
pub use lineage::{end_with_parent, second_thread};
pub use mapping::Mapping;
pub use outbox::{Outbox, lock};
pub use phase::{init_error, restore_error};
pub use resident::{Resident, anonymous_bytes};
pub use stopper::Stopper;
pub use variables::variables;
pub use watchdog::{Watchdog, Watched, deadline_in};
