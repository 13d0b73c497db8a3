//! Calls into the engine's JavaScript and turns of the event loop until
//! JavaScript says that what it was asked to do is over.

use crate::engine::ops::Settled;
use crate::engine::{Engine, stop};
use anyhow::{Context, anyhow};
use deno_core::error::{CoreError, JsError};
use deno_core::{JsRuntime, PollEventLoopOptions, v8};
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// Why the event loop was left.
#[derive(Debug)]
pub(crate) enum Turn {
    Settled(Settled, String),
    Failed(String),
    Exited(i32),
    OutOfMemory,
    Deadline,
}

impl Turn {
    /// For an init phase that did not end with a loaded function.
    pub(crate) fn reason(self) -> String {
        match self {
            Turn::Settled(_, text) | Turn::Failed(text) => text,
            Turn::Exited(code) => format!("Error: Runtime exited with error: exit status {code}"),
            Turn::OutOfMemory => "Error: Runtime exited with error: out of memory".to_string(),
            Turn::Deadline => "Error: Runtime exited with error: stopped".to_string(),
        }
    }
}

/// What an empty event loop means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// JavaScript says what the result is.
    Ask,
    /// Nothing will ever settle.
    Stop,
}

/// A call that did not return.
pub(crate) enum Thrown {
    Terminated,
    Error(String),
}

/// The functions that the engine calls.
pub(crate) struct Functions {
    load: v8::Global<v8::Function>,
    resume: v8::Global<v8::Function>,
    invoke: v8::Global<v8::Function>,
    drained: v8::Global<v8::Function>,
}

impl Functions {
    /// Takes the functions out of the global object and starts the built-ins.
    pub(crate) fn bootstrap(runtime: &mut JsRuntime) -> anyhow::Result<Functions> {
        let (bootstrap, functions) = Functions::take(runtime)?;
        match call(runtime, &bootstrap, |_| Some(Vec::new())) {
            Ok(()) => Ok(functions),
            Err(Thrown::Terminated) => Err(anyhow!("starting the built-ins was terminated")),
            Err(Thrown::Error(error)) => Err(anyhow!("starting the built-ins: {error}")),
        }
    }

    fn take(runtime: &mut JsRuntime) -> anyhow::Result<(v8::Global<v8::Function>, Functions)> {
        deno_core::scope!(scope, runtime);
        let global = scope.get_current_context().global(scope);
        let key = v8::String::new(scope, "__selvedge").context("the engine's key")?;
        let object = global.get(scope, key.into()).context("the engine's functions")?;
        let object: v8::Local<v8::Object> = object.try_into()?;
        global.delete(scope, key.into());
        let function = |name: &str| -> anyhow::Result<v8::Global<v8::Function>> {
            let key = v8::String::new(scope, name).context("a function's key")?;
            let function: v8::Local<v8::Function> = object.get(scope, key.into()).context("a function")?.try_into()?;
            Ok(v8::Global::new(scope, function))
        };
        let functions = Functions {
            load: function("load")?,
            resume: function("resume")?,
            invoke: function("invoke")?,
            drained: function("drained")?,
        };
        Ok((function("bootstrap")?, functions))
    }

    pub(crate) fn load(&self, runtime: &mut JsRuntime, plan: &str) -> Result<(), Thrown> {
        call(runtime, &self.load, |scope| Some(vec![v8::String::new(scope, plan)?.into()]))
    }

    pub(crate) fn resume(&self, runtime: &mut JsRuntime, tmp_dir: &str) -> Result<(), Thrown> {
        call(runtime, &self.resume, |scope| Some(vec![v8::String::new(scope, tmp_dir)?.into()]))
    }

    pub(crate) fn invoke(
        &self,
        runtime: &mut JsRuntime,
        id: Uuid,
        deadline_unix_ms: u64,
        event: &[u8],
    ) -> Result<(), Thrown> {
        call(runtime, &self.invoke, |scope| {
            let id = v8::String::new(scope, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double")]
            let deadline = v8::Number::new(scope, deadline_unix_ms as f64);
            let event = v8::String::new_from_utf8(scope, event, v8::NewStringType::Normal)?;
            Some(vec![id.into(), deadline.into(), event.into()])
        })
    }

    fn drained(&self, runtime: &mut JsRuntime) -> Result<(), Thrown> {
        call(runtime, &self.drained, |_| Some(Vec::new()))
    }
}

/// Calls a function and runs the microtasks it queued.
fn call(
    runtime: &mut JsRuntime,
    function: &v8::Global<v8::Function>,
    arguments: impl for<'s> FnOnce(&mut v8::PinScope<'s, '_>) -> Option<Vec<v8::Local<'s, v8::Value>>>,
) -> Result<(), Thrown> {
    deno_core::scope!(scope, runtime);
    let function = v8::Local::new(scope, function);
    let Some(arguments) = arguments(scope) else {
        return Err(Thrown::Error("an argument is too long for a string".to_string()));
    };
    v8::tc_scope!(caught, scope);
    let undefined = v8::undefined(caught).into();
    if function.call(caught, undefined, &arguments).is_some() {
        caught.perform_microtask_checkpoint();
    }
    if caught.has_terminated() || caught.is_execution_terminating() {
        return Err(Thrown::Terminated);
    }
    match caught.exception() {
        Some(exception) => Err(Thrown::Error(JsError::from_v8_exception(caught, exception).to_string())),
        None => Ok(()),
    }
}

impl Engine {
    /// Calls one of the engine's functions inside the event loop's context.
    pub(crate) fn start(
        &mut self,
        action: impl FnOnce(&mut JsRuntime, &Functions) -> Result<(), Thrown>,
    ) -> Result<(), Thrown> {
        let entered = self.tokio.as_ref().map(tokio::runtime::Runtime::enter);
        let result = action(&mut self.runtime, &self.functions);
        drop(entered);
        result
    }

    /// What the last call or turn of the loop ended, if it ended anything.
    pub(crate) fn turn(&self, result: Result<(), Thrown>) -> Option<Turn> {
        if self.memory.exceeded() {
            return Some(Turn::OutOfMemory);
        }
        if let Some(code) = self.shared.exit_code.get() {
            return Some(Turn::Exited(code));
        }
        if let Some((settled, text)) = self.shared.settled.take() {
            return Some(Turn::Settled(settled, text));
        }
        match result {
            Ok(()) => None,
            Err(Thrown::Terminated) => Some(Turn::Deadline),
            Err(Thrown::Error(message)) => Some(Turn::Failed(message)),
        }
    }

    /// Turns the event loop until something ends, at most for `limit` unless a debugger has suspended that.
    pub(crate) fn wait(&mut self, limit: Duration, drained: Drained) -> Turn {
        let mut turn = self.wait_for(limit, drained);
        while turn.is_none() && self.are_limits_suspended() {
            turn = self.wait_for(SUSPENDED_LOOK_EVERY, drained);
        }
        turn.unwrap_or_else(|| {
            let pending = self.pending();
            stop::note_waiting(&mut self.runtime, &pending);
            Turn::Deadline
        })
    }

    /// `None` when nothing ended in time.
    fn wait_for(&mut self, limit: Duration, drained: Drained) -> Option<Turn> {
        let tokio = self.tokio.take().expect("an engine always has a runtime");
        let turn = tokio
            .block_on(async { tokio::time::timeout(limit, std::future::poll_fn(|cx| self.poll(cx, drained))).await });
        self.tokio = Some(tokio);
        turn.ok()
    }

    /// What the event loop waits for, for a person.
    fn pending(&self) -> String {
        use deno_core::stats::RuntimeActivity::{Interval, Timer};
        let filter = deno_core::stats::RuntimeActivityStatsFilter::default().with_ops().with_timers();
        let active = self.runtime.runtime_activity_stats_factory().capture(&filter).dump().active;
        let timers = active.iter().filter(|activity| matches!(activity, Timer(..) | Interval(..))).count();
        format!("timers pending: {timers}, operations pending: {}", active.len() - timers)
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>, drained: Drained) -> Poll<Turn> {
        let polled = self.runtime.poll_event_loop(cx, PollEventLoopOptions::default());
        let (empty, result) = match polled {
            Poll::Pending => (false, Ok(())),
            Poll::Ready(Ok(())) => (true, Ok(())),
            Poll::Ready(Err(error)) => (false, Err(thrown(&error))),
        };
        if let Some(turn) = self.turn(result) {
            return Poll::Ready(turn);
        }
        if !empty {
            return Poll::Pending;
        }
        if drained == Drained::Stop {
            return Poll::Ready(Turn::Failed("the event loop is empty but the module is not loaded".to_string()));
        }
        let asked = self.functions.drained(&mut self.runtime);
        Poll::Ready(self.turn(asked).unwrap_or_else(|| Turn::Failed("the event loop is empty".to_string())))
    }

    /// What the loaded function left open, as one sentence; `None` when nothing.
    pub(crate) fn open_handles(&mut self) -> Option<String> {
        let tokio = self.tokio.take().expect("an engine always has a runtime");
        let idle = tokio.block_on(std::future::poll_fn(|cx| {
            Poll::Ready(self.runtime.poll_event_loop(cx, PollEventLoopOptions::default()).is_ready())
        }));
        self.tokio = Some(tokio);
        let filter = deno_core::stats::RuntimeActivityStatsFilter::default().with_ops().with_timers();
        let active = self.runtime.runtime_activity_stats_factory().capture(&filter).dump().active;
        let timers = active.iter().any(|activity| {
            use deno_core::stats::RuntimeActivity::{Interval, Timer};
            matches!(activity, Timer(..) | Interval(..))
        });
        match (timers, idle) {
            (true, _) => Some("timers are running when the init phase ends".to_string()),
            (false, false) => Some("sockets or operations are open when the init phase ends".to_string()),
            (false, true) => None,
        }
    }

    /// Runs `action` with an I/O driver, which is gone afterwards unless the engine had one: a
    /// process that is copied has neither its descriptors nor its threads.
    pub(crate) fn with_io<T>(&mut self, action: impl FnOnce(&mut Engine) -> T) -> T {
        let with_io = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let without = match (self.has_io, with_io) {
            (false, Ok(with_io)) => self.tokio.replace(with_io),
            _ => None,
        };
        let result = action(self);
        if without.is_some() {
            self.tokio = without;
        }
        result
    }

    /// Drops a runtime that belongs to the process this one was copied from, without waiting for its threads.
    pub(crate) fn forget_tokio(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

fn thrown(error: &CoreError) -> Thrown {
    let text = error.to_string();
    if text.contains("execution terminated") { Thrown::Terminated } else { Thrown::Error(text) }
}

/// Any length would do: what was suspended stays so until the wait is over.
const SUSPENDED_LOOK_EVERY: Duration = Duration::from_secs(3600);
