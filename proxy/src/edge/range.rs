//! Ranges of what the cache holds or fetches: which are answered in parts. The
//! cutting is Pingora's.

use crate::cache::part::{Part, Wanted};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{RangeType, range_header_filter};

/// Makes a whole response a part of it, if that is asked for and allowed.
pub(super) fn cut(request: &RequestHeader, response: &mut ResponseHeader) -> RangeType {
    // A weak validator cannot vouch for bytes (RFC 9110 13.1.5). Pingora compares the others.
    let weak = request.headers.get(IF_RANGE).is_some_and(|validator| validator.as_bytes().starts_with(b"W/"));
    if weak && request.headers.contains_key(RANGE) {
        return RangeType::None;
    }
    if response.status == StatusCode::PARTIAL_CONTENT {
        return cut_part(request, response).unwrap_or(RangeType::None);
    }
    // Pingora takes fewer than the number it is given.
    range_header_filter(request, response, Some(RANGES_MAX + 1))
}

/// Makes a part the part of it that is asked for.
fn cut_part(request: &RequestHeader, response: &mut ResponseHeader) -> Option<RangeType> {
    let part = Part::of(&response.headers)?;
    let wanted = Wanted::of(&request.headers).filter(|wanted| part.has(*wanted))?;
    let (first, last) = wanted.within(part.whole)?;
    let start = usize::try_from(first - part.first).ok()?;
    let end = usize::try_from(last - part.first).ok()? + 1;
    if (first, last) == (part.first, part.last) {
        return None;
    }
    response.insert_header(CONTENT_RANGE, format!("bytes {first}-{last}/{}", part.whole)).ok()?;
    response.insert_header(CONTENT_LENGTH, end - start).ok()?;
    Some(RangeType::Single(start..end))
}

/// Ours: the ranges of one request that are answered in parts. More get the whole
/// response: a part costs its header, so many small ones cost more than they save.
const RANGES_MAX: usize = 16;
