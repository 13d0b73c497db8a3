//! The memory limit inside an engine: V8's heap and the array buffers beside it.
//! Both end the handler politely where that is possible, and the process with a
//! status of its own where it is not; memory that nobody counts here
//! (WebAssembly, native code) is for the watchdog and the supervisor.
#![allow(unsafe_code)]

use crate::engine::stop::{self, Stopper};
use deno_core::{JsRuntime, v8};
use environment::control::EXIT_OUT_OF_MEMORY;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The heap an isolate is made with; [`limit_heap`] lowers it to the function's own.
pub(crate) const HEAP_BYTES_MAX: usize = 10 << 30;

/// Bytes of array buffers in use and allowed, and whether a limit was reached.
pub(crate) struct Memory {
    buffers: AtomicUsize,
    buffers_max: AtomicUsize,
    /// How often in a row an array buffer found no room. V8 collects garbage then and tries again.
    refusals: AtomicUsize,
    exceeded: AtomicBool,
    stopper: OnceLock<Stopper>,
    isolate: OnceLock<Here>,
}

/// The isolate whose memory this is.
struct Here(v8::UnsafeRawIsolatePtr);

// SAFETY: only used by callbacks that V8 makes on the isolate's own thread, while the isolate lives:
// the heap's limit, and the allocator of a V8 that runs with `--single-threaded`.
unsafe impl Send for Here {}
// SAFETY: as above.
unsafe impl Sync for Here {}

impl Memory {
    pub(crate) fn new() -> Arc<Memory> {
        Arc::new(Memory {
            buffers: AtomicUsize::new(0),
            buffers_max: AtomicUsize::new(usize::MAX),
            refusals: AtomicUsize::new(0),
            exceeded: AtomicBool::new(false),
            stopper: OnceLock::new(),
            isolate: OnceLock::new(),
        })
    }

    /// Whom to stop, and how, when a limit is reached. Called once, when the engine is made.
    pub(crate) fn stop_with(&self, runtime: &mut JsRuntime, stopper: Stopper) {
        let _ = self.stopper.set(stopper);
        // SAFETY: turned back into an isolate only where `Here` says.
        let _ = self.isolate.set(Here(unsafe { runtime.v8_isolate().as_raw_isolate_ptr() }));
    }

    fn note_here(&self) {
        if let Some(Here(isolate)) = self.isolate.get() {
            // SAFETY: called on the isolate's thread, see `Here`.
            stop::note_here(&mut unsafe { v8::Isolate::from_raw_isolate_ptr(*isolate) });
        }
    }

    /// Whether the heap or the array buffers reached the limit.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed) || self.refusals.load(Ordering::Relaxed) > 0
    }

    /// An array buffer found no room. JavaScript is asked to stop unless V8 makes room; a handler that
    /// catches the error and asks again and again does not get to where it could be stopped.
    fn refuse(&self) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
            self.note_here();
            // SAFETY: ends the process without running anything of it.
            unsafe { libc::_exit(EXIT_OUT_OF_MEMORY) }
        }
        if let Some(stopper) = self.stopper.get() {
            stopper.look();
        }
    }

    /// Bytes of array buffers allowed from now on.
    pub(crate) fn limit_buffers(&self, bytes: usize) {
        self.buffers_max.store(bytes, Ordering::Relaxed);
    }
}

/// Isolate parameters whose array buffers are counted by `memory`.
pub(crate) fn create_params(memory: &Arc<Memory>) -> v8::CreateParams {
    // SAFETY: the pointer comes from `Arc::into_raw` and `release` gives that count back once.
    let allocator = unsafe { v8::new_rust_allocator(Arc::into_raw(memory.clone()), &ALLOCATOR) };
    v8::CreateParams::default().heap_limits(0, HEAP_BYTES_MAX).array_buffer_allocator(allocator)
}

/// Lowers the heap limit of a running isolate to the heap's part of a function's memory, and ends
/// execution when it is reached.
pub(crate) fn limit_heap(runtime: &mut JsRuntime, memory: &Arc<Memory>, memory_bytes: usize) {
    watch_heap(runtime, memory);
    runtime.remove_near_heap_limit_callback(memory_bytes / 100 * HEAP_PERCENT);
    watch_heap(runtime, memory);
    runtime.v8_isolate().set_oom_error_handler(on_out_of_memory);
}

fn watch_heap(runtime: &mut JsRuntime, memory: &Arc<Memory>) {
    let memory = memory.clone();
    runtime.add_near_heap_limit_callback(move |current, _initial| {
        if !memory.exceeded.swap(true, Ordering::Relaxed) {
            // Noted here and now: a built-in function that goes on allocating never serves the interrupt.
            memory.note_here();
            if let Some(stopper) = memory.stopper.get() {
                stopper.stop();
            }
        }
        current * 2
    });
}

/// V8 has no memory left and would abort.
unsafe extern "C" fn on_out_of_memory(_location: *const std::ffi::c_char, _details: &v8::OomDetails) {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(EXIT_OUT_OF_MEMORY) }
}

/// More often than V8 tries for one buffer.
const REFUSALS_MAX: usize = 32;

/// The part of a function's memory that is V8's heap, as Lambda's own runtime sets it.
const HEAP_PERCENT: usize = 90;

static ALLOCATOR: v8::RustAllocatorVtable<Memory> =
    v8::RustAllocatorVtable { allocate, allocate_uninitialized: allocate, free, drop: release };

unsafe extern "C" fn allocate(memory: &Memory, bytes: usize) -> *mut c_void {
    let before = memory.buffers.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) > memory.buffers_max.load(Ordering::Relaxed) {
        memory.buffers.fetch_sub(bytes, Ordering::Relaxed);
        memory.refuse();
        return std::ptr::null_mut();
    }
    memory.refusals.store(0, Ordering::Relaxed);
    // SAFETY: `calloc` has no precondition; V8 takes null for "no memory".
    unsafe { libc::calloc(1, bytes.max(1)) }
}

unsafe extern "C" fn free(memory: &Memory, data: *mut c_void, bytes: usize) {
    memory.buffers.fetch_sub(bytes, Ordering::Relaxed);
    // SAFETY: V8 gives back each pointer of `allocate` once.
    unsafe { libc::free(data) }
}

unsafe extern "C" fn release(memory: *const Memory) {
    // SAFETY: this is the count that `create_params` leaked to V8.
    drop(unsafe { Arc::from_raw(memory) });
}
