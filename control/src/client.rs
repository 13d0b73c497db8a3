//! The asking end for people of this machine: requests to the running edge's own APIs,
//! signed with an access key that its user can read. What is asked for is the submodules'.

mod archive;
mod creation;
mod deploy;
mod listing;
mod queues;

pub use archive::archive;
pub use creation::NewDistribution;
pub use deploy::{Behavior, Deployed, NewFunction};

use crate::access::AccessKeys;
use crate::backup;
use crate::keyring::Keyring;
use crate::lambda::REGION;
use crate::signature;
use crate::store::Store;
use crate::{ControlError, StateError};
use bytes::Bytes;
use deployment::ControlPlane;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sigv4::Credentials;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Speaks to the edge that runs on a data directory.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    credentials: Credentials,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no control plane answers on {address}: {source}")]
    NotRunning { address: SocketAddr, source: io::Error },
    #[error("the edge hung up: {0}")]
    HungUp(#[from] hyper::Error),
    #[error("{name}: {message}")]
    Refused { name: String, message: String },
    #[error("the answer of the edge is not understood: {0}")]
    Unclear(String),
    #[error("{}: {reason}", path.display())]
    Code { path: PathBuf, reason: String },
    #[error("{0}")]
    Nothing(String),
}

/// One answer that was no refusal.
struct Reply {
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// A client of the edge with these settings, whose state is in `data_dir`.
    ///
    /// # Errors
    /// There is no state yet, or it cannot be opened with the key.
    pub fn local(settings: &ControlPlane, data_dir: &Path) -> Result<Client, ControlError> {
        let directory = data_dir.join(backup::DIRECTORY);
        let database = directory.join(backup::DATABASE);
        if !database.is_file() {
            let reason = "there is no state yet, start the edge first".to_owned();
            return Err(StateError::Sealed { path: database, reason }.into());
        }
        let default = directory.join("key");
        let keyring = Arc::new(Keyring::load(settings.key_file.as_deref().unwrap_or(&default))?);
        let store = Store::open(&database, keyring)?;
        let unreadable = |error: crate::error::ApiError| ControlError::Unreadable(error.to_string());
        let (keys, _) = AccessKeys::open(&store).map_err(unreadable)?;
        let (access_key, secret) =
            keys.any().ok_or_else(|| ControlError::Unreadable("there is no access key".into()))?;
        let credentials = Credentials { access_key: access_key.to_owned(), secret: secret.to_owned(), token: None };
        Ok(Client { address: settings.listen, credentials })
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, ClientError> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let reply = self.send("lambda", method, path, (HeaderMap::new(), body)).await?;
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&reply.body).map_err(|error| ClientError::Unclear(error.to_string()))
    }

    async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        (headers, body): (HeaderMap, Vec<u8>),
    ) -> Result<Reply, ClientError> {
        let not_running = |source| ClientError::NotRunning { address: self.address, source };
        let stream = TcpStream::connect(self.address).await.map_err(not_running)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = http::Request::builder().method(method).uri(path).header("host", self.address.to_string());
        let request = request.body(()).map_err(|error| ClientError::Unclear(error.to_string()))?;
        let mut parts = request.into_parts().0;
        parts.headers.extend(headers);
        signature::sign(&mut parts, &body, (service, REGION), &self.credentials);
        let response = sender.send_request(http::Request::from_parts(parts, Full::new(Bytes::from(body)))).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status.is_success() {
            Ok(Reply { headers: parts.headers, body })
        } else {
            Err(refused(parts.status, &parts.headers, &body))
        }
    }
}

/// An error of either API.
fn refused(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> ClientError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let (Some(name), Ok(value)) = (text("x-amzn-errortype"), serde_json::from_slice::<Value>(body)) {
        return ClientError::Refused { name, message: value["message"].as_str().unwrap_or_default().to_owned() };
    }
    let root = crate::xml::Element::parse(body).unwrap_or_default();
    let error = root.children.into_iter().find(|child| child.name == "Error").unwrap_or_default();
    let child = |name: &str| error.children.iter().find(|child| child.name == name).map(|child| child.text.clone());
    let name = child("Code").unwrap_or_else(|| status.to_string());
    ClientError::Refused { name, message: child("Message").unwrap_or_default() }
}
