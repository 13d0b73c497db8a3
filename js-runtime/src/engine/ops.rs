//! The engine's own operations: how JavaScript ends an invocation, writes a log
//! line and draws a seed; and the operations that `deno_node` imports by name
//! but that belong to a part of Deno that is not here.

use crate::engine::LogSink;
use crate::engine::extensions::switch_off;
use crate::engine::key_values::{
    op_selvedge_store, op_selvedge_store_find, op_selvedge_store_meta, op_selvedge_store_name,
};
use crate::engine::typescript::{TypeScript, framed};
use deno_core::{OpState, op2, v8};
use deno_error::JsErrorBox;
use rand::RngCore;
use runtime::Stores;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How JavaScript said that what it was asked to do is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Result,
    Error,
    Rejection,
    Exception,
    Loaded,
}

/// What the operations share with the engine.
pub(crate) struct Shared {
    pub(crate) log: RefCell<LogSink>,
    pub(crate) settled: RefCell<Option<(Settled, String)>>,
    pub(crate) exit_code: Cell<Option<i32>>,
    pub(crate) isolate: RefCell<Option<v8::IsolateHandle>>,
    pub(crate) stores: RefCell<Stores>,
}

impl Shared {
    pub(crate) fn new(log: LogSink) -> Shared {
        Shared {
            log: RefCell::new(log),
            settled: RefCell::new(None),
            exit_code: Cell::new(None),
            isolate: RefCell::new(None),
            stores: RefCell::default(),
        }
    }

    /// Forgets how the last invocation ended, and what it saw.
    pub(crate) fn begin(&self) {
        self.stores.borrow_mut().begin();
        self.settled.take();
        self.exit_code.set(None);
    }
}

deno_core::extension!(
    selvedge_ops,
    ops = [
        op_selvedge_settle,
        op_selvedge_exit,
        op_selvedge_log,
        op_selvedge_seed,
        op_selvedge_fault,
        op_selvedge_place,
        op_selvedge_arch,
        op_selvedge_store,
        op_selvedge_store_name,
        op_selvedge_store_find,
        op_selvedge_store_meta,
        op_napi_open,
        op_create_worker,
        op_bootstrap_color_depth,
        op_current_thread_cpu_usage,
        op_http_notify_serving,
        op_http_serve_address_override,
        op_set_raw,
    ],
    middleware = switch_off,
);

#[op2(fast)]
fn op_selvedge_settle(state: &mut OpState, #[smi] kind: i32, #[string] text: &str) {
    let settled = match kind {
        0 => Settled::Result,
        1 => Settled::Error,
        2 => Settled::Rejection,
        3 => Settled::Exception,
        _ => Settled::Loaded,
    };
    let shared = state.borrow::<Rc<Shared>>();
    let fatal = matches!(settled, Settled::Rejection | Settled::Exception);
    let mut slot = shared.settled.borrow_mut();
    if fatal || slot.is_none() {
        *slot = Some((settled, text.to_string()));
    }
}

#[op2(fast)]
fn op_selvedge_exit(state: &mut OpState, #[smi] code: i32) {
    let shared = state.borrow::<Rc<Shared>>();
    shared.exit_code.set(Some(code));
    if let Some(isolate) = &*shared.isolate.borrow() {
        isolate.terminate_execution();
    }
}

#[op2(fast)]
fn op_selvedge_log(state: &mut OpState, #[string] line: &str) {
    let log = state.borrow::<Rc<Shared>>().log.borrow().clone();
    log(line.as_bytes());
}

#[op2(fast)]
fn op_selvedge_seed(#[buffer] out: &mut [u32]) {
    for word in out {
        *word = rand::rngs::OsRng.next_u32();
    }
}

/// Where the TypeScript is that an error's message says does not parse; empty when it says something else.
#[op2]
#[string]
fn op_selvedge_fault(state: &mut OpState, #[string] message: &str) -> String {
    state.borrow::<Rc<TypeScript>>().fault(message).unwrap_or_default()
}

/// Where V8 found an error, `file:line:column` and the line with a caret; empty when it does not know.
#[op2]
#[string]
fn op_selvedge_place<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    error: v8::Local<'s, v8::Value>,
    #[string] text: &str,
) -> String {
    // Of a module that was imported, the message says it.
    if let Some(place) = text.rsplit_once(" at file://").and_then(|(_, place)| said_place(place)) {
        return place;
    }
    let message = v8::Exception::create_message(scope, error);
    let name = message.get_script_resource_name(scope).and_then(|name| name.try_cast::<v8::String>().ok());
    let (Some(name), Some(line)) = (name, message.get_line_number(scope)) else { return String::new() };
    let name = name.to_rust_string_lossy(scope);
    // What went wrong in the runtime itself says nothing to whoever wrote the function.
    if !name.starts_with("file:") {
        return String::new();
    }
    let column = message.get_start_column() + 1;
    let source = message.get_source_line(scope).map(|line| line.to_rust_string_lossy(scope)).unwrap_or_default();
    format!("{name}:{line}:{column}\n{}", framed(&source, column))
}

/// `path:line:column` as [`op_selvedge_place`] says it.
fn said_place(place: &str) -> Option<String> {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) =
        (parts.next()?.parse::<usize>().ok()?, parts.next()?.parse::<usize>().ok()?, parts.next()?);
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let source = source.lines().nth(line.checked_sub(1)?).unwrap_or_default();
    Some(format!("file://{place}\n{}", framed(source, column.max(1))))
}

#[op2]
#[string]
fn op_selvedge_arch() -> &'static str {
    std::env::consts::ARCH
}

#[op2(fast)]
fn op_napi_open() -> Result<(), JsErrorBox> {
    Err(JsErrorBox::not_supported())
}

#[op2(fast)]
fn op_create_worker() -> Result<(), JsErrorBox> {
    Err(JsErrorBox::not_supported())
}

#[op2(fast)]
fn op_bootstrap_color_depth() -> i32 {
    1
}

#[op2(fast)]
fn op_current_thread_cpu_usage(#[buffer] out: &mut [f64]) {
    out.fill(0.0);
}

#[op2(fast)]
fn op_http_notify_serving() {}

#[op2(fast)]
fn op_http_serve_address_override() {}

#[op2(fast)]
fn op_set_raw() {}
