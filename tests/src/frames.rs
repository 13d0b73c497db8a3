//! An HTTP/2 viewer that sends whatever frames it is told to (RFC 9113), for what
//! a well-behaved library refuses to send.

use crate::tls;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// One HTTP/2 connection.
pub struct Frames {
    stream: TlsStream<TcpStream>,
}

/// A frame that came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    /// A connection on which nothing was sent yet.
    ///
    /// # Panics
    /// When the edge does not speak HTTP/2 there.
    pub async fn connect(address: SocketAddr) -> Frames {
        Frames { stream: tls::connect(address, "a.example", &["h2"]).await.expect("the handshake succeeds") }
    }

    /// A connection that has begun as it should.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn open(address: SocketAddr) -> Frames {
        let mut frames = Frames::connect(address).await;
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the edge listens");
        assert!(frames.send(SETTINGS, 0, 0, &[]).await);
        frames
    }

    /// Sends one frame. False when the edge has closed.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).expect("a test's frame is small").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.stream.write_all(&[&head, payload].concat()).await.is_ok()
    }

    /// Begins a request for `path`, which ends at once when `flags` say so.
    pub async fn request(&mut self, stream: u32, method: &str, path: &str, flags: u8) -> bool {
        let fields = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "www.example.net")];
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        self.send(HEADERS, flags | END_HEADERS, stream, &block).await
    }

    /// The next frame, or `None` once the edge has closed.
    ///
    /// # Panics
    /// When neither comes in time.
    pub async fn next(&mut self) -> Option<Frame> {
        let next = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let [high, middle, low, kind, flags, ..] = head;
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            Some(Frame { kind, flags, stream, payload })
        };
        tokio::time::timeout(crate::WAIT_MAX, next).await.expect("the edge says something or closes")
    }

    /// The next frame of one of these kinds; others are passed over.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}

/// A header field without compression (RFC 7541 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a test's text is short");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}
