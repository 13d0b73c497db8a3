//! The memory limit inside an engine: V8's heap and the array buffers beside it.
//! Both end the handler politely; memory that nobody counts here (WebAssembly,
//! native code) is the supervisor's to watch.
#![allow(unsafe_code)]

use deno_core::{JsRuntime, v8};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The heap an isolate is made with; [`limit_heap`] lowers it to the function's own.
pub(crate) const HEAP_BYTES_MAX: usize = 10 << 30;

/// Bytes of array buffers in use and allowed, and whether a limit was reached.
pub(crate) struct Memory {
    buffers: AtomicUsize,
    buffers_max: AtomicUsize,
    exceeded: AtomicBool,
}

impl Memory {
    pub(crate) fn new() -> Arc<Memory> {
        Arc::new(Memory {
            buffers: AtomicUsize::new(0),
            buffers_max: AtomicUsize::new(usize::MAX),
            exceeded: AtomicBool::new(false),
        })
    }

    /// Whether the heap or the array buffers reached the limit.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
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

/// Lowers the heap limit of a running isolate and ends execution when it is reached.
pub(crate) fn limit_heap(runtime: &mut JsRuntime, memory: &Arc<Memory>, bytes: usize) {
    watch_heap(runtime, memory);
    runtime.remove_near_heap_limit_callback(bytes);
    watch_heap(runtime, memory);
}

fn watch_heap(runtime: &mut JsRuntime, memory: &Arc<Memory>) {
    let isolate = runtime.v8_isolate().thread_safe_handle();
    let memory = memory.clone();
    runtime.add_near_heap_limit_callback(move |current, _initial| {
        memory.exceeded.store(true, Ordering::Relaxed);
        isolate.terminate_execution();
        current * 2
    });
}

static ALLOCATOR: v8::RustAllocatorVtable<Memory> =
    v8::RustAllocatorVtable { allocate, allocate_uninitialized: allocate, free, drop: release };

unsafe extern "C" fn allocate(memory: &Memory, bytes: usize) -> *mut c_void {
    let before = memory.buffers.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) > memory.buffers_max.load(Ordering::Relaxed) {
        memory.buffers.fetch_sub(bytes, Ordering::Relaxed);
        return std::ptr::null_mut();
    }
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
