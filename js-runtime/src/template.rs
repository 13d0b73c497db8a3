//! A template: the zygote's copy that entered the sandbox and loaded one
//! function version. It runs no handler itself; environments are its forks.

use crate::serve;
use anyhow::Context;
use environment::frame::Exiting;
use environment::limits::INIT_TIMEOUT;
use environment::{ControlReply, ErrorPayload, Manifest};
use js_runtime::engine::{Engine, Loaded};
use runtime::{InitWatch, LogBudget, Resident, init_error};
use sandbox::{Birth, Cell, Children, Control, Entry, Source, fit_line, fit_packet};
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

/// The zygote's memory, of which this process is a copy.
pub(crate) struct Zygote {
    pub(crate) engine: Engine,
    /// Memory that the zygote had, and that no function answers for.
    pub(crate) shared_bytes: u64,
}

/// What a new child of the zygote is to become.
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) manifest: Manifest,
    /// Its own socket to the PoP.
    pub(crate) socket: OwnedFd,
    pub(crate) cell: Cell,
    pub(crate) zygote: Control,
}

/// Loads the function, tells the PoP how that went, and forks environments until the PoP is gone.
pub(crate) fn run(zygote: Zygote, order: Order) -> anyhow::Result<()> {
    let started = Instant::now();
    // For the operator's `ps` and `top`.
    let _ = nix::sys::prctl::set_name(c"js-template");
    let Zygote { mut engine, shared_bytes } = zygote;
    let Order { id, mut manifest, socket, mut cell, zygote } = order;
    let mut control = Control::new(socket)?;
    if let Err(error) = cell.enter(Entry { id, own: Some(&mut control), zygote, kept: &[] }, &mut manifest) {
        let error = ErrorPayload {
            error_type: "Runtime.PlatformError".to_owned(),
            error_message: format!("the sandbox cannot be entered: {error}"),
            trace: Vec::new(),
        };
        control.send(&ControlReply::InitFailed { error }, None)?;
        sandbox::exit_now(1);
    }
    let children = Rc::new(Children::new(control, Source::Template(cell))?);
    log_to_control(&mut engine, &children, manifest.log_bytes_max);
    let began = Instant::now();
    let resident = Resident::new(shared_bytes, manifest.memory_mb).ok();
    let limit = INIT_TIMEOUT.saturating_sub(started.elapsed());
    let watch = InitWatch::start(Box::new(engine.stopper()), limit, resident).context("watching the init phase")?;
    let loaded = engine.load(&manifest);
    let loaded = within_limits(loaded, watch.end(), manifest.memory_mb);
    engine.set_log(Rc::new(|_| {}));
    engine.set_stop_sink(Rc::new(|_| {}));
    let children = Rc::into_inner(children).expect("the log closure that shared it is replaced");
    let (unshared, has_restore_hooks) = match loaded {
        Ok(loaded) => (loaded.unshared.or_else(runtime::second_thread), loaded.has_restore_hooks),
        Err(error) => {
            children.control().send(&ControlReply::InitFailed { error: fit_packet(error) }, None)?;
            sandbox::exit_now(0);
        }
    };
    let init_ms = began.elapsed().as_secs_f64() * 1e3;
    children.control().send(&ControlReply::Initialized { init_ms, unshared, has_restore_hooks }, None)?;
    match children.serve()? {
        None => sandbox::exit_now(0),
        Some(Birth::Copy { id, socket, cell }) => {
            let birth = serve::Birth { engine, id, socket, cell, shared_bytes };
            if has_restore_hooks { serve::restore_and_run(birth, &manifest) } else { serve::run(birth, &manifest) }
        }
        Some(_) => anyhow::bail!("a template makes copies of itself only"),
    }
}

/// A limit that was reached counts more than what came of it.
fn within_limits(
    loaded: Result<Loaded, ErrorPayload>,
    reached: Option<Exiting>,
    memory_mb: u32,
) -> Result<Loaded, ErrorPayload> {
    match init_error(None, reached, memory_mb) {
        Some(error) => Err(error),
        None => loaded,
    }
}

fn log_to_control(engine: &mut Engine, children: &Rc<Children>, bytes_max: usize) {
    let note = Rc::clone(children);
    engine.set_stop_sink(Rc::new(move |text| {
        for line in text.split(|byte| *byte == b'\n') {
            let _ = note.control().send(&ControlReply::Log { line: fit_line(line) }, None);
        }
    }));
    let children = Rc::clone(children);
    let budget = RefCell::new(LogBudget::new(bytes_max));
    engine.set_log(Rc::new(move |line| {
        budget.borrow_mut().spend(line, |kept| {
            let line = fit_line(kept);
            // A PoP that is gone is noticed by the loop; loading goes on until then.
            let _ = children.control().send(&ControlReply::Log { line }, None);
        });
    }));
}
