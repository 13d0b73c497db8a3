//! What a function is and how it runs: package, template, pool of execution
//! environments, limits and log. `deployment` describes functions with
//! [`FunctionConfig`]; `proxy` invokes them. No HTTP and no language here:
//! events and results are JSON bytes that this crate never parses.

mod bytecode;
mod ceiling;
mod cgroup;
mod channel;
mod config;
mod connection;
mod control;
mod cpu;
mod failure;
mod function;
mod functions;
mod household;
mod inspection;
mod invocation;
mod key_values;
mod leaving;
mod log;
mod log_lines;
mod log_reader;
mod manifest;
mod network;
mod own_directory;
mod package;
mod parent;
mod phase;
mod pool;
mod program;
mod provision;
mod running;
mod scratch;
mod sys;
mod template;
mod watch;
mod zygote;
mod zygotes;

pub use config::{FunctionConfig, PackageSource, Scaling, SnapStart, StoreName};
pub use cpu::{CpuShare, cpu_keeping};
pub use function::Function;
pub use functions::{Functions, LineSink, LogSink, Options, PrepareError, SandboxDemand, StartError};
pub use inspection::{AttachError, Inspection, Session, Target};
pub use invocation::Invocation;
pub use key_values::KeyValueStores;
pub use log_reader::{LogLine, LogPlace, LogSummary, Logs};
pub use network::{AllowedError, NetworkPolicy};
pub use package::{Known, PackageDigest, PackageError, check_layer, check_package, check_package_of, unpack};
pub use program::Engines;
pub use provision::Provisioned;
pub use zygote::{ZygoteError, sandbox_layers};
