//! The control plane: AWS Lambda's and CloudFront's APIs over the edge's own state. It
//! keeps functions and distributions, and tells the edge what to run in the language of
//! the configuration file; how that becomes a deployment is `deployment`'s, and the
//! program's to swap. Called by `cli`.

mod accept;
mod access;
mod answer;
mod backup;
mod client;
mod cloudfront;
mod error;
mod key_values;
mod keyring;
mod lambda;
mod letters;
mod listen;
mod logs;
mod order;
mod outgoing;
mod package_bucket;
mod packages;
mod plane;
mod request;
mod route;
mod services;
mod signature;
mod signing;
mod store;
mod url;
mod xml;

pub use backup::{BackupError, backup, restore};
pub use client::{Behavior, Client, ClientError, Deployed, NewDistribution, NewFunction, archive};
pub use keyring::KeyError;
pub use order::Order;
pub use services::ServiceError;
pub use signing::{Signer, SigningError};
pub use store::StateError;

use access::{AccessKeys, NewKey};
use deployment::{Added, ControlPlane};
use functions::{Functions, Logs};
use keyring::Keyring;
use lambda::queue::{self, Queue};
use lambda::{Runner, UrlPlace};
use order::Orders;
use packages::Packages;
use plane::Kept;
use services::Services;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

/// The control plane before anyone can speak to it.
#[derive(Debug)]
pub struct Control {
    kept: Kept,
    new_key: Option<NewKey>,
    listener: std::net::TcpListener,
    url_listener: std::os::unix::net::UnixListener,
    address: SocketAddr,
    retry_waits: [Duration; 2],
}

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the control plane cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("requests to function URLs cannot be taken on {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the control plane's state cannot be read: {0}")]
    Unreadable(String),
}

impl Control {
    /// Opens the state in `data_dir`, which is made when there is none, and listens.
    ///
    /// # Errors
    /// The state cannot be opened with the key, or the address is taken.
    pub fn open(settings: &ControlPlane, data_dir: &Path) -> Result<Control, ControlError> {
        let directory = data_dir.join(backup::DIRECTORY);
        let failed = |source| ControlError::Directory { path: directory.clone(), source };
        make_private(&directory).map_err(failed)?;
        let default = directory.join("key");
        let keyring = Arc::new(Keyring::load(settings.key_file.as_deref().unwrap_or(&default))?);
        let store = Store::open(&directory.join(backup::DATABASE), Arc::clone(&keyring))?;
        let packages = Packages::open(&directory.join(backup::PACKAGES), Arc::clone(&keyring)).map_err(failed)?;
        let unreadable = |error: error::ApiError| ControlError::Unreadable(error.to_string());
        let (access, new_key) = AccessKeys::open(&store).map_err(unreadable)?;
        let refused = |source| ControlError::Listen { address: settings.listen, source };
        let listener = listen_on(settings.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let socket = std::path::absolute(directory.join(URL_SOCKET)).map_err(failed)?;
        let url_listener = bind(&socket).map_err(|source| ControlError::Socket { path: socket.clone(), source })?;
        let scheme = if settings.has_https { "https" } else { "http" };
        let urls = UrlPlace { domain: settings.function_url_domain.clone(), scheme };
        let services = Services::open(settings)?;
        let interpreters = settings.interpreters.clone();
        let logs = Logs::of(data_dir);
        let kept = Kept { store, packages, access, keyring, services, interpreters, logs, urls, socket };
        Ok(Control { kept, new_key, listener, url_listener, address, retry_waits: settings.async_retry_waits })
    }

    /// What the edge runs besides its configuration file.
    ///
    /// # Errors
    /// A record or a package is damaged.
    pub fn added(&self) -> Result<Added, ControlError> {
        self.kept.added().map_err(|error| ControlError::Unreadable(error.to_string()))
    }

    /// Gives the key value stores to the environments, before functions that read them are prepared.
    ///
    /// # Errors
    /// A record is damaged, or the data directory cannot be written.
    pub fn publish(&self, functions: &Functions) -> Result<(), ControlError> {
        let published = key_values::publish_all(&self.kept.store, functions.key_value_stores());
        published.map_err(|error| ControlError::Unreadable(error.to_string()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The profile with the first access key, when it was made just now. Nothing shows it again.
    #[must_use]
    pub fn new_profile(&self) -> Option<String> {
        self.new_key.as_ref().map(|key| key.profile(self.address))
    }

    /// Answers until the task is dropped. What is to be done at the edge goes to `orders`.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn serve(self, functions: Arc<Functions>, orders: mpsc::Sender<Order>) -> Result<(), ControlError> {
        let address = self.address;
        let listener =
            TcpListener::from_std(self.listener).map_err(|source| ControlError::Listen { address, source })?;
        let socket = self.kept.socket.clone();
        let url_listener = UnixListener::from_std(self.url_listener)
            .map_err(|source| ControlError::Socket { path: socket, source })?;
        let queue = Queue::new(self.retry_waits);
        let plane = Arc::new(self.kept.into_plane(Runner::new(functions), queue, Orders::new(orders)));
        let sweeps = Arc::clone(&plane);
        tokio::task::spawn_blocking(move || sweeps.sweep_packages());
        let enforces = Arc::clone(&plane);
        let enforced = tokio::task::spawn_blocking(move || lambda::enforce(&enforces)).await;
        if let Ok(Err(error)) = enforced {
            return Err(ControlError::Unreadable(error.to_string()));
        }
        tokio::join!(
            queue::run(Arc::clone(&plane)),
            lambda::keep(Arc::clone(&plane)),
            url::serve(url_listener, Arc::clone(&plane)),
            listen::serve(listener, plane)
        );
        Ok(())
    }
}

/// Waits for a process that was killed a moment ago: its listener is there until all of its memory is freed.
fn listen_on(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let began = Instant::now();
    loop {
        match std::net::TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < IN_USE_MAX => {
                std::thread::sleep(IN_USE_PAUSE);
            }
            listener => return listener,
        }
    }
}

/// Takes the place of what an earlier process left behind.
fn bind(socket: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Only for the user that the program runs as.
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

const URL_SOCKET: &str = "urls.sock";
const IN_USE_MAX: Duration = Duration::from_secs(5);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);
