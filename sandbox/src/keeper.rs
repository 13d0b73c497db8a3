//! The first process of a cell's namespaces. It runs no user code: it makes
//! `/tmp` directories ahead of need and sockets when the PoP asks for them, reaps what its namespace leaves behind, and
//! ends, and everything in the namespace with it, when the PoP is gone or
//! nothing else is left.

use crate::failure::during;
use crate::fork::{self, exit_now};
use crate::mount;
use crate::privileges;
use crate::sockets;
use crate::tmp::{self, Quota};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What a keeper is given.
pub(crate) struct Keeper {
    /// Hangs up when no other process of the namespaces is left.
    pub(crate) life: OwnedFd,
    /// Readable when the PoP is gone.
    pub(crate) pop: OwnedFd,
    pub(crate) queue: OwnedFd,
    pub(crate) quota: Quota,
    /// Where the PoP asks for sockets of the namespaces' own network, if programs may listen there.
    pub(crate) asked: Option<OwnedFd>,
}

impl Keeper {
    /// Mounts what only a process inside can and keeps the namespaces. `ready` takes one zero byte
    /// when they are ready, or the reason why not.
    pub(crate) fn run(mut self, new_root: &Path, ready: OwnedFd) -> ! {
        let prepared = self.prepare(new_root, &ready);
        let mut ready = File::from(ready);
        // Whoever waits for the word reads the end instead when it cannot be written.
        let _ = match &prepared {
            Ok(()) => ready.write_all(&[0]),
            Err(error) => ready.write_all(error.to_string().as_bytes()),
        };
        drop(ready);
        if prepared.is_err() || self.keep().is_err() {
            exit_now(EXIT_BROKEN);
        }
        exit_now(0)
    }

    fn prepare(&self, new_root: &Path, ready: &OwnedFd) -> io::Result<()> {
        let mut kept = vec![self.life.as_fd(), self.pop.as_fd(), self.queue.as_fd(), ready.as_fd()];
        kept.extend(self.asked.iter().map(AsFd::as_fd));
        privileges::close_all_but(&kept)?;
        let _ = nix::sys::prctl::set_name(c"selvedge-keeper");
        nix::sys::prctl::set_no_new_privs().map_err(during("no new privileges"))?;
        // Own processes only, and of those only what a process may inspect anyway.
        let options = "subset=pid,hidepid=invisible";
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), &new_root.join("proc"), Some("proc"), flags, Some(options)).map_err(during("/proc"))?;
        mount::attach(tmp::make(self.quota)?, &new_root.join("tmp"))?;
        privileges::keep_mounting_only()
    }

    fn keep(&mut self) -> io::Result<()> {
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGCHLD);
        ends.thread_block()?;
        let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut spare = None;
        let mut wanted = true;
        loop {
            let mut waits = vec![
                PollFd::new(self.life.as_fd(), PollFlags::empty()),
                PollFd::new(self.pop.as_fd(), PollFlags::POLLIN),
                PollFd::new(ends.as_fd(), PollFlags::POLLIN),
            ];
            let mut more = Vec::new();
            if let Some(asked) = &self.asked {
                more.push(Work::Socket);
                waits.push(PollFd::new(asked.as_fd(), PollFlags::POLLIN));
            }
            if wanted {
                more.push(Work::Tmp);
                waits.push(PollFd::new(self.queue.as_fd(), PollFlags::POLLOUT));
            }
            match poll(&mut waits, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let seen: Vec<bool> = waits.iter().map(|wait| wait.any().unwrap_or(true)).collect();
            if seen[0] || seen[1] {
                return Ok(());
            }
            if seen[2] {
                while ends.read_signal()?.is_some() {}
                while fork::reap().is_some() {}
            }
            for work in more.into_iter().zip(&seen[3..]).filter_map(|(work, seen)| seen.then_some(work)) {
                match work {
                    Work::Tmp => wanted = self.refill(&mut spare)?,
                    Work::Socket => self.make_socket()?,
                }
            }
        }
    }

    fn make_socket(&mut self) -> io::Result<()> {
        if let Some(asked) = &self.asked
            && !sockets::answer(asked.as_fd())?
        {
            self.asked = None;
        }
        Ok(())
    }

    /// False when nobody will ask again: an environment that loads its own code asks once, and no
    /// template of its namespaces is left.
    fn refill(&self, spare: &mut Option<OwnedFd>) -> io::Result<bool> {
        let made = match spare.take() {
            Some(made) => made,
            None => tmp::make(self.quota)?,
        };
        match tmp::offer(self.queue.as_fd(), made.as_fd()) {
            Ok(true) => {}
            Ok(false) => *spare = Some(made),
            // Reset when spares were still waiting in it.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// What a keeper is asked for.
#[derive(Clone, Copy)]
enum Work {
    Tmp,
    Socket,
}

const EXIT_BROKEN: i32 = 70;
