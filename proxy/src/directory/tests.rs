//! A directory origin asked over its socket.

use super::*;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::net::UnixStream;

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(socket: &Path, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "files");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

struct Site {
    _dir: tempfile::TempDir,
    origins: Arc<DirectoryOrigins>,
    root: PathBuf,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("site");
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(root.join("index.html"), "<p>home").unwrap();
        fs::write(root.join("docs/index.html"), "<p>docs").unwrap();
        fs::write(root.join("ten.bin"), "0123456789").unwrap();
        fs::write(root.join("empty.txt"), "").unwrap();
        fs::write(root.join("big.js"), "x".repeat(300_000)).unwrap();
        let origins = DirectoryOrigins::start([root.clone()]).unwrap();
        Site { _dir: dir, origins, root }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.origins.socket(&self.root), Method::GET, path, headers).await
    }
}

#[tokio::test]
async fn files_come_with_type_length_and_validators() {
    let site = Site::new();
    let page = site.get("/docs/", &[]).await;
    assert_eq!((page.status, &page.body[..]), (StatusCode::OK, &b"<p>docs"[..]));
    assert!(page.header("content-type").starts_with("text/html"), "{}", page.header("content-type"));
    assert_eq!(page.header("content-length"), "7");
    assert!(page.header("etag").starts_with('"') && !page.header("last-modified").is_empty());
    let big = site.get("/big.js", &[]).await;
    assert_eq!(big.body.len(), 300_000);
    assert!(big.header("content-type").contains("javascript"));
    let empty = site.get("/empty.txt", &[]).await;
    assert_eq!((empty.status, empty.header("content-length")), (StatusCode::OK, "0"));
    let head = ask(&site.origins.socket(&site.root), Method::HEAD, "/big.js", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, "300000", 0));
}

#[tokio::test]
async fn what_is_not_a_served_file_is_404_and_other_methods_405() {
    let site = Site::new();
    for path in ["/nothing", "/docs", "/%2e%2e/secret", "/.git/config", "/index.html%00"] {
        assert_eq!(site.get(path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = ask(&site.origins.socket(&site.root), method, "/", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    }
}

#[tokio::test]
async fn ranges_are_cut_from_the_file() {
    let site = Site::new();
    let part = site.get("/ten.bin", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &b"234"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    let beyond = site.get("/ten.bin", &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
    let etag = part.header("etag").to_owned();
    let same = site.get("/ten.bin", &[("range", "bytes=0-0"), ("if-range", &etag)]).await;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    let changed = site.get("/ten.bin", &[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await;
    assert_eq!((changed.status, changed.body.len()), (StatusCode::OK, 10));
}

#[tokio::test]
async fn conditions_hold_against_etag_and_date() {
    let site = Site::new();
    let first = site.get("/ten.bin", &[]).await;
    let (etag, date) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    let weak = format!("\"x\", W/{etag}");
    for (headers, status) in [
        (vec![("if-none-match", etag.as_str())], StatusCode::NOT_MODIFIED),
        (vec![("if-none-match", weak.as_str())], StatusCode::NOT_MODIFIED),
        (vec![("if-none-match", "*")], StatusCode::NOT_MODIFIED),
        (vec![("if-none-match", "\"x\""), ("if-modified-since", date.as_str())], StatusCode::OK),
        (vec![("if-modified-since", date.as_str())], StatusCode::NOT_MODIFIED),
        (vec![("if-modified-since", "Thu, 01 Jan 2004 00:00:00 GMT")], StatusCode::OK),
        (vec![("if-match", "\"x\"")], StatusCode::PRECONDITION_FAILED),
        (vec![("if-match", etag.as_str())], StatusCode::OK),
        (vec![("if-unmodified-since", "Thu, 01 Jan 2004 00:00:00 GMT")], StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = site.get("/ten.bin", &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("etag"), etag, "{headers:?}");
    }
    fs::write(site.root.join("ten.bin"), "changed").unwrap();
    assert_eq!(site.get("/ten.bin", &[("if-none-match", &etag)]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn sockets_are_private_and_go_with_the_origins() {
    let site = Site::new();
    let socket = site.origins.socket(&site.root);
    let private = socket.parent().unwrap().to_owned();
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);
    let missing = DirectoryOrigins::start([site.root.join("missing")]).unwrap_err();
    assert!(missing.to_string().contains("missing"), "{missing}");
    drop(site);
    assert!(!private.exists());
}
