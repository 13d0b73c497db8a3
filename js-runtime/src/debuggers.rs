//! Debuggers of an environment: their sessions come over a socket from the PoP,
//! which is the first thing that it sends. They are passed on by a thread of its
//! own, because the handler's stands still at a breakpoint.

use anyhow::{Context, bail};
use environment::inspector::{Content, Packet, PacketDecoder};
use environment::{Frame, FrameDecoder, Suspension};
use js_runtime::engine::{FromEngine, Inspector};
use nix::sys::socket::MsgFlags;
use sandbox::receive_attached;
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Mutex;

/// Waits for the first frame on an environment's socket, which brings the one that sessions come over.
pub(crate) fn receive(stream: &UnixStream) -> anyhow::Result<UnixStream> {
    let mut frame = [0; FRAME_BYTES];
    let (length, mut attached) = receive_attached(stream, &mut frame, MsgFlags::MSG_WAITALL)?;
    let mut decoder = FrameDecoder::default();
    decoder.buffer().extend_from_slice(&frame[..length]);
    match (decoder.next_frame()?, attached.pop()) {
        (Some(Frame::Inspector), Some(socket)) => Ok(socket.into()),
        (first, _) => bail!("the first frame is {first:?}"),
    }
}

/// Passes sessions on until the PoP closes the socket.
pub(crate) fn serve(socket: UnixStream, inspector: Inspector, suspension: Arc<Suspension>) -> anyhow::Result<()> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let life = move || {
        // What is left is closed: an engine that a session has stopped goes on.
        let _ = runtime.block_on(pass_on(socket, &inspector, &suspension));
    };
    std::thread::Builder::new().name("debuggers".to_owned()).stack_size(STACK_BYTES).spawn(life).context("thread")?;
    Ok(())
}

async fn pass_on(socket: UnixStream, inspector: &Inspector, suspension: &Suspension) -> anyhow::Result<()> {
    let (mut incoming, outgoing) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let outgoing = Arc::new(Mutex::new(outgoing));
    let mut decoder = PacketDecoder::default();
    let mut sessions = HashMap::new();
    loop {
        while let Some(Packet { session, content }) = decoder.next_packet()? {
            match content {
                Content::Open => {
                    let (to, from) = inspector.open();
                    suspension.attach();
                    sessions.insert(session, to);
                    tokio::spawn(answer(session, from, Arc::clone(&outgoing)));
                }
                Content::Message(message) => {
                    if let Some(to) = sessions.get(&session) {
                        to.send(String::from_utf8(message.into())?);
                    }
                }
                Content::Close => {
                    if sessions.remove(&session).is_some() {
                        suspension.detach();
                    }
                }
            }
        }
        if incoming.read_buf(decoder.buffer()).await? == 0 {
            return Ok(());
        }
    }
}

/// What the engine says in one session, until that is over.
async fn answer(session: u32, mut from: FromEngine, outgoing: Arc<Mutex<OwnedWriteHalf>>) -> io::Result<()> {
    while let Some(message) = from.next().await {
        let packet = Packet { session, content: Content::Message(message.into()) };
        let bytes = match packet.encode() {
            Ok(bytes) => bytes,
            // Whoever waits for this answer would wait for ever.
            Err(_) => Packet { session, content: Content::Close }.encode().map_err(io::Error::other)?,
        };
        outgoing.lock().await.write_all(&bytes).await?;
    }
    Ok(())
}

/// Of a frame that says no more than its kind.
const FRAME_BYTES: usize = 5;

const STACK_BYTES: usize = 512 * 1024;
