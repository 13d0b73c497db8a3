//! What a viewer's connection and the requests over it tell each other: how the TLS
//! handshake went, and the date of the response that is about to be written.
//! `listen` makes it. Pingora hands it to the requests as the proxy digest of the
//! connection, which is the one thing of ours that it passes on.

use crate::fingerprint::ClientHello;
use http::HeaderValue;
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// One viewer's connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    handshake: OnceLock<Handshake>,
    date: Mutex<Option<HeaderValue>>,
}

/// One TLS handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) version: &'static str,
    pub(crate) cipher: String,
    pub(crate) resumed: bool,
    /// What the viewer said first, if it could be read.
    pub(crate) hello: Option<ClientHello>,
    /// Whether a request came over the connection already.
    pub(crate) used: AtomicBool,
}

impl Connection {
    /// A new one, in the form that Pingora passes on.
    pub(crate) fn digest() -> Arc<ProxyDigest> {
        // What a proxy before us answered: there is none, the form wants a header.
        let header = ResponseHeader::build(200, None).expect("200 is a status");
        Arc::new(ProxyDigest::new(Box::new(header), Some(Box::new(Connection::default()))))
    }

    pub(crate) fn of_digest(digest: &ProxyDigest) -> Option<&Connection> {
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// Says how the handshake went, once.
    pub(crate) fn shook_hands(&self, handshake: Handshake) {
        // Nobody shakes hands twice.
        let _ = self.handshake.set(handshake);
    }

    pub(crate) fn handshake(&self) -> Option<&Handshake> {
        self.handshake.get()
    }

    /// Leaves the date for the response that is written next.
    pub(crate) fn leave_date(&self, date: &HeaderValue) {
        *self.date.lock() = Some(date.clone());
    }

    /// The date that was left.
    pub(crate) fn take_date(&self) -> Option<HeaderValue> {
        self.date.lock().take()
    }
}

impl Handshake {
    /// How the connection came to be, for a request over it.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.used.swap(true, Ordering::Relaxed), self.resumed) {
            (true, _) => "connectionReused",
            (false, true) => "sessionResumed",
            (false, false) => "fullHandshake",
        }
    }
}
