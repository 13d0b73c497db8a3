//! Requests and responses made from arbitrary bytes: any header a proxy could
//! hold, with the names that rules are about more often than chance has them.

use arbitrary::{Arbitrary, Result, Unstructured};
use event::{
    AuthMethod, EventBody, EventConfig, EventOrigin, EventRequest, EventResponse, EventType, Headers, OriginProtocol,
};
use http::Method;
use std::time::Duration;

/// A request, the response to it, and where in the life of the request a function sees them.
#[derive(Debug)]
pub struct Seen {
    pub event: EventType,
    pub request: EventRequest,
    pub response: EventResponse,
}

impl<'a> Arbitrary<'a> for Seen {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Seen> {
        let event = *u.choose(&EventType::ALL)?;
        let request = EventRequest {
            client_ip: if u.arbitrary()? {
                u.arbitrary::<[u8; 4]>()?.into()
            } else {
                u.arbitrary::<[u8; 16]>()?.into()
            },
            method: u.choose(&[Method::GET, Method::HEAD, Method::POST, Method::PUT])?.clone(),
            uri: format!("/{}", visible(u)?),
            querystring: visible(u)?,
            headers: headers(u)?,
            body: if u.arbitrary()? { Some(body(u)?) } else { None },
            origin: if u.arbitrary()? { Some(origin(u)?) } else { None },
        };
        let response =
            EventResponse { status: u.int_in_range(100..=599)?, status_description: visible(u)?, headers: headers(u)? };
        Ok(Seen { event, request, response })
    }
}

/// `config` of every event here.
#[must_use]
pub fn config(event_type: EventType) -> EventConfig<'static> {
    EventConfig {
        distribution_domain_name: "d111111abcdef8.example.test",
        distribution_id: "EDFDVBD6EXAMPLE",
        request_id: "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        event_type,
    }
}

/// Header lines as they can come off a wire.
pub fn headers(u: &mut Unstructured<'_>) -> Result<Headers> {
    let mut headers = Headers::new();
    for _ in 0..u.int_in_range(0..=12)? {
        headers.push(name(u)?, value(u)?);
    }
    Ok(headers)
}

/// A header name in any case.
pub fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let mut name: Vec<u8> = if u.ratio(3, 4)? {
        u.choose(&NAMES)?.as_bytes().to_vec()
    } else {
        let length = u.int_in_range(1..=16)?;
        (0..length).map(|_| Ok(*u.choose(TOKEN)?)).collect::<Result<_>>()?
    };
    for byte in &mut name {
        if u.ratio(1, 4)? {
            byte.make_ascii_uppercase();
        }
    }
    Ok(String::from_utf8(name).expect("names are ASCII"))
}

/// A header value: visible bytes, tabs, and bytes that are not UTF-8.
pub fn value(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let bytes: &[u8] = u.arbitrary()?;
    Ok(bytes.iter().copied().filter(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)).collect())
}

fn visible(u: &mut Unstructured<'_>) -> Result<String> {
    let text: &str = u.arbitrary()?;
    Ok(text.chars().filter(|character| character.is_ascii_graphic()).collect())
}

fn body(u: &mut Unstructured<'_>) -> Result<EventBody> {
    let data: &[u8] = u.arbitrary()?;
    Ok(EventBody { data: bytes::Bytes::copy_from_slice(data), truncated: u.arbitrary()? })
}

fn origin(u: &mut Unstructured<'_>) -> Result<EventOrigin> {
    let seconds = |u: &mut Unstructured<'_>| Ok(Duration::from_secs(u.int_in_range(1..=60)?));
    let domain_name = (*u.choose(&["origin.example.test", "127.0.0.1", "localhost"])?).to_owned();
    let path = (*u.choose(&["", "/a", "/a/b"])?).to_owned();
    let custom_headers = headers(u)?;
    Ok(if u.arbitrary()? {
        EventOrigin::Custom {
            domain_name,
            path,
            port: u.arbitrary()?,
            protocol: *u.choose(&[OriginProtocol::Http, OriginProtocol::Https])?,
            read_timeout: seconds(u)?,
            keepalive_timeout: seconds(u)?,
            response_completion_timeout: if u.arbitrary()? { Some(Duration::from_secs(300)) } else { None },
            ssl_protocols: vec!["TLSv1.2".to_owned()],
            custom_headers,
        }
    } else {
        EventOrigin::S3 {
            domain_name,
            path,
            region: "eu-west-1".to_owned(),
            auth_method: *u.choose(&[AuthMethod::None, AuthMethod::OriginAccessIdentity])?,
            read_timeout: if u.arbitrary()? { Some(seconds(u)?) } else { None },
            response_completion_timeout: None,
            custom_headers,
        }
    })
}

const TOKEN: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~";

const NAMES: [&str; 24] = [
    "host",
    "via",
    "cookie",
    "set-cookie",
    "connection",
    "expect",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "accept-encoding",
    "if-none-match",
    "if-modified-since",
    "warning",
    "cdn-loop",
    "x-cache",
    "x-real-ip",
    "x-forwarded-proto",
    "x-amz-cf-id",
    "x-edge-location",
    "x-edge-",
    "cloudfront-viewer-country",
    "x-a",
    "x-many",
    "__proto__",
];
