//! The asking end of the control socket.

use super::{INVALIDATIONS, Invalidation, Socket};
use crate::metrics;
use bytes::Bytes;
use http::{Request, request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};

/// Speaks to the PoP that runs on a data directory.
#[derive(Debug)]
pub struct Client {
    data_dir: PathBuf,
}

/// Why nothing was done, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no edge is running on {}: {source}", data_dir.display())]
    NotRunning { data_dir: PathBuf, source: io::Error },
    #[error("the edge hung up: {0}")]
    HungUp(#[from] hyper::Error),
    #[error("{0}")]
    Refused(String),
}

impl Client {
    #[must_use]
    pub fn new(data_dir: &Path) -> Client {
        Client { data_dir: data_dir.to_path_buf() }
    }

    /// Takes responses out of the cache, and says what was done.
    ///
    /// # Errors
    /// No edge is running there, or it refused, with its reason.
    pub async fn invalidate(&self, invalidation: &Invalidation) -> Result<String, ClientError> {
        let body = serde_json::to_vec(invalidation).map_err(|error| ClientError::Refused(error.to_string()))?;
        self.ask(Request::post(INVALIDATIONS), body).await
    }

    /// The edge's counters, as Prometheus reads them.
    ///
    /// # Errors
    /// No edge is running there.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.ask(Request::get(metrics::PATH), Vec::new()).await
    }

    async fn ask(&self, request: request::Builder, body: Vec<u8>) -> Result<String, ClientError> {
        let not_running = |source| ClientError::NotRunning { data_dir: self.data_dir.clone(), source };
        let socket = Socket::open(&self.data_dir).map_err(not_running)?;
        let stream = socket.connect().await.map_err(not_running)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = request.header("host", "selvedge").body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| ClientError::Refused(error.to_string()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let text = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
        if status.is_success() { Ok(text) } else { Err(ClientError::Refused(text)) }
    }
}
