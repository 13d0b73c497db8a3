//! Reads the header of an HTTP/1 request whole, within a deadline and a size, before
//! Pingora sees the connection.

use bytes::{Buf, BytesMut};
use memchr::memchr_iter;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::clock::Clock;

/// Until when which part of a header has to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// For the first byte.
    pub(crate) first_byte: Instant,
    /// For the rest, counted from the first byte; never later than `whole_by`.
    pub(crate) header: Duration,
    /// Set for the first request of a connection, which counts from the connection.
    pub(crate) whole_by: Option<Instant>,
}

impl Deadlines {
    /// Of the whole header, when its beginning came at `first_byte`.
    fn of_whole(&self, first_byte: Instant) -> Instant {
        let counted = first_byte + self.header;
        self.whole_by.map_or(counted, |limit| limit.min(counted))
    }
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// Closed or broken by the viewer, or silent until the deadline: nothing to answer.
    Gone,
    TooSlow,
    TooLarge,
}

/// Reads until the empty line that ends the header; the header, and what came behind it.
/// Empty lines before the request line are dropped (RFC 9112 2.2).
pub(crate) async fn read<S>(
    stream: &mut S,
    clock: &mut Clock,
    deadlines: Deadlines,
    bytes_max: usize,
) -> Result<(BytesMut, BytesMut), NoHeader>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut bytes = BytesMut::with_capacity(FIRST_READ_BYTES);
    match clock.by(deadlines.first_byte, stream.read_buf(&mut bytes)).await {
        Some(Ok(read)) if read > 0 => {}
        _ => return Err(NoHeader::Gone),
    }
    let mut whole_by = None;
    let mut dropped = drop_empty_lines(&mut bytes);
    let mut searched = 0;
    loop {
        if let Some(end) = header_end(&bytes, searched) {
            return if end > bytes_max { Err(NoHeader::TooLarge) } else { Ok(cut(bytes, end)) };
        }
        if bytes.len() + dropped > bytes_max {
            return Err(NoHeader::TooLarge);
        }
        searched = bytes.len();
        let whole_by = *whole_by.get_or_insert_with(|| deadlines.of_whole(Instant::now()));
        match clock.by(whole_by, stream.read_buf(&mut bytes)).await {
            None => return Err(NoHeader::TooSlow),
            Some(Ok(read)) if read > 0 => {}
            Some(_) => return Err(NoHeader::Gone),
        }
        if searched == 0 {
            dropped += drop_empty_lines(&mut bytes);
        }
    }
}

/// Answers a request whose header never became whole, and closes. Reads on for a moment,
/// because closing with unread bytes would make the kernel discard the answer.
pub(crate) async fn refuse<S>(stream: &mut S, reason: NoHeader)
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let answer: &[u8] = match reason {
        NoHeader::Gone => return,
        NoHeader::TooSlow => b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        NoHeader::TooLarge => {
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        }
    };
    let farewell = async {
        stream.write_all(answer).await?;
        stream.flush().await?;
        stream.shutdown().await?;
        let mut rest = BytesMut::with_capacity(FIRST_READ_BYTES);
        let mut discarded = 0;
        while discarded < DISCARD_BYTES_MAX {
            rest.clear();
            match stream.read_buf(&mut rest).await? {
                0 => break,
                read => discarded += read,
            }
        }
        std::io::Result::Ok(())
    };
    // The connection is over either way.
    let _ = timeout(FAREWELL, farewell).await;
}

/// Cuts a header from what came behind it. Cutting nothing off would cost an allocation.
fn cut(mut bytes: BytesMut, end: usize) -> (BytesMut, BytesMut) {
    let behind = if end == bytes.len() { BytesMut::new() } else { bytes.split_off(end) };
    (bytes, behind)
}

fn drop_empty_lines(bytes: &mut BytesMut) -> usize {
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes.advance(empty);
    empty
}

/// The length of the header with its empty line. `searched` bytes are known not to end it.
/// Lines may end with a bare LF, as Pingora's parser accepts.
fn header_end(bytes: &[u8], searched: usize) -> Option<usize> {
    // The ending is LF LF or LF CR LF, so it may have begun just before what was searched.
    let from = searched.saturating_sub(3);
    memchr_iter(b'\n', &bytes[from..]).find_map(|offset| {
        let after = from + offset + 1;
        match bytes[after..] {
            [b'\n', ..] => Some(after + 1),
            [b'\r', b'\n', ..] => Some(after + 2),
            _ => None,
        }
    })
}

const FIRST_READ_BYTES: usize = 4096;
const FAREWELL: Duration = Duration::from_secs(1);
const DISCARD_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    fn deadlines(milliseconds: u64) -> Deadlines {
        let header = Duration::from_millis(milliseconds);
        Deadlines { first_byte: Instant::now() + header, header, whole_by: None }
    }

    #[tokio::test]
    async fn a_header_split_anywhere_is_found_with_what_follows() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody";
        for split in 1..text.len() - 4 {
            let (mut viewer, mut edge) = duplex(1024);
            let (first, second) = text.split_at(split);
            viewer.write_all(first).await.unwrap();
            let reading = tokio::spawn(async move { read(&mut edge, &mut Clock::new(), deadlines(5000), 1024).await });
            tokio::task::yield_now().await;
            viewer.write_all(second).await.unwrap();
            let (header, behind) = reading.await.unwrap().unwrap();
            assert_eq!(&header[..], &text[..text.len() - 4], "split at {split}");
            assert!(b"body".starts_with(&behind[..]), "split at {split}: {behind:?}");
        }
    }

    #[test]
    fn the_end_is_found_once_it_is_there_wherever_the_search_goes_on() {
        for text in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\nbody\n\nmore",
            "GET / HTTP/1.1\nhost: a\n\nbody\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\r\nb:\r\r\nc: d\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\n\n",
            "GET / HTTP/1.1\r\n\rhost: a\r\r\n",
        ] {
            let ends = ["\n\n", "\n\r\n"].map(|end| text.find(end).map(|at| at + end.len()));
            let end = ends.into_iter().flatten().min();
            for cut in 0..=text.len() {
                let expected = end.filter(|end| *end <= cut);
                for searched in (0..=cut).filter(|searched| end.is_none_or(|end| *searched < end)) {
                    let found = header_end(&text.as_bytes()[..cut], searched);
                    assert_eq!(found, expected, "{text:?} cut at {cut}, searched to {searched}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_bytes_do_not_extend_the_deadline() {
        let (mut viewer, mut edge) = duplex(1024);
        let started = Instant::now();
        let dripping = tokio::spawn(async move {
            while viewer.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        assert_eq!(read(&mut edge, &mut Clock::new(), deadlines(1000), 1024).await.unwrap_err(), NoHeader::TooSlow);
        assert!(started.elapsed() <= Duration::from_millis(1001), "{:?}", started.elapsed());
        drop(edge);
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn empty_lines_first_are_dropped_and_count() {
        let (mut viewer, mut edge) = duplex(1024);
        viewer.write_all(b"\r\n\r\nGET / HTTP/1.1\n\n").await.unwrap();
        let (header, behind) = read(&mut edge, &mut Clock::new(), deadlines(1000), 1024).await.unwrap();
        assert_eq!((&header[..], &behind[..]), (&b"GET / HTTP/1.1\n\n"[..], &b""[..]));
        viewer.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut edge, &mut Clock::new(), deadlines(1000), 1024).await.unwrap_err(), NoHeader::TooSlow);
    }

    #[tokio::test]
    async fn more_header_than_allowed_is_refused() {
        let (mut viewer, mut edge) = duplex(64 * 1024);
        viewer.write_all(&[b'a'; 5000]).await.unwrap();
        assert_eq!(read(&mut edge, &mut Clock::new(), deadlines(1000), 4096).await.unwrap_err(), NoHeader::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_viewer_is_only_gone() {
        let (_viewer, mut edge) = duplex(64);
        assert_eq!(read(&mut edge, &mut Clock::new(), deadlines(1000), 4096).await.unwrap_err(), NoHeader::Gone);
    }
}
