//! An edge with a control plane, and the scripts of `tests/clients`, which drive it with
//! the clients that people have.

use crate::edge::{Edge, EdgeBuilder, free_port, program};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A control plane and the profile of its first access key.
pub struct Controlled {
    pub edge: Edge,
    pub address: SocketAddr,
    profile: String,
}

impl Controlled {
    /// Starts the edge with a control plane beside what `builder` says.
    ///
    /// # Panics
    /// When it does not start, or shows no profile.
    pub async fn start(builder: EdgeBuilder) -> Controlled {
        Controlled::start_with(builder, "").await
    }

    /// The same with further lines of `[control]`.
    ///
    /// # Panics
    /// When it does not start, or shows no profile.
    pub async fn start_with(builder: EdgeBuilder, lines: &str) -> Controlled {
        let address = free_port();
        let edge = builder.server(&format!("\n[control]\nlisten = \"{address}\"\n{lines}")).start().await;
        edge.said("aws_secret_access_key").await;
        let terminal = edge.terminal();
        let from = terminal.find("[profile selvedge]").expect("the profile is shown");
        let profile: Vec<&str> = terminal[from..].lines().take_while(|line| !line.is_empty()).collect();
        Controlled { address, profile: profile.join("\n") + "\n", edge }
    }

    /// The value of a line of the profile.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of_profile(&self, name: &str) -> &str {
        let mut lines = self.profile.lines().filter_map(|line| line.split_once(" = "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value).expect("the profile has it")
    }

    /// Runs a script to its end, with further variables.
    ///
    /// # Panics
    /// When it fails, with what it wrote.
    pub async fn run(&self, script: &str, variables: &[(&str, &str)]) {
        self.run_command(script, self.command(script, variables)).await;
    }

    /// Runs a script of the SDK for JavaScript to its end; `false` when that is not installed.
    ///
    /// # Panics
    /// When it fails, with what it wrote.
    pub async fn run_javascript(&self, script: &str, variables: &[(&str, &str)]) -> bool {
        let sdk = clients().join("js");
        if !sdk.join("node_modules").is_dir() {
            return false;
        }
        let mut command = self.prepared(Command::new("node"), script, variables);
        command.env("CLIENTS_JS", sdk).env("AWS_PROFILE", "selvedge").env("PYTHON", clients().join("bin/python"));
        self.run_command(script, command).await;
        true
    }

    async fn run_command(&self, script: &str, mut command: Command) {
        let output = tokio::task::block_in_place(|| command.output())
            .expect("the clients were installed: run scripts/clients.sh");
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: {}\n{said}\n{errors}", output.status);
    }

    /// The script as a command.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn command(&self, script: &str, variables: &[(&str, &str)]) -> Command {
        self.prepared(Command::new(clients().join("bin/python")), script, variables)
    }

    fn prepared(&self, mut command: Command, script: &str, variables: &[(&str, &str)]) -> Command {
        let config = self.edge.path().join("aws-config");
        std::fs::write(&config, &self.profile).expect("the directory is writable");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script))
            .env("AWS_CONFIG_FILE", config)
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("EDGE", self.edge.http.to_string())
            .env("CONTROL", self.address.to_string())
            .env("KEY_ID", self.of_profile("aws_access_key_id"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Kills the edge and starts it again on the same state.
    pub async fn restart(self) -> Controlled {
        let Controlled { edge, address, profile } = self;
        Controlled { edge: edge.restart().await, address, profile }
    }
}

/// Waits for a script that may take long; the runner of the tests has the last word.
///
/// # Panics
/// When the script is not ours.
pub async fn script_ended(script: &mut Child) -> ExitStatus {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(status) = script.try_wait().expect("the script is our child") {
            return status;
        }
    }
}

/// Runs a command of the program where a configuration is; what it printed.
///
/// # Panics
/// When it fails, with what it wrote.
pub fn selvedge(place: &Path, words: &[&str]) -> String {
    let output = Command::new(program("selvedge")).current_dir(place).args(words).output().expect("selvedge was built");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the program prints text")
}

/// Where `scripts/clients.sh` installs.
#[must_use]
pub fn clients() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    home.join(".cache/selvedge/tools/clients")
}
