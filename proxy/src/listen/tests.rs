//! The listeners, met as viewers meet them: over real sockets.

use super::*;
use async_trait::async_trait;
use bytes::Bytes;
use deployment::Server;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers every request with its own body, or `hi`; says how many bytes of bodies it has read.
struct Echo {
    read: watch::Sender<usize>,
}

#[async_trait]
impl ProxyHttp for Echo {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        pingora::Error::e_explain(pingora::ErrorType::InternalError, "no origin here")
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        let mut body = Vec::new();
        while let Some(part) = session.read_request_body().await? {
            body.extend_from_slice(&part);
            self.read.send_modify(|read| *read += part.len());
        }
        if body.is_empty() {
            body.extend_from_slice(b"hi");
        }
        let mut header = ResponseHeader::build(200, None)?;
        header.insert_header("content-length", body.len())?;
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(Bytes::from(body)), true).await?;
        Ok(true)
    }
}

fn server() -> Server {
    Server {
        geo_database: None,
        metrics: None,
        http: vec!["127.0.0.1:0".parse().unwrap()],
        https: Vec::new(),
        certificates: None,
        data_dir: PathBuf::new(),
        cache_bytes: 0,
        cache_object_bytes_max: 0,
        cache_disk: None,
        header_timeout: Duration::from_millis(500),
        body_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(1500),
        connections_per_address: 4,
        header_bytes_max: 4096,
        h2_streams_max: 8,
        threads: 2,
        environments_max: 1,
        cpu: functions::CpuShare::ByMemory,
        tmp_bytes_max: None,
        control: None,
    }
}

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    read: watch::Receiver<usize>,
    done: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Returns once the edge has read this many bytes of request bodies.
    async fn has_read(&mut self, bytes: usize) {
        let read = timeout(Duration::from_secs(20), self.read.wait_for(|read| *read >= bytes)).await;
        read.expect("the body is read within 20 s").unwrap();
    }
}

fn run(server: &Server) -> Running {
    let listeners = bind(server, None).unwrap();
    let address = listeners.http_addresses()[0];
    let (stop, shutdown) = watch::channel(false);
    let (echo, read) = watch::channel(0);
    let done = tokio::spawn(listeners.run(Echo { read: echo }, shutdown));
    Running { address, stop, read, done }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset also ends the connection; what came before it counts.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await.expect("closed within 20 s");
    String::from_utf8(text).unwrap()
}

async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\nhi") {
        assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let mut edge = run(&server());
    let mut viewer = TcpStream::connect(edge.address).await.unwrap();
    for _ in 0..3 {
        viewer.write_all(GET).await.unwrap();
        assert!(one_answer(&mut viewer).await.starts_with("HTTP/1.1 200"));
    }
    viewer.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nab").await.unwrap();
    edge.has_read(2).await;
    viewer.write_all(b"cde").await.unwrap();
    assert!(rest(&mut viewer).await.ends_with("\r\n\r\nabcde"));
}

#[tokio::test]
async fn a_header_sent_byte_by_byte_is_cut_at_the_deadline() {
    let edge = run(&server());
    for answered_first in [false, true] {
        let viewer = TcpStream::connect(edge.address).await.unwrap();
        let (mut read, mut write) = viewer.into_split();
        if answered_first {
            write.write_all(GET).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nhi") {
                read.read_buf(&mut answer).await.unwrap();
            }
        }
        let started = Instant::now();
        let dripping = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1\r\nhost: a\r\nx: ".iter().chain(std::iter::repeat(&b'a')) {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut answer = vec![0; 12];
        read.read_exact(&mut answer).await.unwrap();
        let took = started.elapsed();
        assert_eq!(answer, b"HTTP/1.1 408", "answered first: {answered_first}");
        assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&took), "{took:?}");
        dripping.await.unwrap();
    }
}

#[tokio::test]
async fn too_much_header_is_431() {
    let edge = run(&server());
    let mut viewer = TcpStream::connect(edge.address).await.unwrap();
    let header = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(5000));
    viewer.write_all(header.as_bytes()).await.unwrap();
    assert!(rest(&mut viewer).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn silent_connections_and_stalled_bodies_are_closed() {
    let edge = run(&server());
    let mut silent = TcpStream::connect(edge.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    let mut idle = TcpStream::connect(edge.address).await.unwrap();
    idle.write_all(GET).await.unwrap();
    one_answer(&mut idle).await;
    assert_eq!(rest(&mut idle).await, "");
    let mut stalled = TcpStream::connect(edge.address).await.unwrap();
    stalled.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
    assert!(!rest(&mut stalled).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_address_has_its_limit_of_connections() {
    let edge = run(&server());
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut viewer = TcpStream::connect(edge.address).await.unwrap();
        viewer.write_all(GET).await.unwrap();
        one_answer(&mut viewer).await;
        open.push(viewer);
    }
    let mut fifth = TcpStream::connect(edge.address).await.unwrap();
    // The write may already meet the closed connection.
    let _ = fifth.write_all(GET).await;
    assert_eq!(rest(&mut fifth).await, "");
    open.clear();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut viewer = TcpStream::connect(edge.address).await.unwrap();
        if viewer.write_all(GET).await.is_ok() && viewer.read_u8().await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "places did not come back");
    }
}

#[tokio::test]
async fn a_taken_port_and_missing_certificates_are_said_before_serving() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(&Server { http: vec![address], ..server() }, None).err().unwrap();
    assert!(error.to_string().contains(&format!("http listener {address}")), "{error}");
    let error = bind(&Server { https: vec![address], ..server() }, None).err().unwrap();
    assert!(matches!(error, ServeError::NoCertificates { .. }), "{error}");
}

#[tokio::test]
async fn stopping_finishes_requests_and_closes_idle_connections() {
    let mut edge = run(&server());
    let mut idle = TcpStream::connect(edge.address).await.unwrap();
    idle.write_all(GET).await.unwrap();
    one_answer(&mut idle).await;
    let mut busy = TcpStream::connect(edge.address).await.unwrap();
    busy.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
    edge.has_read(2).await;
    edge.stop.send(true).unwrap();
    busy.write_all(b"cde").await.unwrap();
    assert!(rest(&mut busy).await.ends_with("abcde"));
    assert_eq!(rest(&mut idle).await, "");
    timeout(Duration::from_secs(10), edge.done).await.unwrap().unwrap();
    assert!(TcpStream::connect(edge.address).await.is_err());
}
