//! Ranges of what the cache holds or fetches: which are answered in parts. The
//! cutting is Pingora's.

use http::header::{IF_RANGE, RANGE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{RangeType, range_header_filter};

/// Makes a whole response a part of it, if that is asked for and allowed.
pub(super) fn cut(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    // A weak validator cannot vouch for bytes (RFC 9110 13.1.5). Pingora compares the others.
    let weak = request.headers.get(IF_RANGE).is_some_and(|validator| validator.as_bytes().starts_with(b"W/"));
    if weak && request.headers.contains_key(RANGE) {
        return RangeType::None;
    }
    // Pingora takes fewer than the number it is given.
    range_header_filter(request, response, Some(RANGES_MAX + 1))
}

/// Ours: the ranges of one request that are answered in parts. More get the whole
/// response: a part costs its header, so many small ones cost more than they save.
const RANGES_MAX: usize = 16;
