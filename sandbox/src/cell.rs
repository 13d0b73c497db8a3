//! A cell: what a template and its environments share of the sandbox, and the
//! steps in which each of them enters it. A step that was planned and fails ends
//! the process: nothing runs with less than was promised at start-up.

use crate::code::Code;
use crate::control::Control;
use crate::failure::during;
use crate::filter::{self, Stage};
use crate::landlock::{self, Places};
use crate::listener::{self, Forks, Listening};
use crate::mount;
use crate::namespaces::{self, Ground, Held, INSIDE};
use crate::privileges;
use crate::root::CODE_DIR;
use crate::tmp;
use environment::manifest::STORES_DIR;
use environment::{ControlReply, Layer, Manifest};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::{Mode, umask};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which layers a child enters: those that a trial has shown to work here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Namespaces and the root in them.
    pub(crate) ground: Option<Ground>,
    pub(crate) tmp: bool,
    pub(crate) system_calls: bool,
    pub(crate) network: bool,
    pub(crate) landlock: bool,
}

/// One of the layers could not be entered.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", layer.name())]
pub struct EntryError {
    pub(crate) layer: Layer,
    pub(crate) source: io::Error,
}

/// The sandbox of one function, seen from a process in it.
#[derive(Debug)]
pub struct Cell {
    plan: Plan,
    code: Arc<Code>,
    held: Option<Held>,
}

/// What a new child of the zygote brings along.
pub struct Entry<'a> {
    pub id: u64,
    /// Its own socket to the PoP, when it is a template.
    pub own: Option<&'a mut Control>,
    /// Its zygote's, for one message.
    pub zygote: Control,
    /// Other descriptors that stay open.
    pub kept: &'a [BorrowedFd<'a>],
}

impl Cell {
    pub(crate) fn new(plan: Plan, code: &Arc<Code>, held: Option<Held>) -> Cell {
        Cell { plan, code: Arc::clone(code), held }
    }

    pub(crate) fn has_own_tmp(&self) -> bool {
        self.held.is_some() && self.plan.tmp
    }

    /// For a child of the zygote, before it loads user code: everything but what each environment
    /// has alone. `manifest` then says where the code is as seen from inside. The listener of its
    /// network calls goes to the PoP.
    ///
    /// # Errors
    /// The layer that failed. The process must end.
    pub fn enter(&mut self, entry: Entry<'_>, manifest: &mut Manifest) -> Result<(), EntryError> {
        let Entry { id, own, mut zygote, kept } = entry;
        self.take_place(own, &mut zygote, kept).map_err(failed(Layer::Privileges))?;
        self.give_up_privileges().map_err(failed(Layer::Privileges))?;
        if let Some(ground) = self.plan.ground {
            give_up_identity(ground).map_err(failed(Layer::Namespaces))?;
            manifest.code_dir = CODE_DIR.into();
            for store in &mut manifest.key_value_stores {
                store.directory = Path::new(STORES_DIR).join(&store.id);
            }
            manifest.tmp_root = "/tmp".into();
        } else {
            privileges::drop_capabilities().map_err(failed(Layer::Privileges))?;
            if self.plan.landlock {
                let places = Places::of_machine(&manifest.code_dir, &manifest.tmp_root, "/proc");
                landlock::enter(&places.with_stores(manifest).with(&self.code)).map_err(failed(Layer::Landlock))?;
            }
        }
        if !self.plan.system_calls {
            return Ok(());
        }
        let listener = if self.plan.network {
            let listening = if self.code.has_programs() { Listening::Asked } else { Listening::Never };
            let forks = match *self.code {
                Code::Native(_) => Forks::Asked,
                Code::Text | Code::Programs(_) => Forks::Unasked,
            };
            Some(listener::listen(forks, listening).map_err(failed(Layer::Network))?)
        } else {
            listener::refuse_the_unknown().map_err(failed(Layer::SystemCalls))?;
            None
        };
        let controls = &[OWN_CONTROL, ZYGOTE_CONTROL];
        filter::enter(Stage::Template { controls }, &self.code).map_err(failed(Layer::SystemCalls))?;
        if let Some(listener) = listener {
            if let Some(sockets) = self.held.as_mut().and_then(|held| held.sockets.take()) {
                zygote.send(&ControlReply::Sockets { id }, Some(sockets.as_fd())).map_err(failed(Layer::Network))?;
            }
            let listening = ControlReply::Listening { id };
            zygote.send(&listening, Some(listener.as_fd())).map_err(failed(Layer::Network))?;
        }
        Ok(())
    }

    /// For an environment, before it runs user code: what it has alone. Returns its private
    /// directory: `/tmp` itself where that is its own.
    ///
    /// # Errors
    /// The layer that failed. The process must end.
    pub fn enter_environment(self, manifest: &Manifest, id: u64) -> Result<PathBuf, EntryError> {
        let Cell { plan, code, held } = self;
        let tmp_dir = match &held {
            Some(held) if plan.tmp => own_tmp(held, code.tasks_max()).map_err(failed(Layer::Tmp))?,
            _ => private_directory(&manifest.tmp_root, id).map_err(failed(Layer::Tmp))?,
        };
        if plan.landlock {
            let places = match plan.ground {
                Some(_) => Places::of_own_root(),
                None => Places::of_machine(&manifest.code_dir, &tmp_dir, "/proc/self").with_stores(manifest),
            };
            landlock::enter(&places.with(&code)).map_err(failed(Layer::Landlock))?;
        }
        if plan.system_calls {
            filter::enter(Stage::Environment { pid: std::process::id() }, &code).map_err(failed(Layer::SystemCalls))?;
        }
        // The keeper sees by this descriptor that somebody lives: it stays open until the end.
        if let Some(held) = held {
            std::mem::forget(held.life);
        }
        Ok(tmp_dir)
    }

    /// Moves the descriptors that a filter knows by number to where user code can never put
    /// another: above the limit that it gets. Closes the rest.
    fn take_place(
        &mut self,
        mut own: Option<&mut Control>,
        zygote: &mut Control,
        kept: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        privileges::raise_descriptor_limit()?;
        let mut open: Vec<BorrowedFd<'_>> = kept.to_vec();
        zygote.move_to(ZYGOTE_CONTROL)?;
        open.push(zygote.as_fd());
        if let Some(own) = &mut own {
            own.move_to(OWN_CONTROL)?;
        }
        open.extend(own.iter().map(|own| own.as_fd()));
        if let Some(held) = &mut self.held {
            held.life = moved_up(&held.life)?;
            held.queue = moved_up(&held.queue)?;
            if let Some(sockets) = &mut held.sockets {
                *sockets = moved_up(sockets)?;
            }
            open.extend([held.life.as_fd(), held.queue.as_fd()]);
            open.extend(held.sockets.iter().map(|sockets| sockets.as_fd()));
        }
        close_standard_streams()?;
        privileges::close_all_but(&open)
    }

    fn give_up_privileges(&self) -> io::Result<()> {
        privileges::clear_variables();
        umask(Mode::from_bits_truncate(0o077));
        nix::sys::prctl::set_no_new_privs().map_err(during("no new privileges"))?;
        privileges::set_bounds()
    }
}

fn failed(layer: Layer) -> impl FnOnce(io::Error) -> EntryError {
    move |source| EntryError { layer, source }
}

fn give_up_identity(ground: Ground) -> io::Result<()> {
    namespaces::become_ordinary(ground)?;
    namespaces::enter_user_namespace(INSIDE)?;
    privileges::drop_capabilities()
}

/// Covers the cell's `/tmp` with one that nobody else has. In a user namespace of its own, so
/// that neither files of other processes nor their count of threads are shared.
fn own_tmp(held: &Held, tasks_max: u64) -> io::Result<PathBuf> {
    namespaces::enter_user_and_mount_namespace(INSIDE)?;
    mount::attach(tmp::take(held.queue.as_fd())?, Path::new("/tmp"))?;
    privileges::drop_capabilities()?;
    privileges::bound_tasks(tasks_max)?;
    Ok("/tmp".into())
}

fn private_directory(tmp_root: &Path, id: u64) -> io::Result<PathBuf> {
    let path = tmp_root.join(id.to_string());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(during(path.display()))?;
    Ok(path)
}

fn close_standard_streams() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(during("/dev/null"))?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

fn moved_up(descriptor: &OwnedFd) -> io::Result<OwnedFd> {
    let moved = fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(ZYGOTE_CONTROL + 1))?;
    Ok(crate::fork::adopt(moved))
}

/// Above every number that user code can get (`DESCRIPTORS_MAX`).
const OWN_CONTROL: RawFd = 2_000;
const ZYGOTE_CONTROL: RawFd = 2_001;
