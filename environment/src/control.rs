//! Messages between a PoP and a zygote or template: one JSON message per packet
//! of a `SOCK_SEQPACKET` socket, file descriptors attached where said. A zygote
//! makes templates (and environments that load the code themselves); a template
//! makes environments.

use crate::manifest::Manifest;
use crate::outcome::ErrorPayload;
use crate::sandbox::LayerState;
use serde::{Deserialize, Serialize};

/// From the PoP to a zygote or template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlRequest {
    /// Zygote only. Attached: the template's own control socket.
    Template { id: u64, manifest: Manifest },
    /// Attached: the environment's frame socket. `manifest` is present when a
    /// zygote is asked: that environment loads the code itself.
    Environment { id: u64, manifest: Option<Manifest> },
}

/// From a zygote or template to the PoP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ControlReply {
    /// The zygote is up: its pid, the version of the engine in it, and what of the sandbox this
    /// machine gives. Sent once.
    ZygoteReady {
        pid: i32,
        engine: String,
        sandbox: Vec<LayerState>,
    },
    /// From a zygote's new child itself, before it runs user code. Attached: the seccomp listener
    /// that its network calls arrive at, and those of its copies.
    Listening {
        id: u64,
    },
    /// From a zygote's new child whose programs may listen, before that. Attached: where its keeper is asked for
    /// sockets of its own network.
    Sockets {
        id: u64,
    },
    /// Attached: a pidfd of the child.
    Forked {
        id: u64,
        pid: i32,
    },
    ForkFailed {
        id: u64,
        reason: String,
    },
    /// A child ended and was reaped.
    Exited {
        id: u64,
        exit: Exit,
        memory_max_kb: u64,
        cpu_ms: u64,
    },
    /// Template only: a line the handler's module wrote while it was loaded.
    Log {
        line: String,
    },
    /// Template only: user code is loaded. `unshared` says why copies of this
    /// process must not run it (open handles); environments are then forked
    /// from the zygote and load it themselves. With `has_restore_hooks`, a copy runs hooks of the
    /// function first and says when it is ready.
    Initialized {
        init_ms: f64,
        unshared: Option<String>,
        has_restore_hooks: bool,
    },
    /// Template only: the init phase failed. The template exits.
    InitFailed {
        error: ErrorPayload,
    },
}

/// The status with which a process ends when its engine has no memory left and can say nothing
/// more. A handler's own `process.exit` is told in a frame, so the two cannot be confused.
pub const EXIT_OUT_OF_MEMORY: i32 = 77;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
