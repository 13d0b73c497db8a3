//! The command line, as `clap` reads it.

mod dev;
mod managed;

pub(crate) use dev::{ConventionArgs, DevArgs, HookEvent};
pub(crate) use managed::{
    ConfigArgs, ControlCommand, CopyArgs, CreateArgs, DeployArgs, DistributionsArgs, DistributionsCommand, LogsArgs,
    QueueCommand, RollbackArgs, SignArgs,
};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  problems in the configuration
  4  the function failed (invoke)

Examples:
  selvedge init my-edge                 a working project to start from
  selvedge serve --config my-edge/selvedge.toml";

/// An edge you run yourself: a CDN proxy whose requests pass through your functions
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the distributions of a configuration file
    #[command(after_help = "\
The file and the functions' code are watched: a change is checked, prepared and then
takes effect for new requests at once. A bad change is refused and logged. SIGHUP reads
the file again; SIGTERM and SIGINT stop after the requests in flight.

selvedge-js is looked for in $SELVEDGE_JS, then beside this program.

Examples:
  selvedge serve
  selvedge serve --config /etc/selvedge.toml --log-format json
  SELVEDGE_LOG=debug selvedge serve --function-logs")]
    Serve(ServeArgs),

    /// Serve functions while you write them: what you save is what answers
    #[command(after_help = "\
Without a configuration file a handler's file is enough. What it exports runs as the hook of
that name: viewerRequest, originRequest, originResponse, viewerResponse (in Python
viewer_request and so on), or handler. TypeScript needs no build.

A save takes effect with the next request. Code that does not load answers with what is
wrong and where, until it is mended; a configuration with problems changes nothing.
Only this machine can connect.

Examples:
  selvedge dev                          the selvedge.toml, or the handler, that is here
  selvedge dev functions/rewrite.ts --origin https://www.example.com
  selvedge dev my-function --event origin-response --env STAGE=dev
  selvedge dev rewrite.ts --print-config > selvedge.toml")]
    Dev(DevArgs),

    /// Check a configuration file and the functions' packages, and print every problem
    #[command(after_help = "\
Examples:
  selvedge check
  selvedge check --config /etc/selvedge.toml
  selvedge check --sandbox              what this machine gives, layer by layer")]
    Check(CheckArgs),

    /// Run one function with an event, and print its result
    #[command(after_help = "\
The result goes to standard output; the function's log and its REPORT line go to
standard error. The exit code is 4 when the function did not return a result.

Examples:
  selvedge invoke pretty-urls --event event.json
  echo '{\"name\": \"you\"}' | selvedge invoke hello --event -")]
    Invoke(InvokeArgs),

    /// Take responses out of the cache of a running edge
    #[command(after_help = "\
An item is a path with its query string (/a.html), the beginning of one with a * at
its end (/images/*), or a tag (#news) where the distribution has a cache_tag_header.
It takes effect before this returns, whatever headers and cookies a response is for.

Examples:
  selvedge purge '/*'
  selvedge purge --config /etc/selvedge.toml --distribution shop /index.html '#product:42'")]
    Purge(PurgeArgs),

    /// Print the counters of a running edge, as Prometheus reads them
    #[command(after_help = "\
The same page is at http://ADDRESS/metrics where the configuration says
[server] metrics = \"ADDRESS\".

Examples:
  selvedge metrics
  selvedge metrics --config /etc/selvedge.toml | grep selvedge_requests_total")]
    Metrics(MetricsArgs),

    /// Package, upload and publish a function of the running edge, and let it serve
    #[command(after_help = "\
Every distribution that uses the function uses the new version when this returns. A function
that is not there yet is made; --event says where it runs.

Examples:
  selvedge deploy functions/hello
  selvedge deploy functions/hello --event viewer-response --distribution www.example.com
  selvedge deploy build/hello.zip --function hello --config /etc/selvedge.toml")]
    Deploy(DeployArgs),

    /// Sign a package, so that functions can insist on whom their code is from
    #[command(after_help = "\
The signature is at the end of the archive, which stays one. What is printed is the ARN for
AllowedPublishers of a code signing configuration; without CODE it is all that is done. Keys
of openssl are taken, too: Ed25519 or P-256 in PKCS #8.

Examples:
  selvedge sign --key release.pem --make-key --profile release
  selvedge sign functions/hello --key release.pem --profile release --out hello.zip
  selvedge sign build/hello.zip --key release.pem --profile release --days 90")]
    Sign(SignArgs),

    /// Let distributions use an earlier version of a function again
    #[command(after_help = "\
Examples:
  selvedge rollback hello               the version before the one in use
  selvedge rollback hello --to 3")]
    Rollback(RollbackArgs),

    /// List the functions of the running edge's control plane
    #[command(after_help = "\
Examples:
  selvedge functions")]
    Functions(ConfigArgs),

    /// List the distributions of the running edge's control plane, or make one
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  selvedge distributions"
    )]
    Distributions(DistributionsArgs),

    /// Show the end of a function's log, and follow it
    #[command(after_help = "\
Examples:
  selvedge logs hello
  selvedge logs -f hello")]
    Logs(LogsArgs),

    /// The queues that the control plane keeps: events that were given up
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },

    /// The state of the control plane
    Control {
        #[command(subcommand)]
        command: ControlCommand,
    },

    /// Write a working project: a configuration, a site and one function
    #[command(after_help = "\
Examples:
  selvedge init my-edge
  cd my-edge && selvedge serve")]
    Init(InitArgs),

    /// Certificates for https
    Certs {
        #[command(subcommand)]
        command: CertsCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a local certificate authority and a certificate of it
    #[command(after_help = "\
Examples:
  selvedge certs init
  selvedge certs init --dir certs localhost 127.0.0.1 edge.test")]
    Init(CertsInitArgs),
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,

    /// How log lines are written to standard error; $SELVEDGE_LOG sets what is logged
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Also write the functions' own log lines to the terminal
    #[arg(long)]
    pub(crate) function_logs: bool,

    /// Refuse to start when this machine cannot give functions the whole sandbox
    #[arg(long)]
    pub(crate) require_sandbox: bool,

    /// Refused: for whoever tries it
    #[arg(long, hide = true, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "")]
    pub(crate) inspect: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,

    /// Instead of checking it, try the sandbox of each runtime that this machine or the configuration has
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct InvokeArgs {
    /// The function's name in the configuration
    pub(crate) function: String,

    /// A file with the event as JSON, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) event: PathBuf,

    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct PurgeArgs {
    /// Paths and #tags
    #[arg(required = true)]
    pub(crate) items: Vec<String>,

    /// The distribution's name in the configuration, its id, or one of its domains; not needed when the
    /// configuration has only one
    #[arg(long, value_name = "NAME|ID|DOMAIN")]
    pub(crate) distribution: Option<String>,

    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct MetricsArgs {
    /// The configuration file that the edge runs with
    #[arg(long, value_name = "FILE", default_value = "selvedge.toml")]
    pub(crate) config: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct InitArgs {
    /// The directory to write to; it must be empty or not exist
    pub(crate) dir: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct CertsInitArgs {
    /// Where the authority and the certificate are written
    #[arg(long, default_value = "certs")]
    pub(crate) dir: PathBuf,

    /// Host names and addresses the certificate is for
    #[arg(default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])]
    pub(crate) names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let command = Args::command();
        let mut leaves: Vec<&clap::Command> = command.get_subcommands().collect();
        while let Some(leaf) = leaves.pop() {
            if leaf.has_subcommands() {
                leaves.extend(leaf.get_subcommands());
            } else {
                let help = leaf.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Examples:"), "{}", leaf.get_name());
            }
        }
    }

    #[test]
    fn a_standard_input_event_is_a_dash() {
        let args = Args::try_parse_from(["selvedge", "invoke", "f", "--event", "-"]).unwrap();
        let Command::Invoke(args) = args.command else { panic!("invoke was given") };
        assert_eq!(args.event, PathBuf::from("-"));
    }
}
