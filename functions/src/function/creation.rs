//! How a function's environments are made: forked, then waited for where they
//! have something to do first, and why there is none.

use super::Core;
use crate::channel::Channel;
use crate::connection::{Environment, Forked};
use crate::cpu::Pace;
use crate::household::Household;
use crate::leaving::Exit;
use crate::log_lines::{self, Failure, Start};
use crate::network::{Caller, Door};
use crate::parent::{ForkError, Parent};
use crate::phase::Phase;
use crate::pool::{Place, Refused};
use crate::template::{BuildError, Kind};
use bytes::BytesMut;
use environment::{ControlRequest, Frame, Language, Manifest, Outcome, Suspension, Throttle};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

/// Why an invocation has no environment.
pub(super) struct NotCreated {
    pub(super) outcome: Outcome,
    /// What it had waited for.
    pub(super) phase: Phase,
}

impl From<Refused> for NotCreated {
    fn from(refused: Refused) -> NotCreated {
        let outcome = Outcome::Throttled(Throttle::NoEnvironment(refused.to_string()));
        NotCreated { outcome, phase: Phase::Init }
    }
}

impl From<BuildError> for NotCreated {
    fn from(error: BuildError) -> NotCreated {
        let mut phase = Phase::Init;
        let outcome = match error {
            BuildError::Init(error) => Outcome::InitFailed(error),
            BuildError::Restore(error) => {
                phase = Phase::Restore;
                Outcome::InitFailed(error)
            }
            BuildError::Lost => Outcome::Crashed { reason: "its process was killed before it was ready".into() },
            BuildError::Fork(reason) => Outcome::Crashed { reason: format!("environment cannot be made: {reason}") },
        };
        NotCreated { outcome, phase }
    }
}

impl Core {
    /// Makes an environment. A template that went away meanwhile is built again.
    pub(crate) async fn create(
        self: &Arc<Self>,
        place: Place<Environment>,
    ) -> Result<(Environment, Start), BuildError> {
        let began = Instant::now();
        let mut built_now = false;
        for _ in 0..FORK_ATTEMPTS {
            let (template, built) = self.template().await?;
            built_now |= built;
            let forked = match &template.kind {
                Kind::Shared { parent, forks, .. } => {
                    forks.order();
                    self.fork(parent, None).await
                }
                Kind::Unshared => match self.zygote.running().await {
                    Some(zygote) => self.fork(&zygote.parent, Some(self.manifest.clone())).await,
                    None => Err(ForkError::Gone),
                },
            };
            let mut forked = match forked {
                Ok(forked) => forked,
                Err(ForkError::Gone | ForkError::Send(_)) => continue,
                Err(error) => return Err(BuildError::Fork(error.to_string())),
            };
            let door = match self.config.runtime.language() {
                Language::Custom => Some(self.let_in(&mut forked).await.map_err(|e| BuildError::Fork(e.to_string()))?),
                Language::JavaScript | Language::Python => None,
            };
            if let (Kind::Unshared, Some(listener)) = (&template.kind, forked.child.listener.take()) {
                self.shared.network.expect(listener, Caller { door, ..self.caller() });
            }
            forked.suspension = self.let_debuggers_in(&forked).map_err(|e| BuildError::Fork(e.to_string()))?;
            let tmp = self.manifest.tmp_root.join(forked.id.to_string());
            let mut environment = Environment::new(forked, template.shared_bytes, tmp, place);
            match template.kind {
                Kind::Unshared => {
                    self.wait_until_ready(&mut environment, Phase::Init, began).await?;
                    built_now = true;
                }
                Kind::Shared { .. } if template.has_restore_hooks => {
                    self.wait_until_ready(&mut environment, Phase::Restore, Instant::now()).await?;
                }
                Kind::Shared { .. } => {}
            }
            let took = began.elapsed();
            return Ok((environment, if built_now { Start::Init(took) } else { Start::Restore(took) }));
        }
        Err(BuildError::Fork(format!("no process to fork from stayed up in {FORK_ATTEMPTS} attempts")))
    }

    async fn fork(&self, parent: &Parent, manifest: Option<Manifest>) -> Result<Forked, ForkError> {
        let id = self.shared.next_id();
        let (ours, theirs) = UnixStream::pair()?;
        let channel = Channel::new(ours)?;
        let request = ControlRequest::Environment { id, manifest };
        let child = parent.fork(id, &request, theirs.as_fd()).await?;
        let pace = Pace::new(&self.shared.cpu, self.config.memory_mb, parent.closing());
        let scratch = self.shared.scratch.as_ref().map(|scratch| scratch.hold(id, &self.name, child.handle()));
        let (leaving, function, log) = (self.shared.leaving.clone(), Arc::clone(&self.name), self.shared.log.clone());
        let exit = Exit { leaving, function, log };
        Ok(Forked { id, channel, child, pace, scratch, exit, suspension: None })
    }

    /// What a custom runtime's environment waits for before it starts a program: whoever that starts is counted
    /// and held back with it, and finds the Runtime API behind a door.
    async fn let_in(&self, forked: &mut Forked) -> io::Result<Door> {
        forked.child.household = Some(Arc::new(Household::of(forked.child.pid)?));
        forked.pace.hold_all(&forked.child).await?;
        let (door, inside) = Door::pair()?;
        let mut frame = BytesMut::new();
        Frame::Door.encode(&mut frame).map_err(io::Error::other)?;
        forked.channel.send_attached(&frame, inside.as_fd())?;
        Ok(door)
    }

    /// What an environment that may be debugged waits for before it loads the code.
    fn let_debuggers_in(&self, forked: &Forked) -> io::Result<Option<Arc<Suspension>>> {
        let Some(inspection) = self.shared.inspection.as_ref().filter(|_| self.is_inspected()) else {
            return Ok(None);
        };
        let (inside, suspension) = inspection.add(&self.config)?;
        let mut frame = BytesMut::new();
        Frame::Inspector.encode(&mut frame).map_err(io::Error::other)?;
        forked.channel.send_attached(&frame, inside.as_fd())?;
        Ok(Some(suspension))
    }

    async fn wait_until_ready(
        &self,
        environment: &mut Environment,
        phase: Phase,
        began: Instant,
    ) -> Result<(), BuildError> {
        let mut lines = BytesMut::new();
        let ready = environment.ready(phase, self.config.memory_mb, &mut lines).await;
        if let Err(BuildError::Init(error) | BuildError::Restore(error)) = &ready {
            log_lines::put_phase_report(&mut lines, phase, began.elapsed(), &Failure::of_phase(error));
        }
        self.log().write(&self.name, lines.freeze());
        ready
    }
}

pub(super) const FORK_ATTEMPTS: usize = 3;
