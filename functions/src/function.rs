//! One prepared function: its template, its pool, and how an invocation gets an
//! environment. `functions` makes it, `running` uses it, `creation` makes its environments,
//! `rebuilding` its template when that is gone.

mod creation;
mod rebuilding;

use crate::bytecode::Compiler;
use crate::ceiling::Ceiling;
use crate::config::{FunctionConfig, SnapStart};
use crate::connection::Environment;
use crate::failure::put_failure;
use crate::functions::Shared;
use crate::invocation::{Invocation, log_tail};
use crate::log::Log;
use crate::log_lines::{self, Failure, Report, Start};
use crate::network::{Caller, Forks};
use crate::package::Installed;
use crate::phase::Phase;
use crate::pool::{Pool, PoolLimits, Taken};
use crate::provision::{Progress, Provisioned};
use crate::running::{Lost, Running, Until};
use crate::template::{self, BuildError, Kind, Template};
use crate::zygote::Zygote;
use bytes::{Bytes, BytesMut};
use creation::{FORK_ATTEMPTS, NotCreated};
use environment::limits::{INSPECTED_WAIT_MAX, QUEUE_MAX_DEFAULT};
use environment::{ErrorPayload, Language, Manifest, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use uuid::Uuid;

/// One function, ready to be invoked. Dropping the last one retires its template and environments
/// once they are idle.
#[derive(Debug)]
pub struct Function {
    pub(crate) core: Arc<Core>,
}

impl Function {
    /// What this function was prepared from.
    #[must_use]
    pub fn config(&self) -> &FunctionConfig {
        &self.core.config
    }

    /// Why it cannot run as it is: what its last init phase ended with, when there was none since that was good.
    pub async fn init_error(&self) -> Option<ErrorPayload> {
        if self.core.is_inspected() {
            return self.core.progress.init_error();
        }
        let state = self.core.template.lock().await;
        match &state.failed {
            Some((_, BuildError::Init(error))) if state.template.is_none() => Some(error.clone()),
            _ => None,
        }
    }

    /// Whether both have the same template and environments.
    #[must_use]
    pub fn is(&self, other: &Function) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// How far its provisioned environments are.
    #[must_use]
    pub fn provisioned(&self) -> Provisioned {
        self.core.progress.of(&self.core)
    }

    /// Runs the handler once, after waiting for an environment if need be. Returns with its answer: a custom runtime
    /// may then still have to do. When this future is dropped, an invocation that has begun runs to its end all the same.
    ///
    /// When the process it runs in is lost, it runs again in another one if the handler had not been
    /// started; and once if it had written nothing and the function is idempotent.
    pub async fn invoke(&self, event: Bytes) -> Invocation {
        self.invoke_as(Uuid::new_v4(), event).await
    }

    /// The same, with a request id that was given out before.
    pub async fn invoke_as(&self, id: Uuid, event: Bytes) -> Invocation {
        self.invoke_until(Until::Answered, id, event).await
    }

    /// The same as `invoke`, until the environment has done: with what its extensions do after the answer.
    pub async fn invoke_whole(&self, event: Bytes) -> Invocation {
        self.invoke_until(Until::Over, Uuid::new_v4(), event).await
    }

    async fn invoke_until(&self, until: Until, id: Uuid, event: Bytes) -> Invocation {
        let mut may_repeat = self.core.config.idempotent;
        for _ in 1..RUNS_MAX {
            let (invocation, lost) = self.run(until, id, event.clone()).await;
            match lost {
                None => return invocation,
                Some(Lost::Silent) if !may_repeat => return invocation,
                Some(Lost::Silent) => may_repeat = false,
                Some(Lost::Before) => {}
            }
            tracing::warn!(function = %self.core.name, %id, ?lost, "invocation lost with its process, run again");
        }
        self.run(until, id, event).await.0
    }

    async fn run(&self, until: Until, id: Uuid, event: Bytes) -> (Invocation, Option<Lost>) {
        let asked = Instant::now();
        let admission = match self.core.ceiling.admit() {
            Ok(admission) => admission,
            Err(throttle) => return (self.core.not_run(id, Outcome::Throttled(throttle), Start::Warm), None),
        };
        let (environment, start) = match self.core.environment().await {
            Ok(found) => found,
            Err(NotCreated { outcome, phase }) => {
                return (self.core.not_run(id, outcome, phase.start(asked.elapsed())), None);
            }
        };
        match Running::new(Arc::clone(&self.core), (environment, admission), start, id, event) {
            Ok(running) => running.run(until).await,
            Err(error) => {
                let error_type = "RequestEntityTooLarge".to_owned();
                let error = ErrorPayload { error_type, error_message: error.to_string(), trace: Vec::new() };
                (self.core.not_run(id, Outcome::Threw(error), Start::Init(asked.elapsed())), None)
            }
        }
    }
}

/// What running invocations share with the [`Function`], and outlives it for them.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: FunctionConfig,
    pub(crate) name: Arc<str>,
    pub(crate) package: Installed,
    pub(crate) pool: Arc<Pool<Environment>>,
    pub(crate) progress: Progress,
    ceiling: Arc<Ceiling>,
    manifest: Manifest,
    zygote: Arc<Zygote>,
    shared: Arc<Shared>,
    template: Mutex<TemplateState>,
}

#[derive(Debug, Default)]
struct TemplateState {
    template: Option<Arc<Template>>,
    /// When the last build ended badly, and how.
    failed: Option<(Instant, BuildError)>,
    used: Option<Instant>,
}

impl Core {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        config: FunctionConfig,
        package: Installed,
        (manifest, zygote): (Manifest, Arc<Zygote>),
    ) -> Core {
        let scaling = &config.scaling;
        let limits = PoolLimits {
            environments_max: scaling.environments_max,
            burst: scaling.burst,
            provisioned: scaling.provisioned,
            idle_max: scaling.idle_max,
            queue_max: QUEUE_MAX_DEFAULT,
            wait_max: if manifest.inspected.is_some() { INSPECTED_WAIT_MAX } else { config.timeout },
        };
        let pool = Pool::new(&shared.capacity, limits);
        let name = Arc::from(config.name.as_str());
        let (template, progress) = (Mutex::default(), Progress::default());
        let ceiling = shared.ceilings.join(&name, config.scaling.provisioned);
        let shared = Arc::clone(shared);
        Core { config, name, package, pool, progress, ceiling, manifest, zygote, shared, template }
    }

    /// Whether debuggers may attach to its one environment.
    pub(crate) fn is_inspected(&self) -> bool {
        self.manifest.inspected.is_some()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Ends the template and idle environments; whoever asks from now on is refused.
    pub(crate) async fn close(&self) {
        self.pool.close();
        self.template.lock().await.template = None;
    }

    async fn environment(self: &Arc<Self>) -> Result<(Environment, Start), NotCreated> {
        let mut losses = 0;
        loop {
            match self.pool.take().await? {
                Taken::Idle(mut environment) => {
                    if environment.is_usable() {
                        environment.wake();
                        return Ok((environment, Start::Warm));
                    }
                }
                // In a box, so that invocations that find one do not carry the room for this.
                Taken::Place(place) => match Box::pin(self.create(place)).await {
                    Err(BuildError::Lost) if losses < LOSSES_MAX => {
                        losses += 1;
                        tracing::warn!(function = %self.name, losses, "killed before it was ready, another is made");
                    }
                    created => return created.map_err(NotCreated::from),
                },
            }
        }
    }

    /// Before the first invocation: bytecode and the template.
    pub(crate) async fn init(self: &Arc<Self>) {
        if self.config.runtime.language() == Language::Python {
            self.compile().await;
        }
        self.init_ahead().await;
    }

    /// Without bytecode the function runs all the same.
    async fn compile(&self) {
        let Some(zygote) = self.zygote.running().await else { return };
        let (id, time_max) = (self.shared.next_id(), self.shared.zygotes.compile_max());
        let compiler = Compiler { zygote: &zygote, id, network: &self.shared.network, caller: self.caller(), time_max };
        if let Err(error) = compiler.compile(&self.manifest).await {
            tracing::warn!(function = %self.name, %error, "the package is not compiled");
        }
    }

    /// Builds the template when there is none, and says so in the function's log.
    async fn init_ahead(self: &Arc<Self>) {
        match self.template().await {
            Ok((template, true)) if self.is_copied() => {
                let mut line = BytesMut::new();
                log_lines::put_init(&mut line, template.init);
                self.log().write(&self.name, line.freeze());
            }
            Ok(_) => {}
            Err(error) => tracing::error!(function = %self.name, ?error, "template cannot be built"),
        }
    }

    /// Ends a template that nobody used for long and that has no environment.
    pub(crate) fn retire_idle_template(&self) {
        let Ok(mut state) = self.template.try_lock() else { return };
        let idle = state.used.map_or(Duration::ZERO, |used| used.elapsed());
        let is_process = state.template.as_ref().is_some_and(|template| matches!(template.kind, Kind::Shared { .. }));
        if is_process && idle >= self.config.scaling.template_idle_max && self.pool.is_empty() {
            tracing::info!(function = %self.name, idle_s = idle.as_secs(), "idle template retired");
            state.template = None;
        }
    }

    /// The template, and whether it was built for this call. One build at a time: whoever waited for
    /// a build that failed gets its error.
    pub(crate) async fn template(self: &Arc<Self>) -> Result<(Arc<Template>, bool), BuildError> {
        let asked = Instant::now();
        let mut state = self.template.lock().await;
        state.used = Some(Instant::now());
        if let Some(template) = state.template.as_ref().filter(|template| template.is_open()) {
            return Ok((Arc::clone(template), false));
        }
        state.template = None;
        if let Some((ended, error)) = &state.failed
            && *ended > asked
        {
            return Err(error.clone());
        }
        match self.build().await {
            Ok(template) => {
                let template = Arc::new(template);
                state.template = Some(Arc::clone(&template));
                self.rebuild_when_gone(&template);
                Ok((template, true))
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn build(&self) -> Result<Template, BuildError> {
        if self.shared.is_stopping() {
            return Err(BuildError::Fork("the functions are being stopped".into()));
        }
        let began = Instant::now();
        let mut lines = BytesMut::new();
        let mut built = Err(BuildError::Lost);
        for _ in 0..FORK_ATTEMPTS {
            if !matches!(built, Err(BuildError::Lost)) {
                break;
            }
            let zygote = self.zygote.running().await;
            let zygote = zygote.ok_or_else(|| BuildError::Fork("the zygote is not running".into()))?;
            if !self.is_copied() {
                return Ok(Template::none(&zygote));
            }
            let plan = template::Plan {
                zygote: &zygote,
                id: self.shared.next_id(),
                manifest: &self.manifest,
                network: &self.shared.network,
                caller: self.caller(),
            };
            built = template::build(plan, &mut lines).await;
        }
        let built = built.and_then(|template| self.judge(template, &mut lines));
        if let Err(BuildError::Init(error)) = &built {
            // An error of the module was logged by the runtime, with its trace.
            if error.trace.is_empty() {
                log_lines::put_line(&mut lines, format!("{}: {}", error.error_type, error.error_message).as_bytes());
            }
            log_lines::put_phase_report(&mut lines, Phase::Init, began.elapsed(), &Failure::of_phase(error));
        }
        self.log().write(&self.name, lines.freeze());
        built
    }

    /// Whether environments may be copies of an initialised process: a custom runtime's programs cannot be copied.
    fn is_copied(&self) -> bool {
        self.config.snap_start != SnapStart::Never && self.config.runtime.language() != Language::Custom
    }

    /// What follows from an init phase that cannot be shared.
    fn judge(&self, template: Template, lines: &mut BytesMut) -> Result<Template, BuildError> {
        let Some(reason) = &template.unshared else { return Ok(template) };
        if self.config.snap_start == SnapStart::Always {
            return Err(BuildError::Init(ErrorPayload {
                error_type: "Runtime.SnapStartError".into(),
                error_message: format!("snap_start is \"on\" and the init phase cannot be shared: {reason}"),
                trace: Vec::new(),
            }));
        }
        let line = format!("init phase cannot be shared, each environment loads the function itself: {reason}");
        log_lines::put_line(lines, line.as_bytes());
        Ok(template)
    }

    /// Whose network calls come from the template and its environments.
    fn caller(&self) -> Caller {
        let (function, policy) = (Arc::clone(&self.name), self.config.network.clone());
        Caller { function, policy, forks: Forks::default(), door: None, log: self.shared.log.clone() }
    }

    /// An invocation that never reached an environment.
    fn not_run(&self, id: Uuid, outcome: Outcome, start: Start) -> Invocation {
        let mut written = Bytes::new();
        if let Outcome::Throttled(throttle) = &outcome {
            tracing::warn!(function = %self.name, reason = %throttle, "throttled");
        } else {
            let mut lines = BytesMut::new();
            log_lines::put_start(&mut lines, id, &self.config.version);
            let failure = put_failure(&mut lines, id, &outcome);
            let memory_mb = self.config.memory_mb;
            let report = Report { id, duration: Duration::ZERO, memory_mb, memory_used_mb: 0, start, failure };
            log_lines::put_end(&mut lines, &report);
            written = lines.freeze();
            self.log().write(&self.name, written.clone());
        }
        let (duration, init, log_tail) = (Duration::ZERO, start.duration(), log_tail(&Bytes::new(), &written));
        Invocation { id, outcome, duration, init, memory_used_mb: 0, log_tail }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.pool.close();
        self.shared.ceilings.leave(&self.ceiling, self.config.scaling.provisioned);
        let tmp_root = std::mem::take(&mut self.manifest.tmp_root);
        let remove = move || std::fs::remove_dir_all(tmp_root);
        // It may be gone with its parent already; at shutdown it goes with that.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(remove));
        }
    }
}

/// Environments are not lost so often unless somebody kills them all.
const RUNS_MAX: usize = 4;
/// The same, of processes that were lost before they could take the invocation.
const LOSSES_MAX: usize = RUNS_MAX - 1;
