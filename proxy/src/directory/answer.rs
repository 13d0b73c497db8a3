//! The answer of a directory origin: the file with its validators, conditions
//! (RFC 9110 13) and one range (RFC 9110 14).

use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use httpdate::{fmt_http_date, parse_http_date};
use hyper_staticfile::util::FileBytesStream;
use hyper_staticfile::vfs::IntoFileAccess;
use hyper_staticfile::{AcceptEncoding, Body, ResolveResult, ResolvedFile, Resolver};
use std::io;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncSeekExt;
use tokio::task::spawn_blocking;

use super::path;

/// One served root.
pub(super) struct Directory {
    /// Without symbolic links.
    root: PathBuf,
    resolver: Resolver,
}

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        let root = path.canonicalize()?;
        if !root.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
        }
        Ok(Directory { resolver: Resolver::new(&root), root })
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return empty(StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, HeaderValue::from_static("GET, HEAD"))]);
        }
        let answered = match self.find(request.uri().path()).await {
            Ok(Some(file)) => answer_file(request.method(), request.headers(), file).await,
            Ok(None) => return empty(StatusCode::NOT_FOUND, []),
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => empty(StatusCode::FORBIDDEN, []),
            _ => {
                tracing::error!("{}: reading {} failed: {error}", self.root.display(), request.uri().path());
                empty(StatusCode::INTERNAL_SERVER_ERROR, [])
            }
        })
    }

    async fn find(&self, path: &str) -> io::Result<Option<ResolvedFile>> {
        let (root, asked) = (self.root.clone(), path.to_owned());
        let found = spawn_blocking(move || path::resolve(&root, &asked)).await.map_err(io::Error::other)?;
        if found.is_none() {
            return Ok(None);
        }
        // The library opens the file by the same path and knows its content type.
        match self.resolver.resolve_path(path, AcceptEncoding::none()).await? {
            ResolveResult::Found(file) => Ok(Some(file)),
            ResolveResult::PermissionDenied => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(None),
        }
    }
}

/// What identifies the content of a file at one moment.
struct Validators {
    etag: String,
    modified: SystemTime,
}

async fn answer_file(method: &Method, headers: &HeaderMap, file: ResolvedFile) -> io::Result<Response<Body>> {
    let modified = file.modified.unwrap_or(UNIX_EPOCH);
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Strong: a change within one nanosecond that keeps the size is not expected of files.
    let etag = format!("\"{:x}-{:x}\"", file.size, since_epoch.as_nanos());
    let validators = Validators { etag, modified };
    if let Some(status) = condition(headers, &validators) {
        return Ok(empty(status, validators.headers()));
    }
    let range = match headers.get(RANGE).filter(|_| if_range_holds(headers, &validators)) {
        Some(range) if *method == Method::GET => parse_range(range.to_str().unwrap_or_default(), file.size),
        _ => Range::Whole,
    };
    let (status, start, bytes) = match range {
        Range::Whole => (StatusCode::OK, 0, file.size),
        Range::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Range::Unsatisfiable => {
            let whole = [(CONTENT_RANGE, value(format!("bytes */{}", file.size)))];
            return Ok(empty(StatusCode::RANGE_NOT_SATISFIABLE, whole));
        }
    };
    let mut response = empty(status, validators.headers());
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, bytes.into());
    headers.insert(CONTENT_TYPE, value(file.content_type.unwrap_or_else(|| UNKNOWN_TYPE.to_owned())));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = start + bytes - 1;
        headers.insert(CONTENT_RANGE, value(format!("bytes {start}-{last}/{}", file.size)));
    }
    if *method == Method::GET && bytes > 0 {
        let mut handle = file.handle;
        handle.seek(SeekFrom::Start(start)).await?;
        *response.body_mut() = Body::Full(FileBytesStream::new_with_limit(handle.into_file_access(), bytes));
    }
    Ok(response)
}

impl Validators {
    fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        [(ETAG, value(self.etag.clone())), (LAST_MODIFIED, value(fmt_http_date(self.modified)))]
    }

    fn modified_seconds(&self) -> u64 {
        seconds(self.modified)
    }
}

/// The status that ends the request early, in the order of RFC 9110 13.2.2.
fn condition(headers: &HeaderMap, file: &Validators) -> Option<StatusCode> {
    let date = |name: HeaderName| parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, IF_MATCH, |tag| tag == file.etag) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
    } else if date(IF_UNMODIFIED_SINCE).is_some_and(|limit| file.modified_seconds() > seconds(limit)) {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    if headers.contains_key(IF_NONE_MATCH) {
        let weakly = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == file.etag;
        return lists(headers, IF_NONE_MATCH, weakly).then_some(StatusCode::NOT_MODIFIED);
    }
    let unmodified = date(IF_MODIFIED_SINCE).is_some_and(|since| file.modified_seconds() <= seconds(since));
    unmodified.then_some(StatusCode::NOT_MODIFIED)
}

/// Whether a list of entity tags is `*` or has one that `fits`.
fn lists(headers: &HeaderMap, name: HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name);
    lines
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || fits(tag))
}

fn if_range_holds(headers: &HeaderMap, file: &Validators) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else {
        return true;
    };
    let condition = condition.to_str().unwrap_or_default();
    condition == file.etag || condition == fmt_http_date(file.modified)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// None asked, not understood, or several, which may be answered whole (RFC 9110 14.2).
    Whole,
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

fn parse_range(text: &str, size: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Range::Whole;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Range::Whole;
    }
    // A number too large for 64 bits is beyond every file.
    let number = |digits: &str| digits.parse::<u64>().unwrap_or(u64::MAX);
    if first.is_empty() {
        return match number(last).min(size) {
            0 => Range::Unsatisfiable,
            suffix => Range::Part { first: size - suffix, last: size - 1 },
        };
    }
    let (first, last) = (number(first), if last.is_empty() { u64::MAX } else { number(last) });
    if first > last {
        Range::Whole
    } else if first >= size {
        Range::Unsatisfiable
    } else {
        Range::Part { first, last: last.min(size - 1) }
    }
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("dates, digests and content types are visible ASCII")
}

fn empty(status: StatusCode, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

const UNKNOWN_TYPE: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_the_rest_is_whole() {
        let part = |first, last| Range::Part { first, last };
        for (text, range) in [
            ("bytes=0-4", part(0, 4)),
            ("bytes=5-", part(5, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=8-99", part(8, 9)),
            ("bytes=0-99999999999999999999999", part(0, 9)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=4-2", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=0-x", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=-1,3-4", Range::Whole),
            ("bytes=--1", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(parse_range(text, 10), range, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=-1", 0), Range::Unsatisfiable);
    }
}
