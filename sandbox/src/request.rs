//! A request of the PoP's, kept as it came. It holds a function's variables, and
//! a zygote goes on to make the processes of others: it reads no more of the
//! request than whom it is for, and wipes it. The child parses the rest.

use environment::ControlRequest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io;

/// The bytes of a packet, gone from memory when dropped.
pub(crate) struct Packet(pub(crate) Vec<u8>);

/// A request and its id.
pub(crate) struct Request {
    pub(crate) id: u64,
    /// Whether it says what function the child is for: only a zygote's does.
    pub(crate) has_manifest: bool,
    packet: Packet,
}

/// As much of a [`ControlRequest`] as is read without copying any of its text.
#[derive(Deserialize)]
enum Head {
    Template {
        id: u64,
        #[serde(rename = "manifest")]
        _manifest: IgnoredAny,
    },
    Environment {
        id: u64,
        manifest: Option<IgnoredAny>,
    },
}

impl Request {
    pub(crate) fn read(packet: Packet) -> io::Result<Request> {
        let (id, has_manifest) = match parse(&packet.0)? {
            Head::Template { id, .. } => (id, true),
            Head::Environment { id, manifest } => (id, manifest.is_some()),
        };
        Ok(Request { id, has_manifest, packet })
    }

    /// All of it, for the child.
    pub(crate) fn whole(&self) -> io::Result<ControlRequest> {
        parse(&self.packet.0)
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| io::Error::other(format!("control request cannot be parsed: {error}")))
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.0.fill(0);
        // The compiler must not leave out what nobody seems to read.
        std::hint::black_box(&mut self.0);
    }
}
