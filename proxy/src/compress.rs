//! Compression at the edge (AWS: "Serve compressed files"): which responses are
//! compressed while they are stored, and the encoder of one.

use crate::cache::key::{AcceptEncoding, accept_encoding};
use brotli::CompressorWriter;
use bytes::Bytes;
use deployment::Behavior;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, TRANSFER_ENCODING, VARY,
};
use http::{HeaderMap, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, OrErr, Result};
use std::fmt;
use std::io::{self, Write as _};

/// Of one response body.
#[derive(Default)]
pub(crate) struct Compression(Option<Encoder>);

struct Encoder {
    codec: Codec,
    /// Bytes of the original still to come.
    left: u64,
}

enum Codec {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Codec {
    fn new(encoding: &str) -> (Codec, &'static str) {
        if encoding == "gzip" {
            (Codec::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))), "gzip")
        } else {
            let writer = CompressorWriter::new(Vec::new(), BROTLI_BUFFER_BYTES, BROTLI_LEVEL, BROTLI_WINDOW_BITS);
            (Codec::Brotli(Box::new(writer)), "br")
        }
    }

    fn write(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Codec::Gzip(encoder) => encoder.write_all(input).map(|()| std::mem::take(encoder.get_mut())),
            Codec::Brotli(encoder) => encoder.write_all(input).map(|()| std::mem::take(encoder.get_mut())),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Codec::Gzip(encoder) => encoder.finish(),
            Codec::Brotli(encoder) => Ok(encoder.into_inner()),
        }
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compression").field(&self.0.as_ref().map(|encoder| encoder.left)).finish()
    }
}

impl Compression {
    /// Starts to compress a response if its behavior, its viewer and its own header allow it,
    /// and makes its header that of the compressed one.
    ///
    /// # Errors
    /// None that a header of ours can cause.
    pub(crate) fn start(
        behavior: &Behavior,
        request: &RequestHeader,
        response: &mut ResponseHeader,
    ) -> Result<Compression> {
        let length = length_to_compress(&response.headers, response.status.as_u16());
        let Some(left) = length.filter(|_| behavior.compress) else { return Ok(Compression::default()) };
        tell_encodings_apart(response)?;
        let AcceptEncoding::Normalized(accepted) = accept_encoding(&behavior.cache, &request.headers) else {
            return Ok(Compression::default());
        };
        if request.version < Version::HTTP_11 {
            return Ok(Compression::default());
        }
        let (codec, encoding) = Codec::new(accepted);
        response.remove_header(&CONTENT_LENGTH);
        response.remove_header(&ACCEPT_RANGES);
        response.insert_header(CONTENT_ENCODING, encoding)?;
        response.insert_header(TRANSFER_ENCODING, "chunked")?;
        weaken(response)?;
        Ok(Compression(Some(Encoder { codec, left })))
    }

    /// Compresses one piece as it streams by. What comes out may be empty.
    ///
    /// # Errors
    /// The codec failed: what was sent so far cannot be completed.
    pub(crate) fn apply(&mut self, piece: &mut Option<Bytes>) -> Result<()> {
        let (Some(encoder), Some(input)) = (&mut self.0, piece) else { return Ok(()) };
        let Some(left) = encoder.left.checked_sub(input.len() as u64) else {
            return Error::e_explain(ErrorType::InvalidHTTPHeader, "the body is longer than its header says");
        };
        encoder.left = left;
        let mut output = encoder.codec.write(input).or_err(ErrorType::InternalError, "while compressing")?;
        if left == 0
            && let Some(encoder) = self.0.take()
        {
            output.extend(encoder.codec.finish().or_err(ErrorType::InternalError, "while compressing")?);
        }
        *input = Bytes::from(output);
        Ok(())
    }
}

/// The length of a body that the rules let be compressed.
fn length_to_compress(headers: &HeaderMap, status: u16) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let length = text(CONTENT_LENGTH)?.parse().ok().filter(|length| SIZES.contains(length))?;
    let media_type = text(CONTENT_TYPE)?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // RFC 9111 5.2.2.6.
    let fixed = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-transform")));
    let plain = !headers.contains_key(CONTENT_ENCODING) && !fixed;
    let listed = TYPES.contains(&media_type.as_str());
    (plain && listed && matches!(status, 200 | 403 | 404)).then_some(length)
}

/// Caches behind this one must tell the encodings apart.
///
/// # Errors
/// None that a header of ours can cause.
pub(crate) fn tell_encodings_apart(response: &mut ResponseHeader) -> Result<()> {
    if tells_encodings_apart(response) {
        return Ok(());
    }
    response.append_header(VARY, "Accept-Encoding").map(|_| ())
}

/// Whether they do already.
pub(crate) fn tells_encodings_apart(response: &ResponseHeader) -> bool {
    response.headers.get_all(VARY).iter().filter_map(|line| line.to_str().ok()).any(|line| {
        line.split(',').any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding"))
    })
}

/// The compressed bytes are others than those the origin named.
fn weaken(response: &mut ResponseHeader) -> Result<()> {
    let Some(tag) = response.headers.get(ETAG).map(|tag| String::from_utf8_lossy(tag.as_bytes()).into_owned()) else {
        return Ok(());
    };
    if tag.starts_with('"') {
        response.insert_header(ETAG, format!("W/{tag}"))?;
    } else if !tag.starts_with("W/") {
        response.remove_header(&ETAG);
    }
    Ok(())
}

/// AWS: "Serve compressed files", bytes.
const SIZES: std::ops::RangeInclusive<u64> = 1_000..=10_000_000;
/// Ours: zlib's own default, and the brotli quality that costs about as much.
const GZIP_LEVEL: u32 = 6;
const BROTLI_LEVEL: u32 = 5;
const BROTLI_WINDOW_BITS: u32 = 19;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// AWS: "Serve compressed files", "File types that CloudFront compresses".
const TYPES: [&str; 48] = [
    "application/dash+xml",
    "application/eot",
    "application/font",
    "application/font-sfnt",
    "application/javascript",
    "application/json",
    "application/opentype",
    "application/otf",
    "application/pdf",
    "application/pkcs7-mime",
    "application/protobuf",
    "application/rss+xml",
    "application/truetype",
    "application/ttf",
    "application/vnd.apple.mpegurl",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "application/x-font-opentype",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-httpd-cgi",
    "application/x-javascript",
    "application/x-mpegurl",
    "application/x-opentype",
    "application/x-otf",
    "application/x-perl",
    "application/x-ttf",
    "font/eot",
    "font/opentype",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/js",
    "text/plain",
    "text/richtext",
    "text/tab-separated-values",
    "text/xml",
    "text/x-component",
    "text/x-java-source",
    "text/x-script",
    "vnd.apple.mpegurl",
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn compresses(status: u16, headers: &[(&'static str, &'static str)]) -> bool {
        let lines =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        length_to_compress(&lines.collect(), status).is_some()
    }

    #[test]
    fn size_type_status_and_encoding_decide() {
        let html = ("content-type", "text/html; charset=utf-8");
        for (length, expected) in [("999", false), ("1000", true), ("10000000", true), ("10000001", false)] {
            assert_eq!(compresses(200, &[html, ("content-length", length)]), expected, "{length}");
        }
        let long = ("content-length", "5000");
        for (status, expected) in [(200, true), (403, true), (404, true), (201, false), (206, false), (500, false)] {
            assert_eq!(compresses(status, &[html, long]), expected, "{status}");
        }
        assert!(!compresses(200, &[long]));
        assert!(!compresses(200, &[html]));
        assert!(!compresses(200, &[long, ("content-type", "image/png")]));
        assert!(!compresses(200, &[long, html, ("content-encoding", "identity")]));
        assert!(!compresses(200, &[long, html, ("cache-control", "public, no-transform")]));
    }

    #[test]
    fn a_compressed_response_has_a_weak_tag_or_none() {
        for (sent, expected) in [("\"a\"", Some("W/\"a\"")), ("W/\"a\"", Some("W/\"a\"")), ("a", None)] {
            let mut response = ResponseHeader::build(200, None).unwrap();
            response.insert_header(ETAG, sent).unwrap();
            weaken(&mut response).unwrap();
            assert_eq!(response.headers.get(ETAG).map(|tag| tag.to_str().unwrap()), expected);
        }
    }
}
