//! Namespaces of their own for one child of the zygote and its copies. A helper
//! process, which ends at once, makes them, forks the keeper as their first
//! process and then the child. The zygote adopts both, so it sees the child's
//! end itself, and the child's own end does not take its copies along.

use crate::code::Code;
use crate::failure::during;
use crate::fork::{self, Side};
use crate::keeper::Keeper;
use crate::loopback;
use crate::privileges;
use crate::probe::Wish;
use crate::root::{self, NEW_ROOT, Sources};
use crate::sockets;
use crate::tmp::{self, Quota};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, getegid, geteuid, pipe2, setgroups, setresgid, setresuid};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Where the right to make namespaces comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The system's administrator: environments run as nobody.
    Administrator,
    /// A user namespace of one's own: environments run as the PoP's user.
    UserNamespace,
}

impl Ground {
    /// The user and group of environments, as whoever mounts sees them.
    fn owner(self) -> (u32, u32) {
        match self {
            Ground::Administrator => (NOBODY, NOBODY),
            Ground::UserNamespace => (0, 0),
        }
    }

    /// What a `/tmp` is made from.
    pub(crate) fn quota(self, tmp_mb: u32) -> Quota {
        let (user, group) = self.owner();
        Quota { tmp_mb, user, group }
    }
}

/// What namespaces are made for.
pub(crate) struct Wanted<'a> {
    pub(crate) ground: Ground,
    pub(crate) wish: &'a Wish,
    pub(crate) code: &'a Code,
    /// Whether the network is reached through the PoP, and is empty otherwise.
    pub(crate) empty_network: Option<()>,
    /// A pidfd of the PoP.
    pub(crate) pop: OwnedFd,
}

/// What the child holds of its namespaces.
#[derive(Debug)]
pub(crate) struct Held {
    /// Tells the keeper that somebody lives.
    pub(crate) life: OwnedFd,
    /// Where environments take their `/tmp` from.
    pub(crate) queue: OwnedFd,
    /// Where the PoP asks the keeper for sockets of the namespaces' own network, on its way there: programs listen.
    pub(crate) sockets: Option<OwnedFd>,
}

/// Which process this is after [`make`].
pub(crate) enum Made {
    /// The helper: the child's pid.
    Helper(i32),
    Child(Held),
}

/// Called in the helper, which has one thread and must end afterwards.
pub(crate) fn make(wanted: Wanted<'_>) -> io::Result<Made> {
    umask(Mode::from_bits_truncate(0o022));
    if wanted.ground == Ground::UserNamespace {
        enter_user_namespace(Seen { user: 0, group: 0 })?;
    }
    unshare(flags(&wanted)).map_err(during("namespaces"))?;
    let listens = wanted.empty_network.is_some() && wanted.code.has_programs();
    if listens {
        // Where that is not allowed there is no address to listen at.
        let _ = loopback::take_up();
    }
    // No name of the machine is inside either.
    privileges::hide_host_name();
    let sources = Sources::open(wanted.wish, wanted.code)?;
    sources.build()?;
    drop(sources);
    let cloexec = nix::fcntl::OFlag::O_CLOEXEC;
    let (life_seen, life) = pipe2(cloexec).map_err(during("pipe"))?;
    let (said, ready) = pipe2(cloexec).map_err(during("pipe"))?;
    let (offers, queue) = tmp::queue()?;
    let (asked, sockets) =
        if listens { sockets::pair().map(|(asked, asks)| (Some(asked), Some(asks)))? } else { (None, None) };
    let quota = wanted.ground.quota(wanted.wish.tmp_mb);
    let keeper = Keeper { life: life_seen, pop: wanted.pop, queue: offers, quota, asked };
    match fork::fork_again()? {
        Side::Child => {
            // The keeper's copies would tell it that somebody lives.
            drop((life, queue, said, sockets));
            keeper.run(Path::new(NEW_ROOT), ready)
        }
        Side::Parent(_) => drop((keeper, ready)),
    }
    wait_for_keeper(said)?;
    root::enter()?;
    match fork::fork_again()? {
        Side::Child => Ok(Made::Child(Held { life, queue, sockets })),
        Side::Parent(pid) => Ok(Made::Helper(pid)),
    }
}

fn flags(wanted: &Wanted<'_>) -> CloneFlags {
    let mut flags =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if wanted.empty_network.is_some() {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    flags
}

fn wait_for_keeper(said: OwnedFd) -> io::Result<()> {
    let mut word = Vec::new();
    File::from(said).read_to_end(&mut word)?;
    match word.as_slice() {
        [0] => Ok(()),
        [] => Err(io::Error::other("the keeper of the namespaces ended")),
        reason => Err(io::Error::other(String::from_utf8_lossy(reason).into_owned())),
    }
}

/// How a user namespace shows the one user in it.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// The user inside templates and environments, as in Lambda.
pub(crate) const INSIDE: Seen = Seen { user: 993, group: 990 };

/// Becomes an ordinary user for good when this is the administrator.
pub(crate) fn become_ordinary(ground: Ground) -> io::Result<()> {
    if ground == Ground::Administrator {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setgroups(&[]).map_err(during("leaving groups"))?;
        setresgid(group, group, group).map_err(during("changing the group"))?;
        setresuid(user, user, user).map_err(during("changing the user"))?;
        // Changing the user hid the process from itself: its own /proc files.
        nix::sys::prctl::set_dumpable(true).map_err(during("changing the user"))?;
    }
    Ok(())
}

/// A user namespace with the current user alone in it.
pub(crate) fn enter_user_namespace(seen: Seen) -> io::Result<()> {
    enter_with(CloneFlags::CLONE_NEWUSER, seen)
}

/// The same, with mounts of one's own.
pub(crate) fn enter_user_and_mount_namespace(seen: Seen) -> io::Result<()> {
    enter_with(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS, seen)
}

fn enter_with(flags: CloneFlags, seen: Seen) -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(flags).map_err(during("user namespace"))?;
    let write = |file: &str, text: String| std::fs::write(format!("/proc/self/{file}"), text).map_err(during(file));
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{} {user} 1", seen.user))?;
    write("gid_map", format!("{} {group} 1", seen.group))
}

/// The user that owns nothing.
const NOBODY: u32 = 65_534;
