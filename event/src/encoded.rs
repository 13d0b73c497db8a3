//! An event as it went out, and what a function gives back of it. Most results
//! repeat the event's own text, byte for byte: what does is as it was, and is
//! compared instead of read.

use super::header_map::Written;
use super::{EventRequest, EventResponse, EventType, InvalidResult, RequestResult, ResponseEdit, request, response};
use bytes::Bytes;
use std::ops::Range;

/// An encoded event.
#[derive(Clone, Debug)]
pub struct Encoded {
    pub(super) json: Bytes,
    pub(super) event_type: EventType,
    pub(super) request: Place,
    pub(super) response: Option<Place>,
}

/// Where a request or a response stands in the JSON.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) whole: Range<usize>,
    /// The entries of its header map, without the braces.
    pub(super) lines: Range<usize>,
}

impl Encoded {
    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// What a function of this request event decided: [`super::parse_request_result`] of the same `sent`.
    ///
    /// # Errors
    /// The first rule the result breaks.
    pub fn request_result(&self, result: &[u8], sent: &EventRequest) -> Result<RequestResult, InvalidResult> {
        if *result == self.json[self.request.whole.clone()] {
            return Ok(RequestResult::Forward(super::RequestEdit::default()));
        }
        let parse = |json: &[u8], written| request::parse(json, self.event_type, sent, written);
        match self.without_lines(result, &self.request).map(|rest| parse(&rest, Written::Behind)) {
            Some(Ok(forward @ RequestResult::Forward(_))) => Ok(forward),
            // A response has headers of its own, and a broken rule is told of the whole.
            _ => parse(result, Written::Whole),
        }
    }

    /// What a function of this response event decided: [`super::parse_response_result`] of the same `sent`.
    ///
    /// # Errors
    /// The first rule the result breaks.
    pub fn response_result(&self, result: &[u8], sent: &EventResponse) -> Result<ResponseEdit, InvalidResult> {
        let parse = |json: &[u8], written| response::parse(json, self.event_type, sent, written);
        let Some(place) = &self.response else { return parse(result, Written::Whole) };
        if *result == self.json[place.whole.clone()] {
            return Ok(ResponseEdit::default());
        }
        match self.without_lines(result, place).map(|rest| parse(&rest, Written::Behind)) {
            Some(Ok(parsed)) => Ok(parsed),
            _ => parse(result, Written::Whole),
        }
    }

    /// The result with all entries cut out that the header map had in the event, where they stand in the result as
    /// they stood there. What is left is JSON exactly if the result is.
    fn without_lines(&self, result: &[u8], place: &Place) -> Option<Vec<u8>> {
        if place.lines.is_empty() {
            return None;
        }
        let rest = result.strip_prefix(&self.json[place.whole.start..place.lines.end])?;
        let rest = match rest {
            [b',', next @ ..] => next.starts_with(b"\"").then_some(next)?,
            [b'}', ..] => rest,
            _ => return None,
        };
        Some([&self.json[place.whole.start..place.lines.start], rest].concat())
    }
}
