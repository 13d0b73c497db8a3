//! What of the sandbox this machine gives: tried once, in children that end at
//! once, by the same steps that templates and environments take.

use crate::cell::{Cell, Entry, EntryError, Plan};
use crate::code::Code;
use crate::control::Control;
use crate::failure::during;
use crate::fork::{self, Forked, Side, exit_now};
use crate::landlock;
use crate::listener;
use crate::namespaces::{self, Ground, Made, Wanted};
use crate::privileges;
use crate::tmp;
use environment::manifest::KeyValueStore;
use environment::{Initialization, Layer, LayerState, Manifest, Runtime};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{getppid, pipe2};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a new cell is for.
pub(crate) struct Wish {
    pub(crate) code_dir: PathBuf,
    pub(crate) layers_dir: Option<PathBuf>,
    pub(crate) key_value_stores: Vec<KeyValueStore>,
    pub(crate) tmp_mb: u32,
}

/// The sandbox as this machine gives it. Belongs to a zygote.
#[derive(Debug)]
pub struct Sandbox {
    plan: Plan,
    code: Arc<Code>,
    pop: OwnedFd,
    missing: BTreeMap<&'static str, String>,
}

impl Sandbox {
    /// Tries every layer. For a zygote, whose parent is the PoP, and whose functions are such `code`.
    ///
    /// # Errors
    /// Not even a child without any layer can be made.
    pub fn probe(code: Code) -> io::Result<Sandbox> {
        // Children that a helper process makes are this process's once the helper is gone.
        nix::sys::prctl::set_child_subreaper(true).map_err(during("adopting children"))?;
        let pop = fork::pidfd_open(getppid().as_raw()).map_err(during("descriptor of the PoP"))?;
        let ground = if privileges::is_administrator() { Ground::Administrator } else { Ground::UserNamespace };
        let plan = Plan { ground: Some(ground), tmp: true, system_calls: true, network: true, landlock: true };
        let mut sandbox = Sandbox { plan, code: Arc::new(code), pop, missing: BTreeMap::new() };
        if let Some(reason) = landlock::missing() {
            sandbox.give_up(Layer::Landlock, &reason);
        }
        if !listener::is_supported() {
            sandbox.give_up(Layer::Network, "the kernel is older than 5.14");
        }
        while let Err(EntryError { layer, source }) = sandbox.attempt() {
            if layer == Layer::Privileges {
                return Err(source);
            }
            sandbox.give_up(layer, &source.to_string());
        }
        if let (Some(ground), true) = (sandbox.plan.ground, sandbox.plan.tmp)
            && let Some(reason) = tmp::reaches_disk(ground.quota(1))
        {
            sandbox.missing.insert(Layer::TmpInMemory.name(), reason);
        }
        Ok(sandbox)
    }

    /// Every layer, and why it is missing if it is.
    #[must_use]
    pub fn layers(&self) -> Vec<LayerState> {
        let state = |layer: Layer| LayerState { layer, missing: self.missing.get(layer.name()).cloned() };
        Layer::ALL.map(state).to_vec()
    }

    /// Forks a child into a new cell, as `wish` says it, which is called in the child that makes the
    /// cell: nothing of it comes into the memory of this process.
    pub(crate) fn fork(&self, wish: impl FnOnce() -> io::Result<Wish>) -> io::Result<Forked<Cell>> {
        let Some(ground) = self.plan.ground else {
            return Ok(match fork::fork()? {
                Forked::Child(()) => Forked::Child(Cell::new(self.plan, &self.code, None)),
                Forked::Parent { pid, pidfd } => Forked::Parent { pid, pidfd },
            });
        };
        fork::check_threads()?;
        let pop = self.pop.try_clone()?;
        let (said, word) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let helper = fork::fork_again()?;
        if let Side::Parent(_) = helper {
            drop(word);
            let pid = child_of_helper(said)?;
            return Ok(Forked::Parent { pid, pidfd: fork::pidfd_open(pid)? });
        }
        drop(said);
        let empty_network = self.plan.network.then_some(());
        let word_to_zygote = move |text: &str| File::from(word).write_all(text.as_bytes());
        let made = wish()
            .and_then(|wish| namespaces::make(Wanted { ground, wish: &wish, code: &self.code, empty_network, pop }));
        match made {
            Ok(Made::Child(held)) => Ok(Forked::Child(Cell::new(self.plan, &self.code, Some(held)))),
            Ok(Made::Helper(pid)) => {
                // A zygote that is gone does not need the number.
                let _ = word_to_zygote(&pid.to_string());
                exit_now(0)
            }
            Err(error) => {
                let _ = word_to_zygote(&error.to_string());
                exit_now(1)
            }
        }
    }

    /// Enters everything that is planned, in a child, and reports the layer that failed.
    fn attempt(&self) -> Result<(), EntryError> {
        let trial = |source| EntryError { layer: Layer::Namespaces, source };
        let (said, word) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from).map_err(trial)?;
        let program = std::env::current_exe().map_err(trial)?;
        let code_dir = program.parent().unwrap_or(Path::new("/")).to_owned();
        let tmp_mb = environment::limits::TMP_MB_DEFAULT;
        let wish = || Ok(Wish { code_dir, layers_dir: None, key_value_stores: Vec::new(), tmp_mb });
        match self.fork(wish).map_err(trial)? {
            Forked::Child(cell) => {
                let verdict = match enter(cell, &word) {
                    Ok(()) => String::new(),
                    Err(error) => format!("{}\n{}", error.layer.name(), error.source),
                };
                let _ = File::from(word).write_all(format!("{verdict}\n").as_bytes());
                exit_now(0)
            }
            Forked::Parent { .. } => drop(word),
        }
        let mut text = String::new();
        File::from(said).read_to_string(&mut text).map_err(trial)?;
        match text.split_once('\n') {
            Some(("", _)) => Ok(()),
            Some((name, reason)) => {
                let layer = Layer::ALL.into_iter().find(|layer| layer.name() == name).unwrap_or(Layer::Namespaces);
                Err(EntryError { layer, source: io::Error::other(reason.trim_end().to_owned()) })
            }
            None => Err(EntryError {
                layer: if self.plan.system_calls { Layer::SystemCalls } else { Layer::Namespaces },
                source: io::Error::other("the process that tried it ended"),
            }),
        }
    }

    fn give_up(&mut self, layer: Layer, reason: &str) {
        let plan = &mut self.plan;
        let mut lost = vec![layer];
        match layer {
            Layer::Namespaces | Layer::Files if plan.ground == Some(Ground::Administrator) => {
                // A container's root user may still have user namespaces.
                plan.ground = Some(Ground::UserNamespace);
                return;
            }
            Layer::Namespaces | Layer::Files => {
                plan.ground = None;
                plan.tmp = false;
                lost = vec![Layer::Namespaces, Layer::Files, Layer::Tmp, Layer::TmpInMemory];
            }
            Layer::Tmp | Layer::TmpInMemory => {
                plan.tmp = false;
                lost = vec![Layer::Tmp, Layer::TmpInMemory];
            }
            Layer::SystemCalls => {
                plan.system_calls = false;
                plan.network = false;
                lost.push(Layer::Network);
            }
            Layer::Network => plan.network = false,
            Layer::Landlock => plan.landlock = false,
            Layer::Privileges => {}
        }
        for layer in lost {
            self.missing.entry(layer.name()).or_insert_with(|| reason.to_owned());
        }
    }
}

/// What an environment that loads its own code does, with sockets that lead nowhere.
fn enter(mut cell: Cell, word: &OwnedFd) -> Result<(), EntryError> {
    let trial = |source| EntryError { layer: Layer::Privileges, source };
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (zygote, other) = pair.map_err(io::Error::from).map_err(trial)?;
    let zygote = Control::new(zygote).map_err(trial)?;
    let mut manifest = manifest();
    let kept = [word.as_fd(), other.as_fd()];
    cell.enter(Entry { id: 0, own: None, zygote, kept: &kept }, &mut manifest)?;
    let shared_root = !cell.has_own_tmp();
    let tmp_dir = cell.enter_environment(&manifest, std::process::id().into())?;
    if shared_root {
        // The system's own directory for temporary files is cleaned up some time if not here.
        let _ = std::fs::remove_dir(tmp_dir);
    }
    Ok(())
}

fn manifest() -> Manifest {
    Manifest {
        function_name: String::new(),
        version: String::new(),
        invoked_function_arn: String::new(),
        runtime: Runtime::ALL[0],
        handler: String::new(),
        code_dir: "/".into(),
        layers_dir: None,
        key_value_stores: Vec::new(),
        tmp_root: std::env::temp_dir(),
        variables: BTreeMap::new(),
        memory_mb: 0,
        timeout_ms: 0,
        initialization: Initialization::OnDemand,
        inspected: None,
        tmp_mb: environment::limits::TMP_MB_DEFAULT,
        log_group_name: String::new(),
        log_stream_name: String::new(),
        log_bytes_max: 0,
        result_bytes_max: 0,
    }
}

/// The pid that the helper forked, or why it could not.
fn child_of_helper(said: OwnedFd) -> io::Result<i32> {
    let mut word = String::new();
    File::from(said).read_to_string(&mut word)?;
    word.parse().map_err(|_| match word.as_str() {
        "" => io::Error::other("the process that makes namespaces ended"),
        reason => io::Error::other(reason.to_owned()),
    })
}
