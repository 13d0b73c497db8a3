//! Stops JavaScript at a limit and notes where it was: an interrupt, which V8
//! serves on the handler's own thread, reads the stack and terminates execution
//! there. The note goes to a sink at once, because what follows may be the end
//! of the process. Used by watchdogs, and by `memory` for the limits of the heap.
#![allow(unsafe_code)]

use crate::engine::LogSink;
use crate::engine::memory::Memory;
use deno_core::url::Url;
use deno_core::{JsRuntime, SourceMapApplication, SourceMapper, v8};
use environment::frame::Exiting;
use std::cell::RefCell;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};

/// Stops the JavaScript of one engine, from any thread.
#[derive(Clone)]
pub struct Stopper {
    isolate: v8::IsolateHandle,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: AtomicBool,
    noted: AtomicBool,
    /// How often it was asked and found no function of the handler on the stack.
    found_nothing: AtomicU8,
}

impl Stopper {
    /// Asks JavaScript to stop where it is. A native call that does not look for interrupts goes on, and
    /// so does, for the first few times, what V8 does between two functions: to be repeated.
    pub fn stop(&self) {
        self.state.asked.store(true, SeqCst);
        self.look();
    }

    /// Asks JavaScript to stop where it is if memory is exceeded by then.
    pub(super) fn look(&self) {
        self.isolate.request_interrupt(on_interrupt, std::ptr::null_mut());
    }
}

impl runtime::Stopper for Stopper {
    fn stop(&self, _reached: &Exiting) {
        Stopper::stop(self);
    }

    /// May be repeated: code that runs on behind a `catch` of native code is ended again.
    fn force(&self) {
        self.isolate.terminate_execution();
    }

    fn has_noted(&self) -> bool {
        self.state.noted.load(SeqCst)
    }

    fn not_known(&self) -> &'static str {
        "JavaScript stack is not known: it was in a native call or a built-in function that cannot be interrupted"
    }
}

/// What the interrupt needs, kept by the isolate itself.
struct Notebook {
    context: v8::Global<v8::Context>,
    mapper: Rc<RefCell<SourceMapper>>,
    memory: Arc<Memory>,
    state: Arc<State>,
    sink: RefCell<LogSink>,
}

/// Makes the isolate of `runtime` stoppable.
pub(super) fn prepare(runtime: &mut JsRuntime, memory: &Arc<Memory>) -> Stopper {
    let state = Arc::new(State::default());
    let notebook = Notebook {
        context: runtime.main_context(),
        mapper: runtime.source_mapper(),
        memory: memory.clone(),
        state: state.clone(),
        sink: RefCell::new(Rc::new(|_| {})),
    };
    runtime.v8_isolate().set_slot(Rc::new(notebook));
    Stopper { isolate: runtime.v8_isolate().thread_safe_handle(), state }
}

/// Where notes go from now on: one text, the first line says what the others are.
pub(super) fn set_sink(runtime: &mut JsRuntime, sink: LogSink) {
    if let Some(notebook) = runtime.v8_isolate().get_slot::<Rc<Notebook>>() {
        notebook.sink.replace(sink);
    }
}

/// Notes that no JavaScript ran, and what it waited for instead.
pub(super) fn note_waiting(runtime: &mut JsRuntime, pending: &str) {
    if let Some(notebook) = runtime.v8_isolate().get_slot::<Rc<Notebook>>().cloned() {
        notebook.tell(&format!("no JavaScript was running when it was stopped, the handler waited: {pending}"));
    }
}

/// Notes the stack of JavaScript that runs now, on this thread.
pub(super) fn note_here(isolate: &mut v8::Isolate) {
    let Some(notebook) = isolate.get_slot::<Rc<Notebook>>().cloned() else { return };
    if !notebook.state.noted.load(SeqCst) {
        let note = stack(isolate, &notebook).note();
        notebook.tell(&note);
    }
}

impl Notebook {
    fn tell(&self, text: &str) {
        if !self.state.noted.swap(true, SeqCst) {
            let sink = self.sink.borrow().clone();
            sink(text.as_bytes());
        }
    }
}

unsafe extern "C" fn on_interrupt(isolate: v8::UnsafeRawIsolatePtr, _: *mut c_void) {
    // SAFETY: V8 calls this with the isolate that it has interrupted, on that isolate's thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let Some(notebook) = isolate.get_slot::<Rc<Notebook>>().cloned() else { return };
    // Array buffers that were refused may have found room after a garbage collection.
    let exceeded = notebook.memory.exceeded();
    if !exceeded && !notebook.state.asked.load(SeqCst) {
        return;
    }
    if !notebook.state.noted.load(SeqCst) {
        let stack = stack(&mut isolate, &notebook);
        // Between two tasks there is nothing of the handler: the next look may meet it.
        let again = stack.handler.is_empty() && !exceeded;
        if again && notebook.state.found_nothing.fetch_add(1, SeqCst) < FOUND_NOTHING_MAX {
            return;
        }
        notebook.tell(&stack.note());
    }
    isolate.terminate_execution();
}

/// Frames, each after a newline.
#[derive(Default)]
struct Stack {
    handler: String,
    /// The runtime's own tell a reader little: only said when there is nothing else.
    runtime: String,
}

impl Stack {
    fn note(&self) -> String {
        match (self.handler.as_str(), self.runtime.as_str()) {
            ("", "") => "JavaScript stack is not known: no function was on it when it was stopped".to_owned(),
            ("", runtime) => format!("JavaScript stack when it was stopped, between two functions:{runtime}"),
            (handler, _) => format!("JavaScript stack when it was stopped:{handler}"),
        }
    }
}

fn stack(isolate: &mut v8::Isolate, notebook: &Notebook) -> Stack {
    v8::scope!(let scope, isolate);
    let context = v8::Local::new(scope, &notebook.context);
    let scope = &mut v8::ContextScope::new(scope, context);
    let mut stack = Stack::default();
    let trace = v8::StackTrace::current_stack_trace(scope, FRAMES_MAX);
    let frames = trace.map_or(0, |trace| trace.get_frame_count());
    for frame in (0..frames).filter_map(|index| trace?.get_frame(scope, index)) {
        let name = frame.get_function_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default();
        let file = frame.get_script_name_or_source_url(scope).map(|file| file.to_rust_string_lossy(scope));
        let file = file.unwrap_or_default();
        let text = if file.starts_with("ext:") { &mut stack.runtime } else { &mut stack.handler };
        if text.len() < TEXT_BYTES_MAX {
            let place = place(&notebook.mapper, &file, frame.get_line_number(), frame.get_column());
            text.push_str(&if name.is_empty() {
                format!("\n    at {place}")
            } else {
                format!("\n    at {name} ({place})")
            });
        }
    }
    stack
}

/// `file:line:column` of the source a person wrote.
fn place(mapper: &Rc<RefCell<SourceMapper>>, file: &str, line: usize, column: usize) -> String {
    let (Ok(line), Ok(column)) = (u32::try_from(line), u32::try_from(column)) else { return file.to_owned() };
    let mapped = match mapper.try_borrow_mut() {
        Ok(mut mapper) if line > 0 && column > 0 => mapper.apply_source_map(file, line, column),
        _ => SourceMapApplication::Unchanged,
    };
    let (file, line, column) = match mapped {
        SourceMapApplication::Unchanged => (file.to_owned(), line, column),
        SourceMapApplication::LineAndColumn { line_number, column_number } => {
            (file.to_owned(), line_number, column_number)
        }
        SourceMapApplication::LineAndColumnAndFileName { file_name, line_number, column_number } => {
            (file_name, line_number, column_number)
        }
    };
    let path = Url::parse(&file).ok().and_then(|url| url.to_file_path().ok());
    format!("{}:{line}:{column}", path.map_or(file, |path| path.display().to_string()))
}

/// Below what the watchdog's patience has room for.
const FOUND_NOTHING_MAX: u8 = 3;
const FRAMES_MAX: usize = 50;
const TEXT_BYTES_MAX: usize = 8 * 1024;
