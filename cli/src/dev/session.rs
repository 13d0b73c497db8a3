//! What `selvedge dev` adds to a running edge: the configuration that is made
//! up again after each save, listeners that only this machine reaches, and what
//! is said of reloads and errors. `serve` and `reload` call it.

use super::Project;
use super::convention::{Hooks, Place};
use super::place::Sources;
use super::story::{Story, is_call, is_runtimes};
use super::terminal::{Style, Terminal};
use crate::dev::shown;
use anyhow::Context;
use deployment::{Config, Deployment};
use functions::LineSink;
use proxy::error::{EdgeError, Explain};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// One run of `selvedge dev`.
pub(crate) struct Session {
    project: Project,
    terminal: Terminal,
    /// Where it listens, when the configuration does not say it.
    address: Option<SocketAddr>,
    file: PathBuf,
    data_dir: PathBuf,
    echo: PathBuf,
    hooks: Mutex<Option<Hooks>>,
    sources: Arc<Sources>,
    story: Arc<Story>,
}

impl Session {
    /// `place` is a directory for what is made up, until the end.
    pub(crate) fn new(project: Project, terminal: Terminal, address: Option<SocketAddr>, place: &Path) -> Session {
        let file = match &project {
            Project::Written(file) => file.clone(),
            Project::MadeUp(_) => place.join("selvedge.toml"),
        };
        let (data_dir, echo) = (place.join("data"), place.join("echo"));
        let sources: Arc<Sources> = Arc::default();
        let story = Arc::new(Story::new(Arc::clone(&sources)));
        Session { project, terminal, address, file, data_dir, echo, hooks: Mutex::default(), sources, story }
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Makes the configuration up again, as the code is now. Blocks.
    ///
    /// # Errors
    /// The handler is not there, or exports no hook.
    pub(crate) fn refresh(&self) -> anyhow::Result<()> {
        let (Project::MadeUp(convention), Some(listen)) = (&self.project, self.address) else { return Ok(()) };
        let mut known = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let hooks = convention.hooks(known.as_ref())?;
        let text = convention.text(&hooks.exports, Some(&Place { listen, data_dir: &self.data_dir, echo: &self.echo }));
        *known = Some(hooks);
        // Writing it is a change that is heard.
        if std::fs::read_to_string(&self.file).is_ok_and(|written| written == text) {
            return Ok(());
        }
        std::fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Whether the handler's file is still the one that the configuration was made up for. When it is not,
    /// what was prepared may be of two moments, and a change is about to be heard.
    pub(crate) fn is_current(&self) -> bool {
        let Project::MadeUp(convention) = &self.project else { return true };
        let known = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|hooks| convention.is_of(hooks))
    }

    /// The configuration with listeners that only this machine reaches.
    pub(crate) fn adapt(&self, mut config: Config) -> Config {
        let server = &mut config.server;
        if let Some(address) = self.address {
            server.http = vec![address];
        }
        let control = server.control.as_mut().map(|control| &mut control.listen);
        for address in server.http.iter_mut().chain(&mut server.https).chain(&mut server.metrics).chain(control) {
            if !address.ip().is_loopback() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
        }
        self.sources.know(&config.deployment);
        self.story.begin();
        config
    }

    /// The origin that shows what it is asked, until what is returned is dropped with the runtime.
    ///
    /// # Errors
    /// It cannot listen.
    pub(crate) fn start_echo(&self) -> anyhow::Result<JoinHandle<()>> {
        proxy::echo::start(&self.echo).context("the origin that shows what it is asked")
    }

    /// Whether responses may be in the cache that functions were part of.
    pub(crate) fn caches(&self) -> bool {
        matches!(self.project, Project::Written(_))
    }

    /// What functions write, for the terminal.
    pub(crate) fn lines(&self) -> LineSink {
        let (terminal, story) = (self.terminal.clone(), Arc::clone(&self.story));
        LineSink(Arc::new(move |function, lines| {
            for told in story.tell(function, lines) {
                terminal.say(&told);
            }
        }))
    }

    /// The page of a failure.
    pub(crate) fn explain(&self) -> Explain {
        let sources = Arc::clone(&self.sources);
        Explain(Arc::new(move |error| page(error, &sources)))
    }

    /// It listens, and this is what it serves.
    pub(crate) fn started(&self, addresses: &[(&str, SocketAddr)], deployment: &Deployment) {
        for (scheme, address) in addresses {
            self.terminal.say(&[(Style::Strong, format!("{scheme}://{address}/"))]);
        }
        if let Project::MadeUp(convention) = &self.project {
            let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            for hook in hooks.iter().flat_map(|hooks| &hooks.exports) {
                let what = format!("  {:<16} {} of {}", hook.event.name(), hook.name, shown(convention.file()));
                self.terminal.say(&[(Style::Plain, what)]);
            }
            self.terminal.say(&[(Style::Plain, format!("  {:<16} {}", "origin", convention.origin()))]);
        } else {
            for function in deployment.functions.values() {
                let code = shown(function.package.path());
                self.terminal.say(&[(Style::Plain, format!("  {:<16} {} of {code}", function.name, function.handler))]);
            }
        }
        self.terminal.say(&[(Style::Dim, "what you save is served; Ctrl-C ends".to_owned())]);
    }

    /// Debuggers attach to its JavaScript functions here.
    pub(crate) fn lets_debuggers_in(&self, address: SocketAddr) {
        let said = format!("debuggers attach at {address}: chrome://inspect, or an editor's \"attach to Node.js\"");
        self.terminal.say(&[(Style::Plain, said)]);
    }

    /// These functions are new, and these of them do not load.
    pub(crate) fn reloaded(&self, functions: &[String], broken: &[String], took: Duration) {
        let what = match functions {
            [] => "the configuration".to_owned(),
            changed => changed.join(", "),
        };
        let said = format!("reloaded {what} in {:.0} ms", took.as_secs_f64() * 1e3);
        self.terminal.timed(&[(Style::Good, said)]);
        if !broken.is_empty() {
            let said = format!("{} cannot run: requests get the error until it is mended", broken.join(", "));
            self.terminal.timed(&[(Style::Bad, said)]);
        }
    }

    /// A change that cannot be served; what was there before stays.
    pub(crate) fn refused(&self, error: &anyhow::Error) {
        for (number, line) in format!("{error:#}").lines().enumerate() {
            let line = self.sources.named(line);
            match number {
                0 => self.terminal.timed(&[(Style::Bad, "error ".to_owned()), (Style::Plain, line)]),
                _ => self.terminal.say(&[(Style::Plain, format!("  {line}"))]),
            }
        }
        self.terminal.say(&[(Style::Dim, "  not reloaded: what was there before is served".to_owned())]);
    }
}

/// The failure, with the place in the source where it has one.
fn page(error: &EdgeError, sources: &Sources) -> String {
    let status = error.status;
    let mut text = format!("{} {}\n\n", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let mut lines = error.reason.lines();
    let said = lines.next().unwrap_or_default();
    let frame = error.reason.lines().find_map(|line| sources.frame(None, line));
    // A trace begins with what was said.
    let trace = lines.filter(|line| !said.ends_with(line.trim_start()) && !is_runtimes(line));
    for line in std::iter::once(said).chain(trace.filter(|line| frame.is_none() || is_call(line))) {
        text.push_str(&sources.named(line));
        text.push('\n');
    }
    if let Some(frame) = frame {
        text.push('\n');
        text.push_str(&frame);
    }
    text.push_str("\nOnly `selvedge dev` says this; viewers of `selvedge serve` get the status and a request id.\n");
    text
}
