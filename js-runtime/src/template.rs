//! A template: the zygote's copy that entered the sandbox and loaded one
//! function version. It runs no handler itself; environments are its forks.

use crate::children::{Birth, Children};
use crate::control::{Control, fit_line, fit_packet};
use crate::logs::LogBudget;
use crate::{fork, sandbox, serve};
use environment::{ControlReply, ErrorPayload, Manifest};
use js_runtime::engine::Engine;
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Loads the function, tells the PoP how that went, and forks environments until the PoP is gone.
pub(crate) fn run(mut engine: Engine, manifest: Manifest, socket: OwnedFd) -> anyhow::Result<()> {
    // For the operator's `ps` and `top`.
    let _ = nix::sys::prctl::set_name(c"js-template");
    let children = Rc::new(Children::new(Control::new(socket)?)?);
    if let Err(error) = sandbox::enter_template(&manifest) {
        let error = ErrorPayload {
            error_type: "Runtime.PlatformError".to_owned(),
            error_message: format!("the sandbox cannot be entered: {error:#}"),
            trace: Vec::new(),
        };
        children.control().send(&ControlReply::InitFailed { error }, None)?;
        fork::exit_now(1);
    }
    let started = Instant::now();
    log_to_control(&mut engine, &children, manifest.log_bytes_max);
    let loaded = engine.load(&manifest);
    engine.set_log(Rc::new(|_| {}));
    let children = Rc::into_inner(children).expect("the log closure that shared it is replaced");
    let unshared = match loaded {
        Ok(loaded) => loaded.unshared.or_else(second_thread),
        Err(error) => {
            children.control().send(&ControlReply::InitFailed { error: fit_packet(error) }, None)?;
            fork::exit_now(0);
        }
    };
    let init_ms = started.elapsed().as_secs_f64() * 1e3;
    children.control().send(&ControlReply::Initialized { init_ms, unshared }, None)?;
    match children.serve()? {
        None => fork::exit_now(0),
        Some(Birth::Environment { id, socket, .. }) => serve::run(engine, &manifest, id, socket),
        Some(Birth::Template { .. }) => anyhow::bail!("a template cannot make templates"),
    }
}

fn log_to_control(engine: &mut Engine, children: &Rc<Children>, bytes_max: usize) {
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

/// Threads that loading left behind (a file read in the background) may be
/// about to end; one that stays forbids forking.
fn second_thread() -> Option<String> {
    let patience = Instant::now() + THREAD_PATIENCE;
    loop {
        match fork::thread_count() {
            Ok(1) => return None,
            Ok(count) if Instant::now() > patience => {
                return Some(format!("{count} threads run after the init phase, only 1 can be copied"));
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Some(format!("threads cannot be counted: {error}")),
        }
    }
}

const THREAD_PATIENCE: Duration = Duration::from_millis(50);
