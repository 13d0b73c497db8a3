//! The socket to one environment's inspector, and the sessions on it.

use super::AttachError;
use bytes::Bytes;
use environment::Suspension;
use environment::inspector::{Content, Packet, PacketDecoder};
use environment::limits::INSPECTOR_SESSIONS_MAX;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// The PoP's end.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: tokio::sync::Mutex<OwnedWriteHalf>,
    /// Where what the environment says goes; `None` once it is gone.
    sessions: Mutex<Option<HashMap<u32, mpsc::Sender<Bytes>>>>,
    ids: AtomicU32,
    suspension: Arc<Suspension>,
}

/// A debugger's. Dropping it detaches the debugger: an environment that it has stopped goes on.
#[derive(Debug)]
pub struct Session {
    to: mpsc::Sender<Bytes>,
    from: mpsc::Receiver<Bytes>,
}

impl Session {
    /// Says one message of the protocol, JSON.
    ///
    /// # Errors
    /// The target is gone.
    pub async fn send(&self, message: Bytes) -> Result<(), AttachError> {
        self.to.send(message).await.map_err(|_| AttachError::Gone)
    }

    /// The next message of the target; `None` when it is gone.
    pub async fn receive(&mut self) -> Option<Bytes> {
        self.from.recv().await
    }
}

impl Link {
    /// A link, what is to be passed to [`Link::read`], and the environment's end.
    pub(super) fn pair() -> io::Result<(Arc<Link>, OwnedReadHalf, OwnedFd)> {
        let (ours, inside) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (incoming, outgoing) = UnixStream::from_std(ours)?.into_split();
        let outgoing = tokio::sync::Mutex::new(outgoing);
        let (sessions, ids) = (Mutex::new(Some(HashMap::new())), AtomicU32::new(1));
        let link = Link { outgoing, sessions, ids, suspension: Arc::default() };
        Ok((Arc::new(link), incoming, inside.into()))
    }

    pub(super) fn suspension(&self) -> Arc<Suspension> {
        Arc::clone(&self.suspension)
    }

    pub(super) fn open(self: &Arc<Self>) -> Result<Session, AttachError> {
        let (tell, from) = mpsc::channel(MESSAGES_MAX);
        let (to, said) = mpsc::channel(MESSAGES_MAX);
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.sessions.lock();
        let sessions = sessions.as_mut().ok_or(AttachError::Gone)?;
        if sessions.len() >= INSPECTOR_SESSIONS_MAX {
            return Err(AttachError::TooMany);
        }
        sessions.insert(id, tell);
        self.suspension.attach();
        tokio::spawn(Arc::clone(self).pass_on(id, said));
        Ok(Session { to, from })
    }

    /// What a debugger says, from its beginning to its end.
    async fn pass_on(self: Arc<Self>, session: u32, mut said: mpsc::Receiver<Bytes>) {
        let mut content = Content::Open;
        // An environment that is gone is seen by `read`, which ends the session.
        while self.write(session, content).await.is_ok() {
            content = match said.recv().await {
                Some(message) => Content::Message(message),
                None => break,
            };
        }
        let _ = self.write(session, Content::Close).await;
        self.end(session);
        self.suspension.detach();
    }

    async fn write(&self, session: u32, content: Content) -> io::Result<()> {
        let bytes = Packet { session, content }.encode().map_err(io::Error::other)?;
        self.outgoing.lock().await.write_all(&bytes).await
    }

    /// Passes on what the environment says until it ends.
    pub(super) async fn read(&self, mut incoming: OwnedReadHalf) -> io::Result<()> {
        let mut decoder = PacketDecoder::default();
        loop {
            while let Some(Packet { session, content }) = decoder.next_packet().map_err(io::Error::other)? {
                match content {
                    Content::Message(message) => {
                        let to = self.sessions.lock().as_ref().and_then(|sessions| sessions.get(&session).cloned());
                        if let Some(to) = to {
                            // One that does not read holds up the others of the target, whose editor it is, too.
                            let _ = to.send(message).await;
                        }
                    }
                    Content::Close => self.end(session),
                    Content::Open => return Err(io::Error::other("an environment opened a session")),
                }
            }
            match incoming.read_buf(decoder.buffer()).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // What a Unix socket says when its other end is gone with bytes of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn end(&self, session: u32) {
        if let Some(sessions) = self.sessions.lock().as_mut() {
            sessions.remove(&session);
        }
    }

    /// The environment is gone: ends all sessions.
    pub(super) fn close(&self) {
        *self.sessions.lock() = None;
    }
}

/// Waiting in one direction of one session; the socket's buffer comes after that.
const MESSAGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(session: u32, content: Content) -> Packet {
        Packet { session, content }
    }

    /// The environment's side, as far as these tests need it.
    struct Inside {
        socket: UnixStream,
        decoder: PacketDecoder,
    }

    impl Inside {
        async fn next(&mut self) -> Packet {
            loop {
                if let Some(packet) = self.decoder.next_packet().unwrap() {
                    return packet;
                }
                assert!(self.socket.read_buf(self.decoder.buffer()).await.unwrap() > 0, "the link is closed");
            }
        }

        async fn say(&mut self, packet: Packet) {
            self.socket.write_all(&packet.encode().unwrap()).await.unwrap();
        }
    }

    fn link() -> (Arc<Link>, Inside) {
        let (link, incoming, inside) = Link::pair().unwrap();
        let reading = Arc::clone(&link);
        tokio::spawn(async move {
            let _ = reading.read(incoming).await;
            reading.close();
        });
        let inside = std::os::unix::net::UnixStream::from(inside);
        inside.set_nonblocking(true).unwrap();
        (link, Inside { socket: UnixStream::from_std(inside).unwrap(), decoder: PacketDecoder::default() })
    }

    #[tokio::test]
    async fn each_session_hears_what_is_said_to_it_and_limits_wait_for_the_last() {
        let (link, mut inside) = link();
        let (mut one, two) = (link.open().unwrap(), link.open().unwrap());
        one.send(Bytes::from_static(b"a")).await.unwrap();
        let mut seen = [inside.next().await, inside.next().await, inside.next().await];
        seen.sort_by_key(|packet| (packet.session, packet.content != Content::Open));
        let said = packet(1, Content::Message(Bytes::from_static(b"a")));
        assert_eq!(seen, [packet(1, Content::Open), said, packet(2, Content::Open)]);
        inside.say(packet(2, Content::Message(Bytes::from_static(b"two")))).await;
        inside.say(packet(1, Content::Message(Bytes::from_static(b"one")))).await;
        assert_eq!(one.receive().await.unwrap(), "one");
        drop((one, two));
        let mut closed = [inside.next().await.session, inside.next().await.session];
        closed.sort_unstable();
        assert_eq!(closed, [1, 2]);
        let suspension = link.suspension();
        assert!(suspension.holds());
        while suspension.holds() {
            tokio::task::yield_now().await;
            suspension.begin();
        }
    }

    #[tokio::test]
    async fn sessions_end_with_the_environment_or_when_it_says_so() {
        let (link, mut inside) = link();
        let (mut one, mut two) = (link.open().unwrap(), link.open().unwrap());
        inside.say(packet(1, Content::Close)).await;
        assert_eq!(one.receive().await, None);
        drop(inside);
        assert_eq!(two.receive().await, None);
        assert_eq!(link.open().unwrap_err(), AttachError::Gone);
    }

    #[tokio::test]
    async fn a_target_has_so_many_sessions_and_no_more() {
        let (link, _inside) = link();
        let mut open: Vec<Session> = (0..INSPECTOR_SESSIONS_MAX).map(|_| link.open().unwrap()).collect();
        assert_eq!(link.open().unwrap_err(), AttachError::TooMany);
        open.pop();
        while link.open().is_err() {
            tokio::task::yield_now().await;
        }
    }
}
