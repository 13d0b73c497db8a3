//! The arguments of what the control plane is asked for by people of its machine.

use super::HookEvent;
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Which queues have letters, and how many
    #[command(after_help = "\
Examples:
  selvedge queue list")]
    List(ConfigArgs),

    /// Show the letters of a queue, the oldest first, each as a line of JSON
    #[command(after_help = "\
Examples:
  selvedge queue show failed")]
    Show(QueueArgs),

    /// Send the events of a queue to their functions again
    #[command(after_help = "\
Examples:
  selvedge queue redrive failed")]
    Redrive(QueueArgs),

    /// Throw the letters of a queue away
    #[command(after_help = "\
Examples:
  selvedge queue clear failed")]
    Clear(QueueArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ControlCommand {
    /// Copy the state to a new directory, also while the edge runs
    #[command(after_help = "\
Changes through the APIs wait meanwhile. The key that the state is sealed with is not copied.

Examples:
  selvedge control backup /var/backups/edge-monday
  selvedge control backup --config /etc/selvedge.toml monday")]
    Backup(CopyArgs),

    /// Put a copy back, before the edge starts
    #[command(after_help = "\
Examples:
  selvedge control restore /var/backups/edge-monday")]
    Restore(CopyArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct DeployArgs {
    /// The directory of the code, or a .zip
    pub(crate) code: PathBuf,

    /// The function's name; that of the directory or archive when it is not given
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,

    /// Let it run at this event of a distribution from now on, if it does not already
    #[arg(long, value_enum)]
    pub(crate) event: Option<HookEvent>,

    /// Which one, by its id or one of its domains; not needed when there is only one
    #[arg(long, value_name = "ID|DOMAIN", requires = "event")]
    pub(crate) distribution: Option<String>,

    /// In which of its cache behaviors; the default one when it is not given
    #[arg(long, value_name = "PATTERN", requires = "event")]
    pub(crate) path: Option<String>,

    /// Of a new function
    #[arg(long, default_value = "nodejs22.x")]
    pub(crate) runtime: String,

    /// Of a new function
    #[arg(long, default_value = "index.handler")]
    pub(crate) handler: String,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct RollbackArgs {
    /// The function's name
    pub(crate) function: String,

    /// The version to use again
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<u64>,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ConfigArgs {
    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct DistributionsArgs {
    #[command(flatten)]
    pub(crate) list: ConfigArgs,

    #[command(subcommand)]
    pub(crate) command: Option<DistributionsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DistributionsCommand {
    /// Make a distribution: an origin behind the edge's cache, for functions to run in front of
    #[command(after_help = "\
It serves when this returns: http for the domains, and for its own, which is printed. CloudFront's
API, or a [distributions] table of the configuration, says everything else.

Examples:
  selvedge distributions create --origin https://origin.example.com --domain www.example.com
  selvedge deploy functions/hello --event viewer-response")]
    Create(CreateArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct CreateArgs {
    /// Where responses come from
    #[arg(long, value_name = "URL")]
    pub(crate) origin: String,

    /// A host name of viewers; may be said again
    #[arg(long = "domain", value_name = "NAME")]
    pub(crate) domains: Vec<String>,

    /// The managed cache policy of its default behavior
    #[arg(long, value_name = "NAME", default_value = "CachingOptimized")]
    pub(crate) cache: String,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct QueueArgs {
    /// The queue's name
    pub(crate) queue: String,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct LogsArgs {
    /// The function's name
    pub(crate) function: String,

    /// Do not end: show what is added, too
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// How many lines of what is there
    #[arg(short = 'n', long, default_value_t = 20)]
    pub(crate) lines: usize,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct CopyArgs {
    /// The directory of the copy
    pub(crate) dir: PathBuf,

    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct SignArgs {
    /// The directory of the code, or a .zip
    pub(crate) code: Option<PathBuf>,

    /// The private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,

    /// Make the key, of Ed25519, where the file is not there yet
    #[arg(long)]
    pub(crate) make_key: bool,

    /// The name of the signer, part of its ARN
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: String,

    /// Where the signed archive goes; CODE.signed.zip when it is not given
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// For how long the signature is good; for ever when it is not given
    #[arg(long)]
    pub(crate) days: Option<u32>,
}
