//! An edge: the real `selvedge` program with a configuration, functions and a
//! data directory of its own. Killed when dropped; its terminal stays readable.

use crate::viewer::{self, Ask, Reply};
use crate::wait_for;
use functions::Engines;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What an edge is started with.
pub struct EdgeBuilder {
    directory: TempDir,
    server: String,
    functions: String,
    config: String,
    tls: bool,
    environment: Environment,
    launch: Launch,
}

/// How the program is started: through which other one, with which further arguments, and for how long.
#[derive(Default)]
struct Launch {
    by: Vec<String>,
    arguments: Vec<String>,
    /// How long it may take until it listens, when that is not as usual.
    patience: Option<Duration>,
}

/// Variables of the program, by name.
type Environment = Vec<(&'static str, PathBuf)>;

impl EdgeBuilder {
    /// A function from the text of its `index.mjs`, with default settings.
    #[must_use]
    pub fn function(self, name: &str, code: &str) -> EdgeBuilder {
        self.function_with(name, code, "")
    }

    /// A function with further lines of its table, for example `timeout = "1s"`.
    #[must_use]
    pub fn function_with(mut self, name: &str, code: &str, settings: &str) -> EdgeBuilder {
        self = self.file(&format!("{name}/index.mjs"), code);
        self.functions.push_str(&format!("[functions.{name}]\ncode = \"{name}\"\n{settings}\n"));
        self
    }

    /// A file beside the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> EdgeBuilder {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("the directory is writable");
        fs::write(path, content).expect("the file is writable");
        self
    }

    /// Further configuration text.
    #[must_use]
    pub fn config(mut self, text: &str) -> EdgeBuilder {
        self.config.push_str(text);
        self
    }

    /// Further lines of `[server]`.
    #[must_use]
    pub fn server(mut self, lines: &str) -> EdgeBuilder {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// An https listener, with the certificates of the directory `certs`.
    #[must_use]
    pub fn tls(mut self) -> EdgeBuilder {
        self.tls = true;
        self
    }

    /// Origins whose certificates this authority signed are trusted.
    #[must_use]
    pub fn trusting(mut self, authority: &Path) -> EdgeBuilder {
        self.environment.push(("SSL_CERT_FILE", authority.to_owned()));
        self
    }

    /// A variable of the program.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: &str) -> EdgeBuilder {
        self.environment.push((name, PathBuf::from(value)));
        self
    }

    /// Starts the program through another one, which gets its path and arguments.
    #[must_use]
    pub fn launched_by(mut self, words: &[&str]) -> EdgeBuilder {
        self.launch.by = words.iter().map(ToString::to_string).collect();
        self
    }

    /// It has much to do before it listens.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> EdgeBuilder {
        self.launch.patience = Some(patience);
        self
    }

    /// A further argument of `selvedge serve`.
    #[must_use]
    pub fn with(mut self, argument: &str) -> EdgeBuilder {
        self.launch.arguments.push(argument.to_owned());
        self
    }

    /// Where the files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the program and waits until it answers.
    ///
    /// # Panics
    /// When it ends, or does not listen in time; with what it wrote.
    pub async fn start(self) -> Edge {
        let (http, https) = (free_port(), free_port());
        let mut server = format!("[server]\nhttp = [\"{http}\"]\ndata_dir = \"state\"\n");
        if self.tls {
            server.push_str(&format!("https = [\"{https}\"]\ncertificates = \"certs\"\n"));
        }
        let server = server + &self.server;
        let EdgeBuilder { directory, functions, config, environment, launch, .. } = self;
        let edge = Edge { child: None, http, https, server, functions, directory, environment, launch };
        edge.write_config(&config);
        edge.run().await
    }
}

/// A running edge.
pub struct Edge {
    child: Option<Child>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    server: String,
    functions: String,
    directory: TempDir,
    environment: Environment,
    launch: Launch,
}

impl Edge {
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn builder() -> EdgeBuilder {
        let directory = tempfile::tempdir().expect("temporary files can be made");
        let (server, functions, config) = Default::default();
        EdgeBuilder {
            directory,
            server,
            functions,
            config,
            tls: false,
            environment: Vec::new(),
            launch: Launch::default(),
        }
    }

    /// Asks over HTTP/1.1.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn ask(&self, ask: Ask) -> Reply {
        let said = format!("{ask:?}");
        match viewer::ask(self.http, ask).await {
            Ok(reply) => reply,
            Err(error) => panic!("{said}: {error:#}\n{}", self.terminal()),
        }
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.ask(Ask::get(target)).await
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What the program wrote to its terminal.
    #[must_use]
    pub fn terminal(&self) -> String {
        fs::read_to_string(self.path().join("terminal")).unwrap_or_default()
    }

    /// The log of a function, empty before its first line.
    #[must_use]
    pub fn log(&self, function: &str) -> String {
        fs::read_to_string(self.path().join(format!("state/logs/{function}.log"))).unwrap_or_default()
    }

    /// Returns once the function's log holds `text`.
    pub async fn logged(&self, function: &str, text: &str) {
        let what = format!("{text:?} in the log of {function}");
        wait_for(&what, || async { self.log(function).contains(text).then_some(()) }).await;
    }

    /// Returns once the terminal holds `text`.
    pub async fn said(&self, text: &str) {
        wait_for(&format!("{text:?} on the terminal"), || async { self.terminal().contains(text).then_some(()) }).await;
    }

    /// The hooks that ran for the nth request (from 0) with this target, as the
    /// access log tells: `viewer-request:ok`, `origin-request:threw`, …
    pub async fn stages(&self, target: &str, nth: usize) -> Vec<String> {
        let wanted = format!(" {target} ");
        let what = format!("access line {nth} of {target}");
        let line = wait_for(&what, || async {
            let terminal = self.terminal();
            terminal
                .lines()
                .filter(|line| line.contains("access") && line.contains(&wanted))
                .nth(nth)
                .map(ToOwned::to_owned)
        })
        .await;
        let hooks = line.split(' ').filter_map(|word| {
            let (event, rest) = word.split_once('=')?;
            let outcome = rest.split(':').nth(1)?;
            let is_hook = event.starts_with("viewer-re") || event.starts_with("origin-re");
            is_hook.then(|| format!("{event}:{outcome}"))
        });
        hooks.collect()
    }

    /// Replaces the configuration after the functions; not read before [`Edge::signal`].
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, config: &str) {
        let text = format!("{}\n{}\n{config}", self.server, self.functions);
        fs::write(self.path().join("selvedge.toml"), text).expect("the configuration is writable");
    }

    /// # Panics
    /// When the program has ended.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the edge runs");
    }

    /// # Panics
    /// When the program was never started.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = self.child.as_ref().expect("the edge was started").id();
        Pid::from_raw(i32::try_from(id).expect("a pid is positive"))
    }

    /// Waits until the program has ended; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let child = self.child.as_mut().expect("the edge was started");
        wait_for("the end of the edge", move || {
            let ended = child.try_wait().expect("the edge is our child");
            async move { ended.map(|status| status.code()) }
        })
        .await
    }

    /// Kills the program, if it has not ended, and starts it again on the same files.
    ///
    /// # Panics
    /// When it does not listen again in time.
    pub async fn restart(mut self) -> Edge {
        let child = self.child.as_mut().expect("the edge was started");
        // It may have ended already.
        let _ = child.kill();
        self.ended().await;
        self.run().await
    }

    async fn run(mut self) -> Edge {
        let terminal = File::create(self.path().join("terminal")).expect("the terminal's file is writable");
        let errors = terminal.try_clone().expect("a file can be shared");
        let mut words: Vec<OsString> = self.launch.by.iter().map(OsString::from).collect();
        words.push(program("selvedge").into_os_string());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .arg("serve")
            .arg("--config")
            .arg(self.path().join("selvedge.toml"))
            .args(&self.launch.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(terminal)
            .stderr(errors)
            .spawn()
            .expect("selvedge was built: run scripts/build.sh");
        self.child = Some(child);
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let started = std::time::Instant::now();
        while !listens(self.http) {
            ticks.tick().await;
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the edge ended with {ended:?}:\n{}", self.terminal());
            assert!(
                started.elapsed() < self.launch.patience.unwrap_or(crate::WAIT_MAX),
                "the edge does not listen:\n{}",
                self.terminal()
            );
        }
        self
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut terminal = self.terminal();
            terminal.insert_str(0, "--- the edge's terminal ---\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), terminal.as_bytes());
        }
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program of this build: `$SELVEDGE_BIN`'s directory, or the one the test was built into.
///
/// # Panics
/// When a test has no path.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os("SELVEDGE_BIN") {
        return PathBuf::from(path).with_file_name(name);
    }
    let test = std::env::current_exe().expect("a test has a path");
    test.parent().and_then(Path::parent).expect("tests are built into deps/").join(name)
}

/// The files that functions run in.
#[must_use]
pub fn engines() -> Engines {
    Engines {
        javascript: program("selvedge-js"),
        python: program("libselvedge_python.so"),
        custom: program("selvedge-custom"),
    }
}

/// A port that is free, below those the system gives to outgoing connections, and stays this
/// test's: no test beside it gets the same one before somebody listens there, and takes that
/// for an edge of its own.
///
/// # Panics
/// When none is.
#[must_use]
pub fn free_port() -> SocketAddr {
    let free = (0..1_000).find_map(|_| {
        let random = RandomState::new().build_hasher().finish() % 20_000;
        let port = 10_000 + u16::try_from(random).expect("20,000 is below 65,536");
        reserve(port)?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    });
    free.expect("a port is free").local_addr().expect("the listener is bound")
}

/// Makes a port this process's among those of tests; `None` when another one has it.
fn reserve(port: u16) -> Option<()> {
    let name = UnixAddress::from_abstract_name(format!("selvedge-test-port-{port}")).expect("the name is short");
    let held = UnixListener::bind_addr(&name).ok()?;
    // Held until the process ends.
    std::mem::forget(held);
    Some(())
}

/// Whether anyone listens there. Looks instead of connecting: an attempt could meet itself.
fn listens(address: SocketAddr) -> bool {
    let wanted = format!(" 0100007F:{:04X} 00000000:0000 0A ", address.port());
    fs::read_to_string("/proc/net/tcp").expect("/proc is there").contains(&wanted)
}
