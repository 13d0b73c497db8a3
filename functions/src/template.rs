//! A template: the process that has one function's code loaded and forks its
//! environments. Built by `function` and rebuilt when it ends.

use crate::control::ControlSocket;
use crate::log_lines::put_line;
use crate::network::{Caller, Forks, NetworkGuard};
use crate::parent::{Child, ForkError, Notices, Parent};
use crate::phase::Phase;
use crate::watch::{Memory, over_memory};
use crate::zygote::Running;
use bytes::BytesMut;
use environment::limits::{INIT_TIMEOUT, KILL_GRACE};
use environment::{ControlReply, ControlRequest, ErrorPayload, Manifest};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Where a function's environments come from.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) kind: Kind,
    /// Anonymous memory of a process without user code.
    pub(crate) shared_bytes: u64,
    pub(crate) built: Instant,
    /// What building it took.
    pub(crate) init: Duration,
    /// Why its process must not be copied.
    pub(crate) unshared: Option<String>,
    /// Whether a copy runs hooks first and says when it is ready.
    pub(crate) has_restore_hooks: bool,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Copies of this process.
    Shared {
        parent: Parent,
        /// Each copy is ordered first.
        forks: Forks,
        #[expect(dead_code, reason = "killed when dropped")]
        child: Child,
    },
    /// Copies of the zygote that load the code themselves.
    Unshared,
}

/// Why there is no template.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The function's fault.
    #[error("{}: {}", .0.error_type, .0.error_message)]
    Init(ErrorPayload),
    /// The fault of its `afterRestore` hooks, in a copy.
    #[error("{}: {}", .0.error_type, .0.error_message)]
    Restore(ErrorPayload),
    /// Ours.
    #[error("{0}")]
    Fork(String),
    /// A process was killed meanwhile that could not know of it: worth another attempt.
    #[error("its process was killed before it was ready")]
    Lost,
}

impl Template {
    /// None at all: each environment loads the code itself.
    pub(crate) fn none(zygote: &Running) -> Template {
        let (shared_bytes, built) = (zygote.anonymous_bytes, Instant::now());
        Template {
            kind: Kind::Unshared,
            shared_bytes,
            built,
            init: Duration::ZERO,
            unshared: None,
            has_restore_hooks: false,
        }
    }

    /// Whether it can still fork.
    pub(crate) fn is_open(&self) -> bool {
        match &self.kind {
            Kind::Shared { parent, .. } => parent.is_open(),
            Kind::Unshared => true,
        }
    }
}

/// What a template is built from.
pub(crate) struct Plan<'a> {
    pub(crate) zygote: &'a Running,
    pub(crate) id: u64,
    pub(crate) manifest: &'a Manifest,
    pub(crate) network: &'a NetworkGuard,
    pub(crate) caller: Caller,
}

/// Builds a template. Lines the module writes while it is loaded go to `log`.
pub(crate) async fn build(plan: Plan<'_>, log: &mut BytesMut) -> Result<Template, BuildError> {
    let Plan { zygote, id, manifest, network, caller } = plan;
    let began = Instant::now();
    let fork_failed = |error: &dyn std::fmt::Display| BuildError::Fork(format!("template: {error}"));
    let (ours, theirs) = ControlSocket::pair().map_err(|error| fork_failed(&error))?;
    let request = ControlRequest::Template { id, manifest: manifest.clone() };
    let mut child = zygote.parent.fork(id, &request, theirs.as_fd()).await.map_err(|error| match error {
        ForkError::Gone => BuildError::Lost,
        error => fork_failed(&error),
    })?;
    drop(theirs);
    let forks = caller.forks.clone();
    if let Some(listener) = child.listener.take() {
        network.expect(listener, caller);
    }
    let (parent, mut notices) = Parent::new(ours);
    let over = over_memory(Memory::of(&child, zygote.anonymous_bytes), manifest.memory_mb);
    let verdict = initialized(&mut notices, child, manifest.memory_mb, log);
    let Initialized { child, init_ms, unshared, has_restore_hooks } = tokio::select! {
        verdict = tokio::time::timeout(INIT_TIMEOUT + KILL_GRACE, verdict) => {
            verdict.unwrap_or_else(|_| Err(BuildError::Init(ErrorPayload::init_timed_out())))?
        }
        () = over => return Err(BuildError::Init(ErrorPayload::init_out_of_memory(manifest.memory_mb))),
    };
    tracing::info!(function = manifest.function_name, init_ms, unshared, "template ready");
    let kind = if unshared.is_some() { Kind::Unshared } else { Kind::Shared { parent, forks, child } };
    let (built, shared_bytes) = (Instant::now(), zygote.anonymous_bytes);
    Ok(Template { kind, shared_bytes, built, init: built - began, unshared, has_restore_hooks })
}

/// A template's process after its init phase.
struct Initialized {
    child: Child,
    init_ms: f64,
    unshared: Option<String>,
    has_restore_hooks: bool,
}

/// Reads notices up to the verdict. The child is killed when this fails or is dropped.
async fn initialized(
    notices: &mut Notices,
    mut child: Child,
    memory_mb: u32,
    log: &mut BytesMut,
) -> Result<Initialized, BuildError> {
    while let Some(notice) = notices.recv().await {
        match notice {
            ControlReply::Log { line } => put_line(log, line.as_bytes()),
            ControlReply::Initialized { init_ms, unshared, has_restore_hooks } => {
                return Ok(Initialized { child, init_ms, unshared, has_restore_hooks });
            }
            ControlReply::InitFailed { error } => return Err(BuildError::Init(error)),
            other => tracing::debug!(?other, "unexpected reply from a template"),
        }
    }
    Err(Phase::Init.ended(child.exit().await, memory_mb))
}

/// Between rebuilds of a template that does not stay up.
pub(crate) const REBUILD_PAUSE: Duration = Duration::from_millis(500);
