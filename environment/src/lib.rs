//! The contract between a PoP and an execution environment: what crosses the
//! socket, which limits hold, and how an invocation can end. No I/O policy and
//! no process handling live here; `functions` drives one end of the socket and
//! each runtime (`js-runtime`, later others) the other.

pub mod control;
pub mod frame;
pub mod inspector;
pub mod key_values;
pub mod limits;
pub mod manifest;
pub mod outcome;
pub mod report;
pub mod sandbox;
pub mod suspension;

pub use control::{ControlReply, ControlRequest, Exit};
pub use frame::{Frame, FrameDecoder, FrameError};
pub use manifest::{Initialization, Inspected, Language, Manifest, Runtime};
pub use outcome::{ErrorPayload, Outcome, Throttle};
pub use report::{Report, Status};
pub use sandbox::{Layer, LayerState};
pub use suspension::Suspension;
