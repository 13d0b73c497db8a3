//! Every limit of an invocation, with its default and its bounds. The numbers
//! are AWS's (AWS: "Lambda quotas", "Quotas on Lambda@Edge") unless the comment
//! says otherwise; `docs/limits.md` names the test of each.

use std::time::Duration;

/// Memory of a function, mebibytes.
pub const MEMORY_MB_MIN: u32 = 128;
pub const MEMORY_MB_MAX: u32 = 10_240;
pub const MEMORY_MB_DEFAULT: u32 = 128;

/// Memory that comes with one core, mebibytes (AWS: "Configure Lambda function memory"); and ours: CPU time
/// an environment may use at full speed before it is held to its share.
pub const CORE_MB: u32 = 1_769;
pub const CPU_BURST: Duration = Duration::from_millis(100);

/// Ours: the period in which a control group gives an environment its share.
pub const CPU_PERIOD: Duration = Duration::from_millis(100);

/// Timeout of a function. 30 s is the Lambda@Edge bound for every trigger.
pub const TIMEOUT_MIN: Duration = Duration::from_secs(1);
pub const TIMEOUT_MAX: Duration = Duration::from_secs(900);
pub const TIMEOUT_MAX_EDGE: Duration = Duration::from_secs(30);
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);

/// The init phase, after which a template is killed (AWS: "Lambda execution environment lifecycle").
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// All `afterRestore` hooks of a copy together (AWS: "Lambda SnapStart runtime hooks").
pub const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Ours: how long after its deadline an environment may take to end politely
/// (JavaScript stack to the log) before it is killed.
pub const KILL_GRACE: Duration = Duration::from_millis(35);

/// Ours: the same for an environment that is over its memory by no more than [`MEMORY_OVER_MB_MAX`]
/// mebibytes. Longer, because a garbage collection cannot be interrupted; beyond that it is killed at once.
pub const MEMORY_GRACE: Duration = Duration::from_millis(100);
pub const MEMORY_OVER_MB_MAX: u32 = 64;

/// `/tmp` of an environment, mebibytes (AWS: "EphemeralStorage"); and ours: files in it for each
/// mebibyte, so that empty files cannot fill the memory either.
pub const TMP_MB_MIN: u32 = 512;
pub const TMP_MB_MAX: u32 = 10_240;
pub const TMP_MB_DEFAULT: u32 = 512;
pub const TMP_FILES_PER_MB: u32 = 64;

/// Ours: open descriptors of an environment, sockets included (AWS has 1,024 as well), and its threads.
pub const DESCRIPTORS_MAX: u64 = 1_024;
pub const THREADS_MAX: u64 = 64;

/// The same of an environment of a custom runtime: its processes and their threads together (AWS: 1,024).
pub const PROGRAM_TASKS_MAX: u64 = 256;

/// Ours: processes and threads of all environments of one function together.
pub const TASKS_MAX: u64 = 20_000;

/// What an environment with extensions has to end by itself (AWS: "Lambda execution environment lifecycle", shutdown phase).
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// A synchronous result, bytes.
pub const RESULT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Ours: log text of one invocation, bytes; the rest is dropped with a notice.
pub const LOG_BYTES_MAX: usize = 1024 * 1024;

/// Package, zipped and unpacked, bytes; and ours: files and directories in it.
/// Low enough under the fuzzer that its small inputs reach them.
pub const PACKAGE_ZIP_BYTES_MAX: u64 = 50 * 1024 * 1024;
pub const PACKAGE_BYTES_MAX: u64 = if FUZZING { 256 * 1024 } else { 250 * 1024 * 1024 };
pub const PACKAGE_FILES_MAX: usize = if FUZZING { 16 } else { 100_000 };

/// Layers of a function (AWS: "Managing Lambda dependencies with layers").
pub const LAYERS_MAX: usize = 5;

/// A key of a key value store and its value, bytes; all of a store together; what one update may change
/// (AWS: "Quotas on key value stores"); stores of an account.
pub const KEY_BYTES_MAX: usize = 512;
pub const VALUE_BYTES_MAX: usize = 1024;
pub const STORE_BYTES_MAX: usize = 5 * 1024 * 1024;
pub const UPDATE_KEYS_MAX: usize = 50;
pub const UPDATE_BYTES_MAX: usize = 3 * 1024 * 1024;
pub const STORES_MAX: usize = 200;

/// Ours: stores of a function (AWS: 1), and how old what an invocation reads may be.
pub const STORES_OF_FUNCTION_MAX: usize = 10;
pub const STORE_AGE_MAX: Duration = Duration::from_millis(500);

/// All variables of a function together, bytes of keys and values.
pub const VARIABLES_BYTES_MAX: usize = 4 * 1024;

/// Execution environments of one function, and of a PoP; and ours: invocations that may wait for one.
pub const ENVIRONMENTS_MAX_DEFAULT: usize = 1_000;
pub const ENVIRONMENTS_MAX: usize = 100_000;
pub const QUEUE_MAX_DEFAULT: usize = 1_000;

/// New environments of one function within the period, refilled evenly (AWS: "Lambda function scaling").
pub const BURST_DEFAULT: u32 = 1_000;
pub const BURST_PERIOD: Duration = Duration::from_secs(10);

/// Ours: how long an environment may stay idle, and a template without any environment.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(300);
pub const IDLE_MAX: Duration = Duration::from_secs(24 * 3600);
pub const TEMPLATE_IDLE_DEFAULT: Duration = Duration::from_secs(3600);
pub const TEMPLATE_IDLE_MIN: Duration = Duration::from_secs(1);
pub const TEMPLATE_IDLE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Generated response, headers and body (AWS: "Quotas on Lambda@Edge").
pub const GENERATED_BYTES_MAX_VIEWER: usize = 40 * 1024;
pub const GENERATED_BYTES_MAX_ORIGIN: usize = 1024 * 1024;

/// Request body shown to a function with `include_body`, raw bytes.
pub const BODY_BYTES_MAX_VIEWER: usize = 40 * 1024;
pub const BODY_BYTES_MAX_ORIGIN: usize = 1024 * 1024;

/// Replacement body in base64, characters: 53.2 KB and 1.33 MB, four thirds of the above.
pub const BODY_BASE64_MAX_VIEWER: usize = 54_616;
pub const BODY_BASE64_MAX_ORIGIN: usize = 1_398_104;

/// `uri` and `querystring` a function sets, characters together.
pub const URI_QUERY_MAX: usize = 8_191;

/// Ours: a frame on an environment's socket, bytes. Larger than an event with a 1 MB body and
/// a result of `RESULT_BYTES_MAX`.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Ours: a message of the inspector's protocol, bytes (the source of the largest package is one), the sessions
/// of one environment, and how long invocations wait for an environment that somebody debugs.
pub const INSPECTOR_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const INSPECTOR_SESSIONS_MAX: usize = 16;
pub const INSPECTED_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Whether this is an instrumented build of `fuzz/`.
#[allow(unexpected_cfgs, reason = "set by cargo-fuzz, which no other build knows")]
const FUZZING: bool = cfg!(fuzzing);
