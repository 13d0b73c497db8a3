//! The `CloudFront-*` headers of a request (AWS: "Add CloudFront request headers"):
//! what the edge knows of a viewer and tells the origin, and the cache key, where a
//! policy names it. Nobody else may say so: a viewer's own are overwritten.

use crate::connection::Handshake;
use crate::fingerprint::ClientHello;
use crate::geo::Geo;
use crate::wire;
use http::header::USER_AGENT;
use http::{HeaderName, HeaderValue, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora::http::RequestHeader;
use std::net::SocketAddr;

/// What is known of a viewer besides its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'a> {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) tls: bool,
    pub(crate) handshake: Option<&'a Handshake>,
    pub(crate) geo: Option<&'a Geo>,
}

/// The headers with these names, each with its value where there is one.
pub(crate) fn make(
    names: &[HeaderName],
    request: &RequestHeader,
    viewer: &Viewer<'_>,
) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let made = names.iter().map(|name| {
        let value = value(name.as_str(), request, viewer);
        let encoded = value.map(|value| utf8_percent_encode(&value, NOT_IN_HEADERS).to_string());
        (name.clone(), encoded.and_then(|value| HeaderValue::from_str(&value).ok()))
    });
    made.collect()
}

/// Makes what was made of a viewer that of a request for a custom error page: with the
/// request that failed, and with what was `told` of the viewer for that one.
pub(crate) fn tell_of_failed(
    made: &mut [(HeaderName, Option<HeaderValue>)],
    (path, query): &(String, String),
    told: &[(HeaderName, Option<HeaderValue>)],
) {
    let say = |text: &str| HeaderValue::from_str(text).ok();
    for (name, value) in made {
        match name.as_str() {
            "cloudfront-error-uri" => *value = say(path),
            "cloudfront-error-args" => {
                *value = Some(query).filter(|query| !query.is_empty()).and_then(|query| say(query))
            }
            _ => {
                if let Some((_, told)) = told.iter().find(|(other, _)| other == name) {
                    value.clone_from(told);
                }
            }
        }
    }
}

fn value(name: &str, request: &RequestHeader, viewer: &Viewer<'_>) -> Option<String> {
    let device = || Device::of(request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or(""));
    let said = |yes: bool| Some(yes.to_string());
    match name {
        "cloudfront-is-android-viewer" => said(device().android),
        "cloudfront-is-desktop-viewer" => said(device().desktop()),
        "cloudfront-is-ios-viewer" => said(device().ios),
        "cloudfront-is-mobile-viewer" => said(device().mobile),
        "cloudfront-is-smarttv-viewer" => said(device().tv),
        "cloudfront-is-tablet-viewer" => said(device().tablet),
        "cloudfront-forwarded-proto" => Some(if viewer.tls { "https" } else { "http" }.to_owned()),
        "cloudfront-viewer-address" => viewer.address.map(|address| address.to_string()),
        "cloudfront-viewer-http-version" => Some(version(request.version).to_owned()),
        "cloudfront-viewer-header-count" => Some(request.headers.len().to_string()),
        "cloudfront-viewer-header-order" => Some(order(request)),
        "cloudfront-viewer-tls" => viewer.handshake.map(tls),
        "cloudfront-viewer-ja3-fingerprint" => viewer.handshake?.hello.as_ref().map(ClientHello::ja3),
        "cloudfront-viewer-ja4-fingerprint" => viewer.handshake?.hello.as_ref().map(ClientHello::ja4),
        // Of error pages alone.
        "cloudfront-error-uri" | "cloudfront-error-args" => None,
        geo => viewer.geo.zip(viewer.address).and_then(|(database, address)| database.header(address.ip(), geo)),
    }
}

fn tls(handshake: &Handshake) -> String {
    format!("{}:{}:{}", handshake.version, handshake.cipher, handshake.kind())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}

fn order(request: &RequestHeader) -> String {
    let mut order = String::new();
    for line in wire::request_headers(request) {
        if !order.is_empty() {
            order.push(':');
        }
        order.extend(line.name.chars().filter(char::is_ascii));
    }
    // Names are ASCII.
    order.truncate(ORDER_BYTES_MAX);
    order
}

/// What a `User-Agent` gives away; several may be true.
#[derive(Clone, Copy, Debug)]
struct Device {
    android: bool,
    ios: bool,
    mobile: bool,
    tablet: bool,
    tv: bool,
}

impl Device {
    fn of(agent: &str) -> Device {
        let has = |marks: &[&str]| marks.iter().any(|mark| agent.contains(mark));
        let tv = has(&TVS);
        let android = agent.contains("Android");
        let phone = has(&["iPhone", "iPod", "Mobi", "Windows Phone", "BlackBerry", "Opera Mini"]);
        let tablet = has(&["iPad", "Tablet", "Kindle", "Silk/", "PlayBook"]) || android && !phone && !tv;
        Device { android, ios: has(&["iPhone", "iPad", "iPod"]), mobile: phone && !tablet && !tv, tablet, tv }
    }

    fn desktop(self) -> bool {
        !self.mobile && !self.tablet && !self.tv
    }
}

const TVS: [&str; 12] = [
    "SmartTV", "SMART-TV", "Smart-TV", "HbbTV", "AppleTV", "Apple TV", "GoogleTV", "BRAVIA", "Roku", "CrKey",
    "NetCast", "Web0S",
];
/// AWS: "Add CloudFront request headers", characters.
const ORDER_BYTES_MAX: usize = 7_680;
/// Everything but ASCII is encoded; what is sent as it is includes `%`.
const NOT_IN_HEADERS: &AsciiSet = CONTROLS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_their_user_agent() {
        for (agent, android, desktop, ios, mobile, tablet, tv) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                false,
                true,
                false,
                false,
                false,
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148",
                false,
                false,
                true,
                true,
                false,
                false,
            ),
            ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Mobile/15E148", false, false, true, false, true, false),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0 Mobile Safari/537.36",
                true,
                false,
                false,
                true,
                false,
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X910) Chrome/140.0 Safari/537.36",
                true,
                false,
                false,
                false,
                true,
                false,
            ),
            ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) TV Safari/537.36", false, false, false, false, false, true),
            ("", false, true, false, false, false, false),
        ] {
            let device = Device::of(agent);
            let found = (device.android, device.desktop(), device.ios, device.mobile, device.tablet, device.tv);
            assert_eq!(found, (android, desktop, ios, mobile, tablet, tv), "{agent}");
        }
    }

    #[test]
    fn what_is_known_of_a_viewer_is_told() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header("Host", "a.test").unwrap();
        request.append_header("x-one", "1").unwrap();
        let viewer =
            Viewer { address: Some("[2001:db8::1]:4711".parse().unwrap()), tls: true, handshake: None, geo: None };
        for (name, expected) in [
            ("cloudfront-forwarded-proto", Some("https")),
            ("cloudfront-viewer-address", Some("[2001:db8::1]:4711")),
            ("cloudfront-viewer-http-version", Some("1.1")),
            ("cloudfront-viewer-header-count", Some("2")),
            ("cloudfront-viewer-header-order", Some("Host:x-one")),
            ("cloudfront-viewer-country", None),
            ("cloudfront-viewer-tls", None),
            ("cloudfront-viewer-ja3-fingerprint", None),
        ] {
            assert_eq!(value(name, &request, &viewer).as_deref(), expected, "{name}");
        }
    }
}
