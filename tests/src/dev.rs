//! `selvedge dev` on a directory of its own, with somebody who saves files.

use crate::edge::{free_port, program};
use crate::viewer::{self, Ask, Reply};
use crate::wait_for;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running `selvedge dev`. Ended when dropped.
pub struct Dev {
    child: Child,
    address: SocketAddr,
    project: TempDir,
    outside: TempDir,
}

impl Dev {
    /// Starts it on these files, with further arguments, and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(files: &[(&str, &str)], arguments: &[&str]) -> Dev {
        let project = tempfile::tempdir().expect("temporary files can be made");
        let outside = tempfile::tempdir().expect("temporary files can be made");
        for (path, content) in files {
            write(project.path(), path, content);
        }
        let address = free_port();
        let terminal = File::create(outside.path().join("terminal")).expect("the terminal's file is writable");
        let errors = terminal.try_clone().expect("a file can be shared");
        let child = Command::new(program("selvedge"))
            .arg("dev")
            .arg(project.path())
            .args(["--port", &address.port().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(terminal)
            .stderr(errors)
            .spawn()
            .expect("selvedge was built: run scripts/build.sh");
        let dev = Dev { child, address, project, outside };
        dev.said(&format!("http://{address}/")).await;
        dev
    }

    /// Asks over HTTP/1.1.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub async fn get(&self, target: &str) -> Reply {
        match viewer::ask(self.address, Ask::get(target)).await {
            Ok(reply) => reply,
            Err(error) => panic!("GET {target}: {error:#}\n{}", self.terminal()),
        }
    }

    /// Returns once the answer's body is `text`.
    pub async fn answers(&self, target: &str, text: &str) {
        let what = format!("{text:?} from {target}");
        wait_for(&what, || async { (self.get(target).await.text() == text).then_some(()) }).await;
    }

    /// Writes a file as an editor does that truncates it first.
    pub fn save(&self, path: &str, content: &str) {
        write(self.project.path(), path, content);
    }

    /// Puts a new file in its place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace(&self, path: &str, content: &str) {
        let beside = self.project.path().join(format!(".{path}.tmp"));
        fs::write(&beside, content).expect("the directory is writable");
        fs::rename(beside, self.project.path().join(path)).expect("the directory is writable");
    }

    /// What it wrote to its terminal.
    #[must_use]
    pub fn terminal(&self) -> String {
        fs::read_to_string(self.outside.path().join("terminal")).unwrap_or_default()
    }

    /// Returns once the terminal holds `text`.
    pub async fn said(&self, text: &str) {
        wait_for(&format!("{text:?} on the terminal"), || async { self.terminal().contains(text).then_some(()) }).await;
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let terminal = format!("--- the terminal ---\n{}", self.terminal());
            let _ = std::io::Write::write_all(&mut std::io::stderr(), terminal.as_bytes());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file has a directory")).expect("the directory is writable");
    fs::write(path, content).expect("the file is writable");
}
