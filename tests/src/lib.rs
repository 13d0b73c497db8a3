//! What the end-to-end tests are written with: an origin that records and
//! answers by script, the real `selvedge` program as an edge, a viewer, and the
//! conformance cases. The first three know nothing of how the edge works;
//! everything goes over sockets.

pub mod conformance;
pub mod control;
pub mod custom;
pub mod debugger;
pub mod dev;
pub mod edge;
pub mod frames;
pub mod hostile;
pub mod lateness;
pub mod origin;
pub mod processes;
pub mod python;
pub mod raw;
pub mod stage;
pub mod terraform;
pub mod tls;
pub mod viewer;
mod wait;

pub use control::{Controlled, selvedge};
pub use edge::{Edge, free_port, program};
pub use origin::{Answer, Origin, Recorded};
pub use raw::RawOrigin;
pub use stage::Stage;
pub use tls::TlsFront;
pub use viewer::{Ask, Reply};
pub use wait::{WAIT_MAX, wait_for};

/// A distribution for every host: one origin named `o`, and these lines for its default behavior.
#[must_use]
pub fn site(origin_url: &str, default_behavior: &str) -> String {
    format!(
        "[distributions.site]\ndomains = [\"*\"]\n\
         [distributions.site.origins.o]\nurl = \"{origin_url}\"\n\
         [distributions.site.default_behavior]\norigin = \"o\"\n{default_behavior}\n"
    )
}
