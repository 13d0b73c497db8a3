//! The body of a request: kept up to the limit of a result, counted beyond it.

use bytes::{Bytes, BytesMut};
use environment::limits::RESULT_BYTES_MAX;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// A whole body.
pub(crate) struct Received {
    /// Nothing, when it is too large.
    pub(crate) kept: Bytes,
    pub(crate) bytes: u64,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Received {
    pub(crate) async fn read(mut body: Incoming) -> hyper::Result<Received> {
        let (mut kept, mut bytes, mut trailers) = (BytesMut::new(), 0, None);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    bytes += data.len() as u64;
                    if bytes <= RESULT_BYTES_MAX as u64 {
                        kept.extend_from_slice(&data);
                    } else {
                        kept = BytesMut::new();
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Received { kept: kept.freeze(), bytes, trailers })
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.bytes > RESULT_BYTES_MAX as u64
    }
}
