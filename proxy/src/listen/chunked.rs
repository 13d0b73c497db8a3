//! Where a chunked body ends (RFC 9112 7.1), told from its bytes as they pass by.
//! It reads no more than that takes: decoding, and refusing what is malformed, are
//! Pingora's.

/// Looks for the end of one body.
#[derive(Debug, Default)]
pub(super) struct ChunkedEnd(At);

/// Where in a body the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    SizeStart,
    Size(u64),
    /// Behind the digits: white space, extensions.
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
    /// No chunked body goes on like this: everything is its reader's to refuse.
    Malformed,
}

impl ChunkedEnd {
    /// How many of the next bytes belong to the body.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && !self.reached() {
            match self.0 {
                At::Malformed => return bytes.len(),
                At::Data(left) => {
                    let part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - passed);
                    let left = left - part as u64;
                    self.0 = if left == 0 { At::DataCr } else { At::Data(left) };
                    passed += part;
                }
                at => {
                    self.0 = at.after(bytes[passed]);
                    passed += 1;
                }
            }
        }
        passed
    }

    /// Whether the whole body has passed.
    pub(super) fn reached(&self) -> bool {
        matches!(self.0, At::End)
    }
}

impl At {
    fn after(self, byte: u8) -> At {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (self, byte) {
            (At::SizeStart, _) => digit.map_or(At::Malformed, At::Size),
            (At::Size(size), b'\r') | (At::Extension(size), b'\r') => At::SizeLf(size),
            (At::Size(size), b';' | b' ' | b'\t') => At::Extension(size),
            (At::Size(size), _) => {
                let larger = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                larger.map_or(At::Malformed, At::Size)
            }
            (At::Extension(_), b'\n') => At::Malformed,
            (At::Extension(size), _) => At::Extension(size),
            (At::SizeLf(0), b'\n') | (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::SizeLf(size), b'\n') => At::Data(size),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::SizeStart,
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerStart | At::Trailer, b'\n') => At::Malformed,
            (At::TrailerStart | At::Trailer, _) => At::Trailer,
            (At::EndLf, b'\n') => At::End,
            _ => At::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes belong to the body, when they come cut like this.
    fn passed(bytes: &[u8], cut: usize) -> (usize, bool) {
        let mut end = ChunkedEnd::default();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let mut passed = end.pass(first);
        if passed == first.len() {
            passed += end.pass(second);
        }
        (passed, end.reached())
    }

    #[test]
    fn the_next_request_does_not_belong_to_the_body() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A;name=\"v\"\r\n0123456789\r\n00\r\nx-a: 1\r\nx-b: 2\r\n\r\n",
            "2 \t;x\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n",
        ] {
            let bytes = format!("{body}GET / HTTP/1.1\r\n\r\n");
            for cut in 0..bytes.len() {
                assert_eq!(passed(bytes.as_bytes(), cut), (body.len(), true), "{body:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_malformed_is_left_to_the_reader_whole() {
        for body in [
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "3\nabc\n0\n\nGET / HTTP/1.1\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "x\r\n",
            "0\r\n\nGET",
            "0\r\nx-a: 1\n\r\nGET",
            "11111111111111111\r\nabc",
            "1;a\nb\r\nc\r\n0\r\n\r\n",
        ] {
            for cut in 0..body.len() {
                assert_eq!(passed(body.as_bytes(), cut), (body.len(), false), "{body:?} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_end_is_found_behind_any_chunks(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5),
            behind in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..300,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let body = bytes.len();
            bytes.extend_from_slice(&behind);
            prop_assert_eq!(passed(&bytes, cut), (body, true));
        }
    }
}
