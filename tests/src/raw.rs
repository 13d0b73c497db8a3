//! Bytes on a socket: an origin that answers with exact bytes, for what a
//! well-behaved HTTP library refuses to send, and reads that end.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One scripted answer per connection, then the connection closes. Ends when dropped.
pub struct RawOrigin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawOrigin {
    /// Connection n is answered with script n, the later ones with the last. An
    /// empty script closes the connection once the request's head is read.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(scripts: &[&str]) -> RawOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let scripts: VecDeque<String> = scripts.iter().map(|script| (*script).to_owned()).collect();
        let task = tokio::spawn(serve(listener, Arc::new(Mutex::new(scripts)), connections.clone()));
        RawOrigin { address, connections, task }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections carried a request.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, scripts: Arc<Mutex<VecDeque<String>>>, connections: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (scripts, connections) = (scripts.clone(), connections.clone());
        tokio::spawn(async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            connections.fetch_add(1, Ordering::SeqCst);
            let script = {
                let mut scripts = scripts.lock();
                if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() }
            };
            // The edge may have gone already.
            let _ = stream.write_all(script.unwrap_or_default().as_bytes()).await;
        });
    }
}

/// Bytes up to and with the empty line, or what came before the end.
pub async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// Sends bytes, returns everything that comes back before the other side closes.
///
/// # Panics
/// When nothing listens there.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the edge listens");
    // A refused request may be cut off while it is written; the answer says why.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(crate::WAIT_MAX, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}
