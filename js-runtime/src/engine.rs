//! One JavaScript engine: one isolate, one function, one invocation at a time.
//! Made in the zygote, loaded in a template, resumed and invoked in an
//! environment. It knows nothing of processes and sockets.

pub(crate) mod extensions;
mod handler;
mod inspector;
mod key_values;
mod memory;
pub(crate) mod modules;
mod ops;
mod permissions;
mod plan;
mod source_maps;
mod sources;
mod stop;
pub(crate) mod transpile;
mod turn;
pub(crate) mod typescript;

use crate::snapshot::Snapshot;
use bytes::Bytes;
use deno_core::{JsRuntime, RuntimeOptions, v8};
use environment::frame::Exiting;
use environment::manifest::LAYERS_DIR;
use environment::{ErrorPayload, Manifest, Suspension};
use extensions::{Services, extensions};
use memory::Memory;
use modules::Access;
use ops::{Settled, Shared};
use runtime::Stores;
use sources::Sources;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use turn::{Functions, Turn};
use uuid::Uuid;

pub use inspector::{FromEngine, Inspector, ToEngine};
pub use stop::Stopper;

/// Takes one log line without its newline.
pub type LogSink = Rc<dyn Fn(&[u8])>;

/// What loading a function left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Why copies of this process must not run the function: open handles. `None` when they may.
    pub unshared: Option<String>,
    /// Whether [`Engine::resume`] runs hooks of the function.
    pub has_restore_hooks: bool,
}

/// How one invocation ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// The result, JSON bytes.
    Result(Bytes),
    /// The result's bytes, over the manifest's limit.
    TooLarge(u64),
    /// The handler failed; the environment stays usable.
    Error(ErrorPayload),
    /// The environment must end; the error is reported first when there is one.
    Exiting(Exiting, Option<ErrorPayload>),
}

/// One isolate with at most one function in it. Stays on the thread that made it.
pub struct Engine {
    runtime: JsRuntime,
    tokio: Option<tokio::runtime::Runtime>,
    functions: Functions,
    shared: Rc<Shared>,
    memory: Arc<Memory>,
    stopper: Stopper,
    access: Rc<RefCell<Access>>,
    result_bytes_max: usize,
    has_io: bool,
    tmp_dir: Option<PathBuf>,
    /// Where debuggers may attach.
    suspension: Option<Arc<Suspension>>,
}

/// Sets the flags every process with V8 in it needs before V8 starts: a process
/// that forks has one thread.
pub(crate) fn set_flags() {
    v8::V8::set_flags_from_string("--single-threaded");
}

impl Engine {
    /// An engine without user code: no threads, no I/O driver, safe to fork.
    ///
    /// # Errors
    /// The built-ins cannot be started.
    pub fn new(snapshot: &'static Snapshot, log: LogSink) -> anyhow::Result<Engine> {
        set_flags();
        // An error only says that a provider is set already.
        let _ = deno_tls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        JsRuntime::init_platform(Some(v8::new_single_threaded_default_platform(false).make_shared()));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let access = Rc::new(RefCell::new(Access {
            permissions: permissions::none(),
            code_dir: "/".into(),
            layers: Arc::default(),
            sources: None,
        }));
        let loaders = modules::loaders(&access);
        let memory = Memory::new();
        let entered = tokio.enter();
        let mut runtime = JsRuntime::try_new(RuntimeOptions {
            module_loader: Some(loaders.import),
            extensions: extensions(Services { node: Some(loaders.node), stdio: Some(deno_io::Stdio::default()) }),
            startup_snapshot: Some(snapshot.heap),
            residual_lazy_js_sources: snapshot.scripts,
            residual_lazy_esm_sources: snapshot.modules,
            create_params: Some(memory::create_params(&memory)),
            ..Default::default()
        })?;
        let stopper = stop::prepare(&mut runtime, &memory);
        memory.stop_with(&mut runtime, stopper.clone());
        let shared = Rc::new(Shared::new(log));
        shared.isolate.replace(Some(runtime.v8_isolate().thread_safe_handle()));
        {
            let state = runtime.op_state();
            let mut state = state.borrow_mut();
            state.put(access.borrow().permissions.clone());
            state.put(Arc::new(deno_features::FeatureChecker::default()));
            state.put(shared.clone());
            state.put(loaders.typescript);
        }
        let functions = Functions::bootstrap(&mut runtime)?;
        drop(entered);
        let tokio = Some(tokio);
        Ok(Engine {
            runtime,
            tokio,
            functions,
            shared,
            memory,
            stopper,
            access,
            result_bytes_max: usize::MAX,
            has_io: false,
            tmp_dir: None,
            suspension: None,
        })
    }

    /// The init phase: variables, limits, the handler's module, top-level await.
    /// The memory limit of the manifest holds from here on.
    ///
    /// # Errors
    /// What Lambda reports as an init error.
    pub fn load(&mut self, manifest: &Manifest) -> Result<Loaded, ErrorPayload> {
        let target = handler::find(&manifest.code_dir, &manifest.handler)?;
        let tmp_dir = self.tmp_dir.clone().unwrap_or_else(|| manifest.tmp_root.clone());
        // An engine loads one function.
        let _ = self.access.borrow().layers.set(modules::of_layers(manifest));
        self.access.borrow_mut().sources = sources(manifest);
        self.permit(&manifest.code_dir, &tmp_dir);
        self.shared.stores.replace(Stores::new(&manifest.key_value_stores));
        self.result_bytes_max = manifest.result_bytes_max;
        let bytes = usize::try_from(manifest.memory_mb).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        self.memory.limit_buffers(bytes);
        memory::limit_heap(&mut self.runtime, &self.memory, bytes);
        self.shared.begin();
        let plan = plan::plan(manifest, &target, self.tmp_dir.as_deref()).to_string();
        self.with_io(|engine| {
            let started = engine.start(|runtime, functions| functions.load(runtime, &plan));
            let turn = match engine.turn(started) {
                Some(turn) => turn,
                None => engine.wait(environment::limits::INIT_TIMEOUT, turn::Drained::Stop),
            };
            match turn {
                Turn::Settled(Settled::Loaded, hooks) => {
                    Ok(Loaded { unshared: engine.open_handles(), has_restore_hooks: !hooks.is_empty() })
                }
                Turn::Settled(_, payload) => Err(parse_payload(&payload)),
                Turn::Deadline => Err(ErrorPayload::init_timed_out()),
                Turn::OutOfMemory => Err(ErrorPayload::init_out_of_memory(manifest.memory_mb)),
                other => Err(runtime_error("Runtime.ExitError", other.reason())),
            }
        })
    }

    /// Makes this process an environment of its own: I/O driver, randomness,
    /// clock, `tmp_dir` as /tmp. Called once, after the fork, also when the
    /// process loads the code itself (then before `load`). Runs the handler's
    /// own hooks for this moment.
    ///
    /// # Errors
    /// What such a hook threw, or that it did not end in time.
    pub fn resume(&mut self, tmp_dir: &Path) -> Result<(), ErrorPayload> {
        let code_dir = self.access.borrow().code_dir.clone();
        self.permit(&code_dir, tmp_dir);
        if let Ok(tokio) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            self.forget_tokio();
            self.tokio = Some(tokio);
            self.has_io = true;
        }
        forget_drawn();
        self.tmp_dir = Some(tmp_dir.to_path_buf());
        let tmp_dir = tmp_dir.to_string_lossy().into_owned();
        self.shared.begin();
        let started = self.start(|runtime, functions| functions.resume(runtime, &tmp_dir));
        let turn = match self.turn(started) {
            Some(turn) => turn,
            None => self.wait(environment::limits::RESTORE_TIMEOUT, turn::Drained::Stop),
        };
        match turn {
            Turn::Settled(Settled::Loaded, _) => Ok(()),
            Turn::Settled(_, payload) => Err(parse_payload(&payload)),
            Turn::Deadline => Err(ErrorPayload::restore_timed_out()),
            other => Err(runtime_error("Runtime.RestoreError", other.reason())),
        }
    }

    /// Runs the handler once. Ends by itself at the deadline when the handler
    /// waits; a handler that computes is ended with [`Engine::stopper`].
    pub fn invoke(&mut self, id: Uuid, deadline_unix_ms: u64, event: &[u8]) -> Ending {
        self.shared.begin();
        self.runtime.v8_isolate().cancel_terminate_execution();
        let started = self.start(|runtime, functions| functions.invoke(runtime, id, deadline_unix_ms, event));
        let turn = match self.turn(started) {
            Some(turn) => turn,
            None => self.wait(until(deadline_unix_ms), turn::Drained::Ask),
        };
        match turn {
            Turn::Settled(Settled::Result, text) if text.len() > self.result_bytes_max => {
                Ending::TooLarge(text.len() as u64)
            }
            Turn::Settled(Settled::Result | Settled::Loaded, text) => Ending::Result(Bytes::from(text)),
            Turn::Settled(Settled::Error, payload) => Ending::Error(parse_payload(&payload)),
            Turn::Settled(Settled::Rejection, payload) => {
                Ending::Exiting(Exiting::Code(128), Some(parse_payload(&payload)))
            }
            Turn::Settled(Settled::Exception, payload) => {
                Ending::Exiting(Exiting::Code(129), Some(parse_payload(&payload)))
            }
            Turn::Failed(message) => Ending::Exiting(Exiting::Code(129), Some(runtime_error("Error", message))),
            Turn::Exited(code) => Ending::Exiting(Exiting::Code(code), None),
            Turn::OutOfMemory => Ending::Exiting(Exiting::OutOfMemory, None),
            Turn::Deadline => Ending::Exiting(Exiting::Deadline, None),
        }
    }

    /// For a watchdog thread: once stopped, `invoke` returns `Exiting(Deadline)` and `load` an error.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Where the note goes that says where JavaScript was when it was stopped at a limit: one text,
    /// told at most once.
    pub fn set_stop_sink(&mut self, sink: LogSink) {
        stop::set_sink(&mut self.runtime, sink);
    }

    /// Where log lines go from now on.
    pub fn set_log(&mut self, log: LogSink) {
        self.shared.log.replace(log);
    }

    fn permit(&mut self, code_dir: &Path, tmp: &Path) {
        let mut access = self.access.borrow_mut();
        let layers_dir = access.layers.get().is_some_and(|layers| !layers.is_empty()).then(|| Path::new(LAYERS_DIR));
        access.permissions = permissions::of_function(code_dir, layers_dir, tmp);
        access.code_dir = code_dir.to_path_buf();
        self.runtime.op_state().borrow_mut().put(access.permissions.clone());
    }
}

fn sources(manifest: &Manifest) -> Option<Sources> {
    let on_disk = manifest.inspected.as_ref()?.source_dir.clone()?;
    Some(Sources { inside: manifest.code_dir.clone(), on_disk })
}

/// The native generator notices a fork only when what it has drawn ahead is used up: 256 bytes at the most.
fn forget_drawn() {
    use rand::RngCore;
    rand::thread_rng().fill_bytes(&mut [0; 256]);
}

fn until(deadline_unix_ms: u64) -> std::time::Duration {
    let deadline = std::time::UNIX_EPOCH + std::time::Duration::from_millis(deadline_unix_ms);
    deadline.duration_since(std::time::SystemTime::now()).unwrap_or_default()
}

fn parse_payload(text: &str) -> ErrorPayload {
    serde_json::from_str(text).unwrap_or_else(|_| runtime_error("Error", text.to_string()))
}

fn runtime_error(error_type: &str, message: String) -> ErrorPayload {
    let trace = vec![format!("{error_type}: {message}")];
    ErrorPayload { error_type: error_type.to_string(), error_message: message, trace }
}
