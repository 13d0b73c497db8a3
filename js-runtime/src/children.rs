//! The loop that a zygote and a template share: fork when the PoP asks, report
//! every child's end, stop when the PoP is gone. Fork is the last thing the
//! loop does in a child: it returns there with the child's orders.

use crate::control::Control;
use crate::fork::{self, Forked};
use environment::{ControlReply, ControlRequest, Manifest};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a fresh child is to become, and its own socket.
pub(crate) enum Birth {
    Template { manifest: Manifest, socket: OwnedFd },
    Environment { id: u64, manifest: Option<Manifest>, socket: OwnedFd },
}

/// A control socket and the children made for it.
pub(crate) struct Children {
    control: Control,
    ends: SignalFd,
    ids: HashMap<i32, u64>,
}

impl Children {
    /// Routes SIGCHLD into the loop. From here on it is blocked in this process;
    /// a child that does not loop calls [`restore_signals`].
    pub(crate) fn new(control: Control) -> io::Result<Children> {
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGCHLD);
        ends.thread_block()?;
        let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Children { control, ends, ids: HashMap::new() })
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Serves until the PoP is gone (`None`), or returns in a new child. The
    /// parent's descriptors are closed in that child when this returns.
    pub(crate) fn serve(mut self) -> io::Result<Option<Birth>> {
        loop {
            let mut waits = [
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waits, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = waits.map(|wait| wait.any().unwrap_or(true));
            if ready[1] {
                self.report_ends()?;
            }
            if ready[0] {
                let Some((request, socket)) = self.control.receive()? else { return Ok(None) };
                if let Some(birth) = self.obey(request, socket)? {
                    return Ok(Some(birth));
                }
            }
        }
    }

    /// Reads the signals away first: an end between the two steps is then seen in the next turn.
    fn report_ends(&mut self) -> io::Result<()> {
        while self.ends.read_signal()?.is_some() {}
        while let Some(end) = fork::reap() {
            let Some(id) = self.ids.remove(&end.pid) else { continue };
            let exited =
                ControlReply::Exited { id, exit: end.exit, memory_max_kb: end.memory_max_kb, cpu_ms: end.cpu_ms };
            self.control.send(&exited, None)?;
        }
        Ok(())
    }

    fn obey(&mut self, request: ControlRequest, socket: Option<OwnedFd>) -> io::Result<Option<Birth>> {
        let id = match &request {
            ControlRequest::Template { id, .. } | ControlRequest::Environment { id, .. } => *id,
        };
        let Some(socket) = socket else {
            let reason = "the request came without a descriptor for the child's socket".to_owned();
            self.control.send(&ControlReply::ForkFailed { id, reason }, None)?;
            return Ok(None);
        };
        match fork::fork() {
            Ok(Forked::Child) => Ok(Some(match request {
                ControlRequest::Template { manifest, .. } => Birth::Template { manifest, socket },
                ControlRequest::Environment { id, manifest } => Birth::Environment { id, manifest, socket },
            })),
            Ok(Forked::Parent { pid, pidfd }) => {
                self.ids.insert(pid, id);
                self.control.send(&ControlReply::Forked { id, pid }, Some(pidfd.as_fd()))?;
                Ok(None)
            }
            Err(error) => {
                self.control.send(&ControlReply::ForkFailed { id, reason: error.to_string() }, None)?;
                Ok(None)
            }
        }
    }
}

/// Undoes [`Children::new`]'s mask in a child.
pub(crate) fn restore_signals() -> io::Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_unblock()?;
    Ok(())
}
