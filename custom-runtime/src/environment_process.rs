//! The first process of an environment: enters the sandbox, waits until the PoP
//! counts whoever it starts, and becomes the supervisor of the function's
//! programs. It is in the same sandbox as they are: who takes it over has gained
//! nothing.

use crate::door::Door;
use crate::supervisor;
use anyhow::Context;
use environment::Manifest;
use nix::unistd::{Pid, setpgid};
use sandbox::{Cell, Control, Entry, exit_now, restore_signals};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// What the PoP has asked for.
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) manifest: Manifest,
    pub(crate) socket: OwnedFd,
    pub(crate) cell: Cell,
    pub(crate) zygote: Control,
}

/// Does not return while the environment lives.
pub(crate) fn run(order: Order) -> anyhow::Result<()> {
    let Order { id, mut manifest, socket, mut cell, zygote } = order;
    let started = Instant::now();
    // For the operator's `ps` and `top`.
    let _ = nix::sys::prctl::set_name(c"environment");
    restore_signals()?;
    // The group that the PoP stops; none of the programs can leave it.
    let own = Pid::from_raw(0);
    setpgid(own, own).context("process group")?;
    cell.enter(Entry { id, own: None, zygote, kept: &[socket.as_fd()] }, &mut manifest)?;
    let tmp_dir = cell.enter_environment(&manifest, id)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    let door = Door::receive(&stream).context("door")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let code = local.block_on(&runtime, supervisor::supervise(manifest, &tmp_dir, (stream, door), started))?;
    exit_now(code)
}
