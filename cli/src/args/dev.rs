//! The arguments of `selvedge dev`.

use clap::{Args as ClapArgs, ValueEnum};
use inspector::Address;
use std::path::PathBuf;

#[derive(ClapArgs, Debug)]
pub(crate) struct DevArgs {
    /// A directory with a selvedge.toml, the directory of a function, or a handler's file
    #[arg(default_value = ".", conflicts_with = "config")]
    pub(crate) path: PathBuf,

    /// A configuration file of another name, or elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The port on this machine; 8080 or the next free one when it is not given
    #[arg(long)]
    pub(crate) port: Option<u16>,

    /// Let debuggers into JavaScript functions: Chrome DevTools, VS Code, `node inspect`; at 127.0.0.1:9229 when it
    /// is not said where
    #[arg(long, value_name = "[HOST:]PORT", num_args = 0..=1, require_equals = true, default_missing_value = "9229")]
    pub(crate) inspect: Option<Address>,

    #[command(flatten)]
    pub(crate) convention: ConventionArgs,

    /// Print the configuration that is made up, to go on from, and end
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// What a configuration file would say.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Without a configuration file")]
pub(crate) struct ConventionArgs {
    /// When an export called `handler` runs; viewer-request when it is not given
    #[arg(long, value_enum)]
    pub(crate) event: Option<HookEvent>,

    /// Where responses come from: http://..., https://..., or a directory. Without it the directory
    /// `public` beside the handler, or an origin that shows what it is asked
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) origin: Option<String>,

    /// An environment variable of the functions; may be said again
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,

    /// What the functions may connect to on this machine and in private networks; may be said again
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) network: Vec<String>,
}

impl ConventionArgs {
    /// The first of these that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.event.is_some(), "--event"),
            (self.origin.is_some(), "--origin"),
            (!self.variables.is_empty(), "--env"),
            (!self.network.is_empty(), "--network"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
}

/// One of the four hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookEvent {
    ViewerRequest,
    OriginRequest,
    OriginResponse,
    ViewerResponse,
}

impl HookEvent {
    pub(crate) const ALL: [HookEvent; 4] =
        [HookEvent::ViewerRequest, HookEvent::OriginRequest, HookEvent::OriginResponse, HookEvent::ViewerResponse];

    /// As in a configuration file; also the name of the function that `selvedge dev` makes for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            HookEvent::ViewerRequest => "viewer-request",
            HookEvent::OriginRequest => "origin-request",
            HookEvent::OriginResponse => "origin-response",
            HookEvent::ViewerResponse => "viewer-response",
        }
    }
}
