//! The loop that a zygote and a template share: fork when the PoP asks, report
//! every child's end, stop when the PoP is gone. Fork is the last thing the
//! loop does in a child: it returns there with the child's orders.

use crate::cell::Cell;
use crate::control::Control;
use crate::fork::{self, Forked};
use crate::probe::{Sandbox, Wish};
use crate::request::Request;
use environment::{ControlReply, ControlRequest, Manifest};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a fresh child is to become, its own socket, the cell it is in, and its zygote's socket.
pub enum Birth {
    /// From a zygote.
    Template { id: u64, manifest: Manifest, socket: OwnedFd, cell: Cell, zygote: Control },
    /// From a zygote: it loads the code itself.
    Unshared { id: u64, manifest: Manifest, socket: OwnedFd, cell: Cell, zygote: Control },
    /// From a template.
    Copy { id: u64, socket: OwnedFd, cell: Cell },
}

/// Where children come from.
pub enum Source {
    /// A zygote: each child gets a cell of its own.
    Zygote(Sandbox),
    /// A template: its children stay in its cell.
    Template(Cell),
}

/// What an engine does around every fork. In the child it has its own place to go on.
#[derive(Clone, Copy, Debug)]
pub struct AroundFork {
    pub before: fn(),
    pub after_in_parent: fn(),
}

impl AroundFork {
    /// Nothing.
    pub const NOTHING: AroundFork = AroundFork { before: || {}, after_in_parent: || {} };
}

/// A control socket and the children made for it.
pub struct Children {
    control: Control,
    source: Source,
    around_fork: AroundFork,
    ends: SignalFd,
    ids: HashMap<i32, u64>,
}

impl Children {
    /// Routes SIGCHLD into the loop. From here on it is blocked in this process;
    /// a child that does not loop calls [`restore_signals`].
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(control: Control, source: Source) -> io::Result<Children> {
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGCHLD);
        ends.thread_block()?;
        let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Children { control, source, around_fork: AroundFork::NOTHING, ends, ids: HashMap::new() })
    }

    /// The same, for an engine that must know of its forks.
    #[must_use]
    pub fn around_fork(self, around_fork: AroundFork) -> Children {
        Children { around_fork, ..self }
    }

    /// The socket to the PoP.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Serves until the PoP is gone (`None`), or returns in a new child. The
    /// parent's descriptors are closed in that child when this returns.
    ///
    /// # Errors
    /// The PoP breaks the protocol or a descriptor fails.
    pub fn serve(mut self) -> io::Result<Option<Birth>> {
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
                match self.obey(&request, socket)? {
                    None => {}
                    Some((socket, cell)) => return Ok(Some(self.birth(&request, socket, cell)?)),
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

    /// Forks and answers. In the child: its socket, and its cell when that is a new one.
    fn obey(&mut self, request: &Request, socket: Option<OwnedFd>) -> io::Result<Option<(OwnedFd, Option<Cell>)>> {
        let id = request.id;
        let Some(socket) = socket else {
            let reason = "the request came without a descriptor for the child's socket".to_owned();
            self.control.send(&ControlReply::ForkFailed { id, reason }, None)?;
            return Ok(None);
        };
        (self.around_fork.before)();
        let forked = self.fork(request);
        if !matches!(forked, Ok(Forked::Child(_))) {
            (self.around_fork.after_in_parent)();
        }
        match forked {
            Ok(Forked::Child(cell)) => Ok(Some((socket, cell))),
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

    fn fork(&self, request: &Request) -> io::Result<Forked<Option<Cell>>> {
        match (&self.source, request.has_manifest) {
            (Source::Zygote(sandbox), true) => Ok(match sandbox.fork(|| wish(request))? {
                Forked::Child(cell) => Forked::Child(Some(cell)),
                Forked::Parent { pid, pidfd } => Forked::Parent { pid, pidfd },
            }),
            (Source::Template(_), false) => Ok(match fork::fork()? {
                Forked::Child(()) => Forked::Child(None),
                Forked::Parent { pid, pidfd } => Forked::Parent { pid, pidfd },
            }),
            (Source::Zygote(_), false) => Err(io::Error::other("a zygote needs a manifest to make an environment")),
            (Source::Template(_), true) => Err(io::Error::other("a template makes copies of itself only")),
        }
    }

    fn birth(self, request: &Request, socket: OwnedFd, cell: Option<Cell>) -> io::Result<Birth> {
        match (request.whole()?, self.source, cell) {
            (ControlRequest::Template { id, manifest }, _, Some(cell)) => {
                Ok(Birth::Template { id, manifest, socket, cell, zygote: self.control })
            }
            (ControlRequest::Environment { id, manifest: Some(manifest) }, _, Some(cell)) => {
                Ok(Birth::Unshared { id, manifest, socket, cell, zygote: self.control })
            }
            (ControlRequest::Environment { id, manifest: None }, Source::Template(cell), None) => {
                Ok(Birth::Copy { id, socket, cell })
            }
            _ => Err(io::Error::other("a child was forked that nobody asked for")),
        }
    }
}

/// What the namespaces of a zygote's child are made for. Called in the process that makes them.
fn wish(request: &Request) -> io::Result<Wish> {
    match request.whole()? {
        ControlRequest::Template { manifest, .. } | ControlRequest::Environment { manifest: Some(manifest), .. } => {
            let Manifest { code_dir, layers_dir, key_value_stores, tmp_mb, .. } = manifest;
            Ok(Wish { code_dir, layers_dir, key_value_stores, tmp_mb })
        }
        ControlRequest::Environment { manifest: None, .. } => Err(io::Error::other("a zygote needs a manifest")),
    }
}

/// Undoes [`Children::new`]'s mask in a child.
///
/// # Errors
/// Never on a system with signals.
pub fn restore_signals() -> io::Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_unblock()?;
    Ok(())
}
