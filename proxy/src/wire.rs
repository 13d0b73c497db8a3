//! Between Pingora's headers and [`event::Headers`]:
//! lines keep their order, case and bytes both ways.

use bytes::Bytes;
use event::{EventResponse, Headers};
use http::header::COOKIE;
use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// The lines of a request, cased as the viewer sent them.
pub(crate) fn request_headers(request: &RequestHeader) -> Headers {
    // HTTP/2 knows lower case alone: Pingora keeps no list of names beside.
    if !request.has_case() {
        return Headers::from(&request.headers);
    }
    Headers::copied(|| request.case_header_iter().map(|(name, value)| (name.as_slice(), value.as_bytes())))
}

/// The lines of a response, cased as the origin sent them.
pub(crate) fn response_headers(response: &ResponseHeader) -> Headers {
    if !response.has_case() {
        return Headers::from(&response.headers);
    }
    Headers::copied(|| response.case_header_iter().map(|(name, value)| (name.as_slice(), value.as_bytes())))
}

/// A response as a function sees it.
pub(crate) fn event_response(response: &ResponseHeader) -> EventResponse {
    EventResponse {
        status: response.status.as_u16(),
        status_description: response.get_reason_phrase().unwrap_or_default().to_owned(),
        headers: response_headers(response),
    }
}

/// Puts these lines in place of all a request has.
pub(crate) fn set_request_headers(request: &mut RequestHeader, headers: Headers) -> Result<()> {
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    names.iter().for_each(|name| {
        request.remove_header(name);
    });
    for line in headers {
        request.append_header(line.name.into_bytes(), value(line.value)?)?;
    }
    Ok(())
}

/// Puts these lines in place of all a response has.
pub(crate) fn set_response_headers(response: &mut ResponseHeader, headers: Headers) -> Result<()> {
    let names: Vec<HeaderName> = response.headers.keys().cloned().collect();
    names.iter().for_each(|name| {
        response.remove_header(name);
    });
    for line in headers {
        response.append_header(line.name.into_bytes(), value(line.value)?)?;
    }
    Ok(())
}

/// Gives a request the headers that a function left of `sent`, which it still has.
pub(crate) fn edit_request_headers(request: &mut RequestHeader, left: Headers, sent: &Headers) -> Result<()> {
    match left.added_to(sent) {
        Some(added) => added.iter().try_for_each(|line| {
            request.append_header(line.name.as_bytes().clone(), value(line.value.clone())?)?;
            Ok(())
        }),
        None => set_request_headers(request, left.merge_hidden(sent)),
    }
}

/// As [`edit_request_headers`], for a response.
pub(crate) fn edit_response_headers(response: &mut ResponseHeader, left: Headers, sent: &Headers) -> Result<()> {
    match left.added_to(sent) {
        Some(added) => added.iter().try_for_each(|line| {
            response.append_header(line.name.as_bytes().clone(), value(line.value.clone())?)?;
            Ok(())
        }),
        None => set_response_headers(response, left.merge_hidden(sent)),
    }
}

/// Takes every cookie of this name out of a request; the value of the first.
pub(crate) fn take_cookie(request: &mut RequestHeader, name: &str) -> Result<Option<Vec<u8>>> {
    let lines: Vec<HeaderValue> = request.headers.get_all(COOKIE).iter().cloned().collect();
    let mut taken = None;
    let mut left: Vec<Vec<u8>> = Vec::with_capacity(lines.len());
    for line in &lines {
        let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let pairs =
            pairs.filter(|pair| match pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
                Some(value) => {
                    taken.get_or_insert_with(|| value.to_vec());
                    false
                }
                None => true,
            });
        let pairs: Vec<&[u8]> = pairs.collect();
        left.push(pairs.join(&b"; "[..]));
    }
    if taken.is_some() {
        request.remove_header(&COOKIE);
        for line in left.iter().filter(|line| !line.is_empty()) {
            request.append_header(COOKIE, value(line.clone().into())?)?;
        }
    }
    Ok(taken)
}

/// A path and its query string as one request target.
pub(crate) fn target(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A host without its port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn value(bytes: Bytes) -> Result<HeaderValue> {
    HeaderValue::from_maybe_shared(bytes).map_err(|error| {
        pingora::Error::because(pingora::ErrorType::InvalidHTTPHeader, "header value cannot be sent", error)
    })
}
