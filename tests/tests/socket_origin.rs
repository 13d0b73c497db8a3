//! An origin that is a program of this machine behind a Unix socket.

use selvedge_tests::{Ask, Edge, site};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_may_be_a_unix_socket() {
    let place = tempfile::tempdir().expect("there is a place for sockets");
    let socket = place.path().join("app.sock");
    let config =
        site("http://o.test", "").replace("url = \"http://o.test\"", &format!("socket = \"{}\"", socket.display()));
    let edge = Edge::builder().config(&config).start().await;
    // Nobody is there yet.
    assert_eq!(edge.ask(Ask::get("/early")).await.status, 502);
    let listener = UnixListener::bind(&socket).expect("the socket is free");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("the edge connects");
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.expect("the edge asks");
            let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}", line.len());
            stream.write_all(answer.as_bytes()).await.expect("the edge listens");
        }
    });
    let reply = edge.ask(Ask::get("/later?a=1")).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "GET /later HTTP/1.1"));
}
