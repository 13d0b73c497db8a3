//! What holds an environment back that has used more than its share: a stop, or
//! a quota of its control group. When is `cpu`'s to decide.

use super::CpuKeeping;
use crate::cgroup::{Group, Groups};
use crate::parent::Child;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// Of one environment.
#[derive(Debug)]
pub(super) enum Brake {
    Stop { until: Option<Instant> },
    Quota(Quota),
}

/// A group is made when it is needed first, beside the invocation: most environments never need one.
#[derive(Debug)]
pub(super) struct Quota {
    groups: Arc<Groups>,
    /// Cores.
    share: f64,
    group: Wanted,
    is_on: bool,
}

#[derive(Debug)]
enum Wanted {
    NotYet,
    Coming(oneshot::Receiver<io::Result<Group>>),
    There(Group),
}

impl Brake {
    /// For `share` of a core.
    pub(super) fn new(keeping: &CpuKeeping, share: f64) -> Brake {
        match keeping {
            CpuKeeping::Groups(groups) => {
                Brake::Quota(Quota { groups: Arc::clone(groups), share, group: Wanted::NotYet, is_on: false })
            }
            CpuKeeping::Stopping | CpuKeeping::Nothing => Brake::Stop { until: None },
        }
    }

    /// Whether somebody must continue the process afterwards.
    pub(super) fn stops(&self) -> bool {
        matches!(self, Brake::Stop { .. })
    }

    /// Makes its group now.
    pub(super) async fn make_group(&mut self, pid: i32) -> io::Result<()> {
        if let Brake::Quota(quota) = self {
            let made = quota.order(pid).await.map_err(io::Error::other)?;
            quota.group = Wanted::There(made?);
        }
        Ok(())
    }

    /// Until when the process does not run at all, if it is stopped.
    pub(super) fn stopped_until(&self) -> Option<Instant> {
        match self {
            Brake::Stop { until } => *until,
            Brake::Quota(_) => None,
        }
    }

    /// What its group has used, if it has one.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        match self {
            Brake::Quota(Quota { group: Wanted::There(group), .. }) => group.cpu_time(),
            Brake::Quota(_) | Brake::Stop { .. } => None,
        }
    }

    /// Holds the process to its share of a core, or stops it until `until`.
    pub(super) fn put_on(&mut self, child: &Child, until: Instant) {
        match self {
            Brake::Stop { until: stopped } => {
                child.stop();
                *stopped = Some(until);
            }
            Brake::Quota(quota) => {
                if let Err(error) = quota.put_on(child.pid) {
                    tracing::warn!(%error, "cpu: no control group for an environment, it is stopped instead");
                    *self = Brake::Stop { until: None };
                }
            }
        }
    }

    /// When to look at the process again.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        match self {
            Brake::Stop { until } => *until,
            Brake::Quota(_) => Some(now + LOOK_EVERY),
        }
    }

    pub(super) fn release(&mut self, child: &Child) {
        match self {
            Brake::Stop { until } => {
                if until.take().is_some() {
                    child.go_on();
                }
            }
            Brake::Quota(quota) => quota.release(),
        }
    }
}

impl Quota {
    fn put_on(&mut self, pid: i32) -> io::Result<()> {
        if self.is_on {
            return Ok(());
        }
        if let Wanted::Coming(coming) = &mut self.group {
            match coming.try_recv() {
                Ok(made) => self.group = Wanted::There(made?),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        match &self.group {
            Wanted::NotYet => self.group = Wanted::Coming(self.order(pid)),
            Wanted::Coming(_) => {}
            Wanted::There(group) => {
                group.hold()?;
                self.is_on = true;
            }
        }
        Ok(())
    }

    fn order(&self, pid: i32) -> oneshot::Receiver<io::Result<Group>> {
        let (give, coming) = oneshot::channel();
        let (groups, share) = (Arc::clone(&self.groups), self.share);
        // One that comes too late is dropped, and removed.
        tokio::task::spawn_blocking(move || drop(give.send(groups.group(pid, share))));
        coming
    }

    fn release(&mut self) {
        if let (true, Wanted::There(group)) = (self.is_on, &self.group) {
            self.is_on = false;
            if let Err(error) = group.let_go() {
                tracing::warn!(%error, "cpu: an environment stays held to its share");
            }
        }
    }
}

/// A quota lasts, but what is to be paid back may be so soon.
const LOOK_EVERY: Duration = Duration::from_millis(10);
