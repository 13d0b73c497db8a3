//! What crosses between the sessions of debuggers, which end in a PoP, and the
//! inspector of one environment: packets on a stream socket of their own, `u32`
//! little-endian length of the body, `u32` session, one byte kind, the body.
//! Messages are JSON of the Chrome DevTools Protocol that nobody on the way parses.

use crate::limits::INSPECTOR_MESSAGE_BYTES_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Part of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub session: u32,
    pub content: Content,
}

/// What is said in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// PoP to environment: it begins.
    Open,
    /// Either way.
    Message(Bytes),
    /// PoP to environment: the debugger is gone. Environment to PoP: it cannot go on.
    Close,
}

/// A packet that cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("inspector message of {0} bytes is over the limit of {INSPECTOR_MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("unknown inspector packet of kind {kind} with {length} bytes")]
    Unknown { kind: u8, length: usize },
}

const OPEN: u8 = 1;
const MESSAGE: u8 = 2;
const CLOSE: u8 = 3;

const HEADER: usize = 9;

impl Packet {
    /// Its bytes.
    ///
    /// # Errors
    /// [`PacketError::TooLarge`].
    pub fn encode(&self) -> Result<Bytes, PacketError> {
        let (kind, body) = match &self.content {
            Content::Open => (OPEN, &[][..]),
            Content::Message(text) => (MESSAGE, &text[..]),
            Content::Close => (CLOSE, &[][..]),
        };
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= INSPECTOR_MESSAGE_BYTES_MAX);
        let length = length.ok_or(PacketError::TooLarge(body.len()))?;
        let mut out = BytesMut::with_capacity(HEADER + body.len());
        out.put_u32_le(length);
        out.put_u32_le(self.session);
        out.put_u8(kind);
        out.put_slice(body);
        Ok(out.freeze())
    }
}

/// Cuts packets out of the bytes read from a socket.
#[derive(Debug, Default)]
pub struct PacketDecoder {
    read: BytesMut,
}

impl PacketDecoder {
    /// Where the next bytes read from the socket go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.read
    }

    /// The next whole packet, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// The peer does not speak the protocol; nothing after this can be trusted.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, PacketError> {
        if self.read.len() < HEADER {
            return Ok(None);
        }
        let length = (&self.read[..4]).get_u32_le() as usize;
        if length > INSPECTOR_MESSAGE_BYTES_MAX {
            return Err(PacketError::TooLarge(length));
        }
        if self.read.len() < HEADER + length {
            self.read.reserve(HEADER + length - self.read.len());
            return Ok(None);
        }
        self.read.advance(4);
        let session = self.read.get_u32_le();
        let kind = self.read.get_u8();
        let body = self.read.split_to(length).freeze();
        let content = match kind {
            OPEN if length == 0 => Content::Open,
            MESSAGE => Content::Message(body),
            CLOSE if length == 0 => Content::Close,
            kind => return Err(PacketError::Unknown { kind, length }),
        };
        Ok(Some(Packet { session, content }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_survives_the_wire_byte_by_byte() {
        let packet = |session, content| Packet { session, content };
        let all = [
            packet(1, Content::Open),
            packet(7, Content::Message(Bytes::from_static(b"{\"id\":1}"))),
            packet(u32::MAX, Content::Message(Bytes::new())),
            packet(1, Content::Close),
        ];
        let wire: Vec<u8> = all.iter().flat_map(|packet| packet.encode().unwrap()).collect();
        let mut decoder = PacketDecoder::default();
        let mut seen = Vec::new();
        for byte in wire {
            decoder.buffer().put_u8(byte);
            seen.extend(decoder.next_packet().unwrap());
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn what_is_too_large_is_neither_sent_nor_buffered() {
        let too_large = INSPECTOR_MESSAGE_BYTES_MAX + 1;
        let packet = Packet { session: 1, content: Content::Message(Bytes::from(vec![b'x'; too_large])) };
        assert_eq!(packet.encode(), Err(PacketError::TooLarge(too_large)));
        let mut decoder = PacketDecoder::default();
        decoder.buffer().put_u32_le(u32::MAX);
        decoder.buffer().put_slice(&[0, 0, 0, 0, MESSAGE]);
        assert_eq!(decoder.next_packet(), Err(PacketError::TooLarge(u32::MAX as usize)));
    }

    #[test]
    fn unknown_kinds_are_errors() {
        let mut decoder = PacketDecoder::default();
        decoder.buffer().put_slice(&[1, 0, 0, 0, 0, 0, 0, 0, OPEN, b'x']);
        assert_eq!(decoder.next_packet(), Err(PacketError::Unknown { kind: OPEN, length: 1 }));
    }
}
