//! Where debuggers attach, when `selvedge dev` is asked to let them in.

use functions::Inspection;
use inspector::{Address, Server};
use std::net::SocketAddr;
use tokio::sync::watch;

/// A listener that is there before the functions are, or none.
pub(crate) struct Debuggers {
    listening: Option<(Server, Inspection)>,
}

impl Debuggers {
    /// Listens where debuggers are wanted.
    ///
    /// # Errors
    /// The address is taken.
    pub(crate) async fn listen(wanted: Option<Address>) -> anyhow::Result<Debuggers> {
        let Some(address) = wanted else { return Ok(Debuggers { listening: None }) };
        let inspection = Inspection::default();
        let server = Server::bind(address, inspection.clone()).await?;
        Ok(Debuggers { listening: Some((server, inspection)) })
    }

    /// What functions are started with.
    pub(crate) fn inspection(&self) -> Option<Inspection> {
        self.listening.as_ref().map(|(_, inspection)| inspection.clone())
    }

    /// Serves them until `stop` becomes true: what they have stopped goes on then. Where they attach.
    pub(crate) fn serve(self, stop: watch::Receiver<bool>) -> Option<SocketAddr> {
        let (server, _) = self.listening?;
        let address = server.address();
        tokio::spawn(server.serve(stop));
        Some(address)
    }
}
