//! What protects the edge from slow and greedy viewers: connections per address, the
//! whole-header deadline, header bytes, stalled writes, HTTP/2 streams.
//!
//! `listen` applies these before and around Pingora, which has no such limits itself;
//! docs/decisions/0003-slow-clients.md says how and why.

pub(crate) mod addresses;
pub(crate) mod clock;
pub(crate) mod frames;
pub(crate) mod h2_stream;
pub(crate) mod header;
pub(crate) mod passed_on;
pub(crate) mod stream;
pub(crate) mod upload;

use deployment::Server;
use std::time::Duration;

/// The limits of one listener, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the connection (first request) or the first byte (later ones) to the end of the header.
    pub(crate) header: Duration,
    /// For every gap in a request's body, and for every stalled write.
    pub(crate) body: Duration,
    /// Between requests of one connection.
    pub(crate) idle: Duration,
    pub(crate) header_bytes_max: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) h2_streams_max: u32,
}

impl Limits {
    pub(crate) fn of(server: &Server) -> Limits {
        Limits {
            header: server.header_timeout,
            body: server.body_timeout,
            idle: server.idle_timeout,
            header_bytes_max: server.header_bytes_max,
            connections_per_address: server.connections_per_address,
            h2_streams_max: server.h2_streams_max,
        }
    }
}
